/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * flow.h - one packet of one connection: find the connection, read what is new in the payload,
 * count what ended. The payload is read in windows; what a window leaves is found again by the
 * connection's state alone.
 */
#ifndef SLID_FLOW_H
#define SLID_FLOW_H

#include "account.h"
#include "packet.h"

#define FLOW_WINDOWS 256 /* a 64 KiB segment full of chunks of one byte, HTTP_STEPS a window */

static __always_inline __u32 stream_kind(const struct slid_conn *conn, int dir)
{
	/* A server's ingress and a client's egress are requests. */
	return (conn->role == SLID_ROLE_SERVER) == (dir == DIR_INGRESS) ? HTTP_REQUESTS :
									 HTTP_RESPONSES;
}

#if !defined(SLID_TEST) && !defined(SLID_BENCH)
static __always_inline struct slid_conn *conn_find(struct bpf_sock *sk, const struct packet *p,
						   int dir)
{
	return bpf_sk_storage_get(&slid_conns, sk, 0, 0);
}

static __always_inline struct slid_conn *conn_make(struct bpf_sock *sk, const struct packet *p,
						   int dir)
{
	return bpf_sk_storage_get(&slid_conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}
#endif

/* A connection that no handshake announced: it began before slid. Its role shows in its first
 * bytes: a status line comes from the server, all else is taken for the client's. */
static __always_inline void conn_join(struct __sk_buff *skb, struct slid_conn *conn,
				      const struct packet *p, int dir)
{
	__u64 first = 0;
	int is_response;

	if (p->len < sizeof(first) ||
	    bpf_skb_load_bytes(skb, p->payload_off, &first, sizeof(first)))
		return;
	is_response = http_is_version((const __u8 *)&first);
	if (!is_response && http_method((const __u8 *)&first) < 0)
		return;
	conn->role = is_response == (dir == DIR_EGRESS) ? SLID_ROLE_SERVER : SLID_ROLE_CLIENT;
	if (!(conn->http.flags & HTTP_C_JOINED)) {
		conn->http.flags |= HTTP_C_JOINED;
		slid_drop(SLID_DROP_CNT + SLID_STAT_JOINED, 1);
	}
}

static __always_inline void conn_identify(struct __sk_buff *skb, struct slid_conn *conn,
					  const struct packet *p, int dir)
{
	if (!conn->cgroup_id)
		conn->cgroup_id = bpf_skb_cgroup_id(skb);
	if (!conn->port && conn->role)
		conn->port = (conn->role == SLID_ROLE_SERVER) == (dir == DIR_INGRESS) ? p->dst_port :
										       p->src_port;
}

/* What is to be done with a segment next: bytes to count unread, and bytes to read behind them. */
struct plan {
	__s32 off;  /* payload offset of the stream's next byte; negative = a gap before the payload */
	__u32 skip;
	__u32 n;
};

static __always_inline void plan_make(struct plan *plan, const struct http_stream *s,
				      const struct packet *p)
{
	__u8 state = HTTP_READ(s->state);
	__u32 rest;

	plan->off = (__s32)(HTTP_READ(s->next_seq) - p->seq);
	plan->skip = 0;
	plan->n = 0;
	if (plan->off < 0 || plan->off >= (__s32)p->len)
		return;
	rest = p->len - (__u32)plan->off;
	if (state >= HTTP_UNTIL_CLOSE) {
		if (state != HTTP_LOST || plan->off)
			plan->skip = rest;
	} else if (state >= HTTP_BODY) {
		__u64 left = HTTP_READ(s->left);

		plan->skip = left < rest ? (__u32)left : rest;
	}
	rest -= plan->skip;
	plan->n = rest < HTTP_WIN ? rest : HTTP_WIN;
}

/* Whether something may begin or end with what the plan reads or skips, and so needs the time. */
static __always_inline int plan_wants_time(const struct plan *plan, const struct http_stream *s)
{
	return plan->n || plan->off < 0 || HTTP_READ(s->range_cnt) ||
	       plan->skip >= HTTP_READ(s->left);
}

/* Apply the plan in the window, under the lock. */
static __always_inline void plan_apply(struct http_conn *c, struct http_stream *s,
				       struct slid_window *window, const struct packet *p,
				       __u64 now)
{
	__u32 skip;

	if (HTTP_RARE(HTTP_READ(window->gap))) {
		segment_gap(c, s, p->seq, p->len, now);
		return;
	}
	skip = HTTP_READ(window->skip);
	if (skip) {
		s->next_seq += skip;
		if (s->state < HTTP_UNTIL_CLOSE)
			http_skip(c, s, skip, now);
	}
	if (HTTP_READ(window->win.n) && !(HTTP_READ(c->events) & HTTP_E_DONE))
		s->next_seq += http_feed(c, s, &window->win, now);
	if (HTTP_RARE(HTTP_READ(s->range_cnt) && !(HTTP_READ(c->events) & HTTP_E_DONE)))
		segment_fill(c, s, now);
}

static __always_inline int flow_has_more(const struct http_conn *c, const struct http_stream *s,
					 const struct packet *p)
{
	__s32 off = (__s32)(HTTP_READ(s->next_seq) - p->seq);

	if (HTTP_READ(c->flags) & HTTP_C_OPAQUE)
		return 0;
	if (off >= 0 && off < (__s32)p->len)
		return 1;
	return HTTP_RARE(HTTP_READ(s->range_cnt)) && segment_may_fill(s);
}

/* The same number, 1..HTTP_WIN, in a form that all verifiers see through. */
static __always_inline __u32 window_bytes(__u32 n)
{
	asm volatile("" : "+r"(n));
	return ((n - 1) & (HTTP_WIN - 1)) + 1;
}

/* Load what the plan wants to read, before the lock is taken. Return: 0 or -1. */
static __always_inline int plan_load(struct __sk_buff *skb, struct slid_window *window,
				     const struct plan *plan, const struct packet *p, __u64 token)
{
	__u32 n = plan->n;

	if (!n)
		return 0;
	window->token = token;
	n = window_bytes(n);
	if (packet_load(skb, p->payload_off + (__u32)plan->off + plan->skip, &window->win, n)) {
		slid_drop(SLID_DROP_READ, 1);
		return -1;
	}
	return 0;
}

/* The connection of a packet that flow_packet() let through. */
static __always_inline struct slid_conn *conn_again(struct __sk_buff *skb, const struct packet *p,
						    __u32 dir)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk ? conn_find(sk, p, dir) : 0;
}

enum { /* what slid_read() says */
	FLOW_DONE = 0,
	FLOW_MORE,    /* there is more to read */
	FLOW_ENDED,   /* all is read, up to a FIN that had come earlier */
	FLOW_UNKNOWN, /* the connection is not ready to be read: flow_conn() */
};

/*
 * slid_read - read one window of the packet's payload. Return: FLOW_*. This and slid_finish() are
 * global functions, verified once each whatever led to them; they take the packet from skb->cb and
 * find the connection themselves.
 */
__attribute__((noinline)) int slid_read(struct __sk_buff *skb, __u32 dir)
{
	__u32 slot = dir & 1;
	struct slid_window *window;
	struct plan plan, again;
	struct slid_conn *conn;
	struct http_stream *s;
	struct found found;
	struct packet p;
	__u64 now = 0, token;
	int more;

	packet_get(skb, &p);
	conn = conn_again(skb, &p, slot);
	if (HTTP_RARE(!conn || !(conn->ready & 1 << slot)))
		return FLOW_UNKNOWN;
	window = bpf_map_lookup_elem(&slid_windows, &slot);
	if (!window)
		return FLOW_DONE;
	skb->cb[CB_KIND] = stream_kind(conn, slot);
	s = &conn->http.stream[HTTP_READ(skb->cb[CB_KIND]) & 1];
	if (HTTP_READ(s->state) == HTTP_OPAQUE)
		return FLOW_DONE;
	plan_make(&plan, s, &p);
	if (HTTP_RARE(plan.off >= (__s32)p.len && !HTTP_READ(s->range_cnt)))
		return FLOW_DONE; /* seen before */
	if (plan_wants_time(&plan, s))
		now = packet_time(skb, slot);
	token = now ^ ((__u64)p.seq << 32) ^ p.src_port ^ (__u64)p.dst_port << 16;
	if (plan_load(skb, window, &plan, &p, token))
		return FLOW_DONE;
	bpf_spin_lock(&conn->lock);
	plan_make(&again, s, &p);
	if (HTTP_RARE(again.off != plan.off || again.skip != plan.skip || again.n != plan.n ||
	    plan_wants_time(&again, s) != (now != 0) ||
	    (plan.n && HTTP_READ(window->token) != token))) {
		bpf_spin_unlock(&conn->lock);
		return FLOW_MORE; /* somebody was here in between: look again */
	}
	window->gap = again.off < 0;
	window->skip = again.skip;
	window->win.n = again.n;
	window->win.at_start = !again.off && !again.skip;
	plan_apply(&conn->http, s, window, &p, now);
	more = flow_has_more(&conn->http, s, &p);
	found_take(&found, &conn->http);
	bpf_spin_unlock(&conn->lock);
	if (found.events || found.started_cnt)
		found_count(conn, &found, now);
#ifdef SLID_BENCH
	if (!more)
		testing_rewind(&conn->http, s);
#endif
	if (more)
		return FLOW_MORE;
	return segment_is_ended(s) ? FLOW_ENDED : FLOW_DONE;
}

/* No response can follow any more: every outstanding request ends now. */
static __always_inline void flow_end(struct slid_conn *conn, int orderly, int client_first)
{
	__u64 now = bpf_ktime_get_ns();

	for (int i = 0; i <= HTTP_RING; i++) {
		struct found found;
		int again;

		bpf_spin_lock(&conn->lock);
		again = http_end(&conn->http, orderly, client_first, now);
		found_take(&found, &conn->http);
		bpf_spin_unlock(&conn->lock);
		if (found.events)
			found_count(conn, &found, now);
		if (!again)
			break;
	}
}

/* slid_give_up - the segment has more to read than is read of one: the rest of it is lost. */
__attribute__((noinline)) int slid_give_up(struct __sk_buff *skb, __u32 dir)
{
	__u64 now = bpf_ktime_get_ns();
	struct slid_conn *conn;
	struct http_stream *s;
	struct found found;
	struct packet p;
	__u32 off;

	slid_drop(SLID_DROP_SEGMENT_LIMIT, 1);
	packet_get(skb, &p);
	dir &= 1;
	conn = conn_again(skb, &p, dir);
	if (!conn)
		return 0;
	s = &conn->http.stream[stream_kind(conn, dir) & 1];
	bpf_spin_lock(&conn->lock);
	off = s->next_seq - p.seq;
	if (off < p.len)
		segment_miss(&conn->http, s, p.len - off, now);
	found_take(&found, &conn->http);
	bpf_spin_unlock(&conn->lock);
	found_count(conn, &found, now);
	return 0;
}

/* Whether an RST that arrived is one: RFC 5961 section 3.2, it is only at the next sequence number,
 * else it is a probe. A FIN has a number too. */
static __always_inline int flow_is_reset(const struct http_conn *c, const struct http_stream *s,
					 __u32 seq)
{
	if (!(s->flags & HTTP_F_SYN) || (c->flags & HTTP_C_OPAQUE) || seq == s->next_seq)
		return 1;
	return (s->flags & HTTP_F_FIN) && seq == s->fin_seq + 1;
}

/* slid_finish - the stream's FIN, once all before it is read, or the segment's RST. */
__attribute__((noinline)) int slid_finish(struct __sk_buff *skb, __u32 dir)
{
	int from_server, client_first;
	struct slid_conn *conn;
	struct http_stream *s;
	struct packet p;

	packet_get(skb, &p);
	dir &= 1;
	conn = conn_again(skb, &p, dir);
	if (!conn)
		return 0;
	s = &conn->http.stream[stream_kind(conn, dir) & 1];
	from_server = (conn->role == SLID_ROLE_SERVER) == (dir == DIR_EGRESS);
	if (p.flags & TCP_RST) {
		if (dir == DIR_INGRESS && !flow_is_reset(&conn->http, s, p.seq))
			return 0;
		if (dir == DIR_INGRESS)
			conn->http.flags |= HTTP_C_RST_IN;
		if (conn->http.flags & HTTP_C_ACCEPTED)
			port_add(conn,
				 dir == DIR_INGRESS ? PORT_FIELD(resets_in) : PORT_FIELD(resets_out),
				 1);
	} else {
		if (p.flags & TCP_FIN) {
			bpf_spin_lock(&conn->lock);
			segment_fin(s, p.seq + p.len);
			bpf_spin_unlock(&conn->lock);
		}
		if (!segment_is_ended(s))
			return 0; /* something before it is missing: the FIN waits for it */
	}
	client_first = !!(conn->http.flags & HTTP_C_CLIENT_END);
	if (from_server)
		conn->http.flags |= HTTP_C_SERVER_END;
	else if (!(conn->http.flags & HTTP_C_SERVER_END))
		conn->http.flags |= HTTP_C_CLIENT_END;
	if (from_server || (p.flags & TCP_RST))
		flow_end(conn, !(p.flags & TCP_RST), !from_server || client_first);
	return 0;
}

/* The handshake's last segment, on the listening socket: keep it for the socket that it makes. */
static __always_inline void flow_early(struct __sk_buff *skb, const struct packet *p)
{
	struct slid_early *early;
	__u32 zero = 0, off = 0;

	early = bpf_map_lookup_elem(&slid_early, &zero);
	if (!early)
		return;
	early->cgroup_id = bpf_skb_cgroup_id(skb);
	early->peer_addr = packet_peer(skb);
	early->peer_port = p->src_port;
	early->port = p->dst_port;
	early->seq = p->seq;
	early->len = p->len;
	for (int i = 0; i < EARLY_WINDOWS; i++) {
		__u32 n = p->len - off;

		if (off >= p->len)
			break;
		n = window_bytes(n < HTTP_WIN ? n : HTTP_WIN);
		early->win[i].n = n;
		early->win[i].at_start = !i;
		if (packet_load(skb, p->payload_off + off, &early->win[i], n)) {
			slid_drop(SLID_DROP_READ, 1);
			break;
		}
		off += n;
	}
}

/* Prepare the packet's connection. Return: whether there is something in the packet for it. */
static __always_inline int flow_conn(struct __sk_buff *skb, struct bpf_sock *sk,
				     const struct packet *p, int dir)
{
	struct slid_conn *conn = conn_find(sk, p, dir);
	struct http_stream *s;

	if (!conn) {
		if (!p->len)
			return 0;
		conn = conn_make(sk, p, dir);
		if (!conn) {
			slid_drop(SLID_DROP_CONN_ALLOC, 1);
			return 0;
		}
		http_conn_init(&conn->http);
	}
	if (conn->http.flags & HTTP_C_OPAQUE)
		return 1;
	if (!conn->role)
		conn_join(skb, conn, p, dir);
	conn_identify(skb, conn, p, dir);
	if (!conn->role)
		return 0;
	s = &conn->http.stream[stream_kind(conn, dir) & 1];
	if (p->flags & TCP_SYN) {
		s->next_seq = p->seq;
		s->flags |= HTTP_F_SYN;
	} else if (!(s->flags & HTTP_F_SYN)) {
		bpf_spin_lock(&conn->lock);
		segment_begin(&conn->http, s, p->seq);
		bpf_spin_unlock(&conn->lock);
	}
	conn->ready |= 1 << dir;
	return 1;
}

/* A packet whose connection is not ready: make it so, or keep the packet for the connection that it
 * makes. Return: whether to go on with it. */
static __always_inline int flow_prepare(struct __sk_buff *skb, const struct packet *p, int dir)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	if (dir == DIR_INGRESS && sk->state == BPF_TCP_LISTEN) {
		flow_early(skb, p);
		return 0;
	}
	if (!p->len && !(p->flags & (TCP_FIN | TCP_SYN | TCP_RST)))
		return 0;
	return flow_conn(skb, sk, p, dir);
}

/* flow_packet - the programs' one path. dir is constant in each. */
static __always_inline void flow_packet(struct __sk_buff *skb, int dir)
{
	int found = FLOW_UNKNOWN;
	struct packet p;

	if (!packet_parse(skb))
		return;
	packet_get(skb, &p);
	if (dir == DIR_EGRESS && !p.len && !(p.flags & (TCP_FIN | TCP_SYN | TCP_RST)))
		return; /* at ingress it may be a handshake's end */
	if (p.len && !(p.flags & TCP_SYN))
		found = slid_read(skb, dir);
	if (HTTP_RARE(found == FLOW_UNKNOWN)) {
		if (!flow_prepare(skb, &p, dir))
			return;
		found = p.len ? FLOW_MORE : FLOW_DONE;
	}
	for (int i = 0; i < FLOW_WINDOWS && found == FLOW_MORE; i++)
		found = slid_read(skb, dir);
	if (found == FLOW_MORE)
		slid_give_up(skb, dir);
	if (found == FLOW_ENDED || (p.flags & (TCP_FIN | TCP_RST)))
		slid_finish(skb, dir);
}

#endif
