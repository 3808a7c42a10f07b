// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decides, before the kernel's network stack, what becomes of each frame on a device that Weir shares with the kernel:
 * datagrams of tunnels and packets for peers go to the AF_XDP socket of the queue they arrived on, all else to the
 * kernel. weir-wire's module arrival decides the same in Rust and holds the reasons; a test compares the two.
 *
 * Loaded once for each device. Everything in the maps may change while it runs.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define QUEUES 256
#define PORTS 64
#define ADDRESSES 4096
#define PREFIXES (1 << 21)

#define ROLE_WAN 1
#define ROLE_LAN 2

#define MORE_FRAGMENTS_OR_OFFSET 0x3fff
#define HOP_BY_HOP 0
#define FRAGMENT_HEADER 44

/* WireGuard whitepaper 5.4. */
#define TYPE_INITIATION 1
#define TYPE_RESPONSE 2
#define TYPE_COOKIE_REPLY 3
#define TYPE_TRANSPORT 4
#define INITIATION_LEN 148
#define RESPONSE_LEN 92
#define COOKIE_REPLY_LEN 64
#define TRANSPORT_MIN_LEN 32
#define MAC2_OFFSET 132

/* RFC 8489 section 5. */
#define STUN_HEADER_LEN 20
#define STUN_COOKIE 0x2112a442

/* The discriminants of weir_wire::arrival::Verdict. */
enum verdict {
	OTHER_MAC,
	VLAN,
	OTHER_ETHERTYPE,
	MALFORMED,
	FRAGMENT,
	OPTIONS,
	WAN,
	UNKNOWN,
	CEILING,
	LAN,
	HOP_LIMIT,
	KERNEL,
	VERDICTS,
};

struct settings {
	/* What one initiation without mac2 costs, and the most that may be saved, in ns; no cost is no ceiling. */
	__u64 cost_ns;
	__u64 saved_most_ns;
	__u8 mac[ETH_ALEN];
	__u8 roles;
	__u8 reserved;
};

struct bucket {
	__u64 saved_ns;
	__u64 at_ns;
};

struct key_v4 {
	__u32 length;
	__u8 address[4];
};

struct key_v6 {
	__u32 length;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* In network byte order. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS);
	__type(key, __u16);
	__type(value, __u8);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRESSES);
	__type(key, __u8[4]);
	__type(value, __u8);
} own_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ADDRESSES);
	__type(key, __u8[16]);
	__type(value, __u8);
} own_v6 SEC(".maps");

/* Whether what a prefix holds goes into the tunnel. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key_v4);
	__type(value, __u8);
} routes_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key_v6);
	__type(value, __u8);
} routes_v6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

/*
 * Tells the verifier that a number has 16 bits, which that of Linux 6.1 and 6.12 forgets when bytes are swapped; the
 * compiler knows it and would leave a mere mask out.
 */
static __always_inline __u32 of_16_bits(__u32 number)
{
	asm volatile("%0 &= 0xffff" : "+r"(number));
	return number;
}

/* Whether an initiation without mac2 is within the ceiling of this core. */
static __always_inline int within_ceiling(const struct settings *set)
{
	struct bucket *bucket;
	__u32 zero = 0;
	__u64 now;

	if (!set->cost_ns)
		return 1;
	bucket = bpf_map_lookup_elem(&buckets, &zero);
	if (!bucket)
		return 1;
	now = bpf_ktime_get_ns();
	bucket->saved_ns += now - bucket->at_ns;
	bucket->at_ns = now;
	if (bucket->saved_ns > set->saved_most_ns)
		bucket->saved_ns = set->saved_most_ns;
	if (bucket->saved_ns < set->cost_ns)
		return 0;
	bucket->saved_ns -= set->cost_ns;
	return 1;
}

/* By the first bytes of a datagram and its length; the payload is as long as was checked. */
static __always_inline enum verdict format(const struct settings *set, const __u8 *payload, __u32 len, const void *end)
{
	const __u32 *words = (const void *)payload;
	__u32 stated;

	if (payload + 4 > (const __u8 *)end || len < 4)
		return UNKNOWN;
	if (!(payload[1] | payload[2] | payload[3])) {
		switch (payload[0]) {
		case TYPE_INITIATION:
			if (len != INITIATION_LEN)
				break;
			if (payload + INITIATION_LEN > (const __u8 *)end)
				return UNKNOWN;
			words += MAC2_OFFSET / 4;
			if (words[0] | words[1] | words[2] | words[3])
				return WAN;
			return within_ceiling(set) ? WAN : CEILING;
		case TYPE_RESPONSE:
			if (len == RESPONSE_LEN)
				return WAN;
			break;
		case TYPE_COOKIE_REPLY:
			if (len == COOKIE_REPLY_LEN)
				return WAN;
			break;
		case TYPE_TRANSPORT:
			if (len >= TRANSPORT_MIN_LEN)
				return WAN;
			break;
		}
	}
	if (payload + STUN_HEADER_LEN > (const __u8 *)end || len < STUN_HEADER_LEN)
		return UNKNOWN;
	stated = (__u32)payload[2] << 8 | payload[3];
	if (payload[0] & 0xc0 || words[1] != bpf_htonl(STUN_COOKIE) || stated + STUN_HEADER_LEN != len || stated % 4)
		return UNKNOWN;
	return WAN;
}

/* A datagram for this host, which `len` bytes of the IP packet are left for. */
static __always_inline enum verdict datagram(const struct settings *set, const struct udphdr *udp, __u32 len,
					     const void *end)
{
	__u16 port;

	if (len < sizeof(*udp) || (const void *)(udp + 1) > end)
		return MALFORMED;
	port = udp->dest;
	if (!bpf_map_lookup_elem(&ports, &port))
		return KERNEL;
	if (bpf_ntohs(udp->len) != len)
		return MALFORMED;
	return format(set, (const __u8 *)(udp + 1), len - sizeof(*udp), end);
}

static __always_inline int routed_v4(const __u8 *address)
{
	return !(address[0] == 0 || address[0] == 127 || address[0] >= 224 || (address[0] == 169 && address[1] == 254));
}

static __always_inline enum verdict ipv4(const struct settings *set, const struct iphdr *ip, const void *end)
{
	struct key_v4 key = { .length = 32 };
	const __u8 *into_tunnel;
	__u8 source[4];
	__u32 header;
	__u32 total;

	if ((const void *)(ip + 1) > end)
		return MALFORMED;
	header = (__u32)ip->ihl * 4;
	total = of_16_bits(bpf_ntohs(ip->tot_len));
	if (ip->version != 4 || header < sizeof(*ip) || header > total || (const __u8 *)ip + total > (const __u8 *)end)
		return MALFORMED;
	__builtin_memcpy(key.address, &ip->daddr, 4);
	if (bpf_map_lookup_elem(&own_v4, key.address)) {
		if (!(set->roles & ROLE_WAN) || ip->protocol != IPPROTO_UDP)
			return KERNEL;
		if (ip->frag_off & bpf_htons(MORE_FRAGMENTS_OR_OFFSET))
			return FRAGMENT;
		if (header > sizeof(*ip))
			return OPTIONS;
		return datagram(set, (const void *)(ip + 1), total - sizeof(*ip), end);
	}
	__builtin_memcpy(source, &ip->saddr, 4);
	if (!(set->roles & ROLE_LAN) || !routed_v4(source) || !routed_v4(key.address))
		return KERNEL;
	into_tunnel = bpf_map_lookup_elem(&routes_v4, &key);
	if (!into_tunnel || !*into_tunnel)
		return KERNEL;
	if (header > sizeof(*ip))
		return OPTIONS;
	return ip->ttl <= 1 ? HOP_LIMIT : LAN;
}

static __always_inline int routed_v6(const __u8 *address)
{
	__u32 words[3];

	__builtin_memcpy(words, address, sizeof(words));
	return (words[0] | words[1] | words[2]) && address[0] != 0xff && !(address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

static __always_inline enum verdict ipv6(const struct settings *set, const struct ipv6hdr *ip, const void *end)
{
	struct key_v6 key = { .length = 128 };
	const __u8 *into_tunnel;
	__u8 source[16];
	__u32 payload;

	if ((const void *)(ip + 1) > end)
		return MALFORMED;
	payload = of_16_bits(bpf_ntohs(ip->payload_len));
	if (ip->version != 6 || (const __u8 *)(ip + 1) + payload > (const __u8 *)end)
		return MALFORMED;
	__builtin_memcpy(key.address, &ip->daddr, 16);
	if (bpf_map_lookup_elem(&own_v6, key.address)) {
		if (!(set->roles & ROLE_WAN))
			return KERNEL;
		if (ip->nexthdr == IPPROTO_UDP)
			return datagram(set, (const void *)(ip + 1), payload, end);
		return ip->nexthdr == FRAGMENT_HEADER ? FRAGMENT : KERNEL;
	}
	__builtin_memcpy(source, &ip->saddr, 16);
	if (!(set->roles & ROLE_LAN) || !routed_v6(source) || !routed_v6(key.address))
		return KERNEL;
	into_tunnel = bpf_map_lookup_elem(&routes_v6, &key);
	if (!into_tunnel || !*into_tunnel)
		return KERNEL;
	if (ip->nexthdr == HOP_BY_HOP)
		return OPTIONS;
	return ip->hop_limit <= 1 ? HOP_LIMIT : LAN;
}

/* Word by word: a comparison of bytes becomes a call that BPF does not have. Both are aligned to words. */
static __always_inline int same_mac(const __u8 *left, const __u8 *right)
{
	const __u16 *a = (const void *)left;
	const __u16 *b = (const void *)right;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static __always_inline enum verdict arrival(const struct settings *set, const struct ethhdr *ethernet, const void *end)
{
	if ((const void *)(ethernet + 1) > end)
		return MALFORMED;
	if (!same_mac(ethernet->h_dest, set->mac))
		return OTHER_MAC;
	switch (ethernet->h_proto) {
	case bpf_htons(ETH_P_IP):
		return ipv4(set, (const void *)(ethernet + 1), end);
	case bpf_htons(ETH_P_IPV6):
		return ipv6(set, (const void *)(ethernet + 1), end);
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return VLAN;
	default:
		return OTHER_ETHERTYPE;
	}
}

SEC("xdp")
int weir_arrival(struct xdp_md *frame)
{
	const void *end = (const void *)(long)frame->data_end;
	const struct settings *set;
	__u64 *counter;
	__u32 verdict;
	__u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set)
		return XDP_PASS;
	verdict = arrival(set, (const void *)(long)frame->data, end);
	counter = bpf_map_lookup_elem(&counters, &verdict);
	if (counter)
		*counter += 1;
	switch (verdict) {
	case WAN:
	case LAN:
		/* A queue without a socket is the kernel's. */
		return bpf_redirect_map(&sockets, frame->rx_queue_index, XDP_PASS);
	case UNKNOWN:
	case CEILING:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

char LICENSE[] SEC("license") = "GPL";
