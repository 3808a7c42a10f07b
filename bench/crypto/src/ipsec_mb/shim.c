// Intel's ipsec-mb through its own header: bursts of ChaCha20-Poly1305 with WireGuard's nonces and without additional
// data. Rust sees three functions and one struct, so that the layout of the library's structs is the C compiler's affair.

#include <intel-ipsec-mb.h>
#include <stdint.h>
#include <string.h>

#define NONCE_BYTES 12
#define COUNTER_AT 4
#define KEY_BYTES 32
#define TAG_BYTES 16

// As `Packet` in mod.rs.
struct weir_packet {
  const uint8_t *key;
  uint64_t counter;
  const uint8_t *from;
  uint8_t *to;
  uint64_t bytes;
  uint8_t *tag;
};

// A manager for what this CPU has, or null.
IMB_MGR *weir_mb_new(void) {
  IMB_MGR *manager = alloc_mb_mgr(0);
  if (manager != NULL) {
    IMB_ARCH arch;
    init_mb_mgr_auto(manager, &arch);
    if (imb_get_errno(manager) != 0) {
      free_mb_mgr(manager);
      return NULL;
    }
  }
  return manager;
}

void weir_mb_free(IMB_MGR *manager) { free_mb_mgr(manager); }

static void describe(IMB_JOB *job, const struct weir_packet *packet, const uint8_t *nonce, int opens) {
  job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
  job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
  job->cipher_direction = opens ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
  job->chain_order = opens ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
  job->enc_keys = packet->key;
  job->dec_keys = packet->key;
  job->key_len_in_bytes = KEY_BYTES;
  job->src = packet->from;
  job->dst = packet->to;
  job->cipher_start_src_offset_in_bytes = 0;
  job->msg_len_to_cipher_in_bytes = packet->bytes;
  job->hash_start_src_offset_in_bytes = 0;
  job->msg_len_to_hash_in_bytes = packet->bytes;
  job->iv = nonce;
  job->iv_len_in_bytes = NONCE_BYTES;
  job->auth_tag_output = packet->tag;
  job->auth_tag_output_len_in_bytes = TAG_BYTES;
  job->u.CHACHA20_POLY1305.aad = NULL;
  job->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
}

// Seals the packets, or opens them and leaves the tags that they should have. Returns 0, or the library's error.
int weir_mb_run(IMB_MGR *manager, const struct weir_packet *packets, uint32_t count, int opens) {
  IMB_JOB *jobs[IMB_MAX_BURST_SIZE];
  uint8_t nonces[IMB_MAX_BURST_SIZE][NONCE_BYTES];
  while (count > 0) {
    const uint32_t asked = count < IMB_MAX_BURST_SIZE ? count : IMB_MAX_BURST_SIZE;
    // It may give fewer than asked for.
    const uint32_t given = IMB_GET_NEXT_BURST(manager, asked, jobs);
    if (given == 0)
      return IMB_ERR_QUEUE_SPACE;
    for (uint32_t i = 0; i < given; i++) {
      memset(nonces[i], 0, COUNTER_AT);
      // Counters are little-endian, as the CPUs are that it is made for.
      memcpy(nonces[i] + COUNTER_AT, &packets[i].counter, sizeof packets[i].counter);
      describe(jobs[i], &packets[i], nonces[i], opens);
    }
    // This cipher's jobs are done when submitted; none waits in the manager with a nonce of this frame. The library is
    // spared its check of what is written above, a tenth of its time at 64 bytes.
    if (IMB_SUBMIT_BURST_NOCHECK(manager, given, jobs) != given) {
      const int error = imb_get_errno(manager);
      return error != 0 ? error : IMB_ERR_BURST_SIZE;
    }
    packets += given;
    count -= given;
  }
  return 0;
}
