// SPDX-License-Identifier: GPL-2.0-only
/*
 * Picks the socket of an SO_REUSEPORT group for a WireGuard datagram: what carries a receiver index goes to the shard
 * that the index's slot (its high 10 bits) belongs to, everything else to the socket of the kernel's own hash over
 * addresses and ports. Loaded once and attached to the IPv4 and to the IPv6 group of one port, which the kernel keeps
 * apart; hence two socket arrays behind one table of slots.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 1024
#define SHARDS 256
#define IPV6_ETHERTYPE 0x86DD

/* The first byte of a message, which three reserved zeros follow: WireGuard whitepaper 5.4. */
#define TYPE_RESPONSE 2
#define TYPE_COOKIE_REPLY 3
#define TYPE_TRANSPORT 4

struct slot_table {
	__u16 shard[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot_table);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, SHARDS);
	__type(key, __u32);
	__type(value, __u64);
} sockets_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, SHARDS);
	__type(key, __u32);
	__type(value, __u64);
} sockets_v6 SEC(".maps");

/* The UDP header, then as much of a message as any receiver index needs. */
struct head {
	__u8 udp[8];
	__u8 type;
	__u8 reserved[3];
	__u8 first[4];
	__u8 second[4];
};

/* The high 10 bits of a little-endian receiver index. */
static __always_inline __u32 slot_of(const __u8 *index)
{
	return (__u32)index[3] << 2 | index[2] >> 6;
}

SEC("sk_reuseport")
int weir_steer(struct sk_reuseport_md *md)
{
	const struct slot_table *table;
	struct head head;
	__u32 zero = 0;
	__u32 shard;
	__u32 slot;

	/* Every message is longer; passing without a choice leaves it to the kernel's hash. */
	if (bpf_skb_load_bytes(md, 0, &head, sizeof(head)))
		return SK_PASS;

	if (head.reserved[0] | head.reserved[1] | head.reserved[2])
		return SK_PASS;

	switch (head.type) {
	case TYPE_TRANSPORT:
	case TYPE_COOKIE_REPLY:
		slot = slot_of(head.first);
		break;
	case TYPE_RESPONSE:
		slot = slot_of(head.second);
		break;
	default:
		return SK_PASS;
	}

	table = bpf_map_lookup_elem(&slots, &zero);
	if (!table)
		return SK_PASS;
	shard = table->shard[slot];

	/* A shard without a socket is an error of the call and no choice: the hash decides. */
	if (md->eth_protocol == bpf_htons(IPV6_ETHERTYPE))
		bpf_sk_select_reuseport(md, &sockets_v6, &shard, 0);
	else
		bpf_sk_select_reuseport(md, &sockets_v4, &shard, 0);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
