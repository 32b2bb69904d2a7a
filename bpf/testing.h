/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * testing.h - what differs when the programs run under bpf_prog_test_run(): never part of a release
 * object. Each test run brings a socket of its own and a packet of at most a page.
 *
 * SLID_TEST: connections live in a hash map by local and remote port, so that they last from one
 * run to the next and the test can make them as sockops would.
 * SLID_BENCH: connections live on the socket, as they should, which lasts through the repeats of
 * one run. They begin as the benchmark says, and each packet's progress is taken back behind it, so
 * that the next repeat finds the same packet new.
 * In both a longer packet has its length in its mark; its bytes come in a map to tests, and are
 * nothing that a benchmark's packet of that kind is read for.
 */
#ifndef SLID_TESTING_H
#define SLID_TESTING_H

struct { /* a new connection, struct slid_conn as bytes: what holds a lock cannot be copied from.
	  * In: the benchmark, else it is zero */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[sizeof(struct slid_conn)]);
} slid_fresh SEC(".maps");

static __always_inline __u32 packet_bytes(const struct __sk_buff *skb)
{
	return skb->mark ? skb->mark : skb->len;
}

#ifdef SLID_TEST
#define TESTING_JUMBO (128 * 1024)

struct testing_jumbo {
	__u8 bytes[TESTING_JUMBO + 4096];
};

struct { /* a packet, from its network header on; in: the test */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct testing_jumbo);
} slid_jumbo SEC(".maps");

/* A global function: inlined, its two ways would be followed apart to the end. */
__attribute__((noinline)) int slid_load(struct __sk_buff *skb, struct http_win *win, __u32 off,
					__u32 cnt)
{
	struct testing_jumbo *jumbo;
	__u32 zero = 0;

	if (!win || !cnt || cnt > HTTP_WIN)
		return -1;
	if (!skb->mark)
		return (int)bpf_skb_load_bytes(skb, off, win->bytes + HTTP_CARRY, cnt);
	jumbo = bpf_map_lookup_elem(&slid_jumbo, &zero);
	if (!jumbo || off >= TESTING_JUMBO)
		return -1;
	return (int)bpf_probe_read_kernel(win->bytes + HTTP_CARRY, cnt, jumbo->bytes + off);
}

static __always_inline long packet_load(struct __sk_buff *skb, __u32 off, struct http_win *win,
					__u32 cnt)
{
	return slid_load(skb, win, off, cnt);
}

static __always_inline __u32 conn_key(const struct packet *p, int dir)
{
	__u32 in = (__u32)p->dst_port << 16 | p->src_port;
	__u32 out = (__u32)p->src_port << 16 | p->dst_port;

	/* No branch: the verifier would follow both ways to the end. */
	return in ^ ((in ^ out) & (0u - (__u32)(dir & 1)));
}

static __always_inline struct slid_conn *conn_find(struct bpf_sock *sk, const struct packet *p,
						   int dir)
{
	__u32 key = conn_key(p, dir);

	return bpf_map_lookup_elem(&slid_conns, &key);
}

static __always_inline struct slid_conn *conn_make(struct bpf_sock *sk, const struct packet *p,
						   int dir)
{
	__u32 key = conn_key(p, dir), zero = 0;
	void *fresh = bpf_map_lookup_elem(&slid_fresh, &zero);

	if (!fresh)
		return 0;
	bpf_map_update_elem(&slid_conns, &key, fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&slid_conns, &key);
}
#else
static __always_inline long packet_load(struct __sk_buff *skb, __u32 off, struct http_win *win,
					__u32 cnt)
{
	return bpf_skb_load_bytes(skb, off, win->bytes + HTTP_CARRY, cnt);
}

static __always_inline struct slid_conn *conn_find(struct bpf_sock *sk, const struct packet *p,
						   int dir)
{
	return bpf_sk_storage_get(&slid_conns, sk, 0, 0);
}

static __always_inline struct slid_conn *conn_make(struct bpf_sock *sk, const struct packet *p,
						   int dir)
{
	__u32 zero = 0;
	void *fresh = bpf_map_lookup_elem(&slid_fresh, &zero);

	return fresh ? bpf_sk_storage_get(&slid_conns, sk, fresh, BPF_SK_STORAGE_GET_F_CREATE) : 0;
}

/* Where the packet's stream stood before it; set by the benchmark. */
struct {
	__u64 left;
	__u32 next_seq;
	__u8 state;
	__u8 ring_head;
	__u8 ring_tail;
} slid_mark;

static __always_inline void testing_rewind(struct http_conn *c, struct http_stream *s)
{
	s->left = HTTP_READ(slid_mark.left);
	s->next_seq = HTTP_READ(slid_mark.next_seq);
	s->state = HTTP_READ(slid_mark.state);
	s->carry_len = 0;
	c->ring_head = HTTP_READ(slid_mark.ring_head);
	c->ring_tail = HTTP_READ(slid_mark.ring_tail);
}
#endif

#endif
