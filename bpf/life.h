/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * life.h - a connection's life, from the sockops callbacks: its beginning (who connected to whom,
 * how long it took), its retransmissions, its end.
 */
#ifndef SLID_LIFE_H
#define SLID_LIFE_H

#include "flow.h"

#define EARLY_TURNS    8 /* runs over one window: 2.5 bytes a step at the least */
#define LIFE_CALLBACKS (BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG)

#ifndef SLID_TEST
static __always_inline struct slid_conn *life_conn(struct bpf_sock_ops *ops, __u64 flags)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&slid_conns, sk, 0, flags) : 0;
}
#else
static __always_inline struct slid_conn *life_conn(struct bpf_sock_ops *ops, __u64 flags)
{
	return 0; /* sockops programs have no test run */
}
#endif

/* connect() begins; the SYN is not sent yet. */
static __always_inline void life_connect(struct bpf_sock_ops *ops)
{
	struct slid_conn *conn = life_conn(ops, BPF_SK_STORAGE_GET_F_CREATE);

	if (!conn) {
		slid_drop(SLID_DROP_CONN_ALLOC, 1);
		return;
	}
	http_conn_init(&conn->http);
	conn->role = SLID_ROLE_CLIENT;
	conn->port = (__u16)bpf_ntohl(ops->remote_port);
	conn->connect_ns = bpf_ktime_get_ns();
	bpf_sock_ops_cb_flags_set(ops, (int)ops->bpf_sock_ops_cb_flags | LIFE_CALLBACKS);
}

static __always_inline void life_established(struct bpf_sock_ops *ops)
{
	struct slid_conn *conn = life_conn(ops, 0);

	if (!conn || conn->role != SLID_ROLE_CLIENT)
		return;
	conn->http.flags |= HTTP_C_ACCEPTED;
	port_add(conn, PORT_FIELD(connects[SLID_CONNECT_OK]), 1);
	observe(conn, SLID_WHAT_CONNECT, 0, 0, 0, 0, bpf_ktime_get_ns() - conn->connect_ns);
}

/* slid_take_early - read on in a window of what the handshake's last segment carried; `turn` is 0
 * when it is new. Return: whether the window has more to read. A global function, verified once. */
__attribute__((noinline)) int slid_take_early(struct bpf_sock_ops *ops, __u32 idx, __u32 turn)
{
	struct slid_conn *conn = life_conn(ops, 0);
	struct slid_early *early;
	struct http_stream *s;
	struct http_win *w;
	struct found found;
	__u32 zero = 0;
	int more = 0;
	__u64 now;

	early = bpf_map_lookup_elem(&slid_early, &zero);
	if (!conn || !early || idx >= EARLY_WINDOWS || idx * HTTP_WIN >= early->len)
		return 0;
	s = &conn->http.stream[HTTP_REQUESTS];
	w = &early->win[idx];
	now = bpf_ktime_get_ns();
	bpf_spin_lock(&conn->lock);
	if (turn || http_begin(&conn->http, s, w, now)) {
		http_run(&conn->http, s, w, now);
		more = turn < EARLY_TURNS && HTTP_READ(w->pos) < HTTP_READ(w->end) &&
		       HTTP_READ(s->state) < HTTP_UNTIL_CLOSE &&
		       !(HTTP_READ(conn->http.flags) & HTTP_C_OPAQUE);
		if (!more)
			http_pause(&conn->http, s, w);
	}
	if (!more)
		s->next_seq += HTTP_READ(w->n);
	if (!more && idx == EARLY_WINDOWS - 1 && early->len > EARLY_WINDOWS * HTTP_WIN)
		segment_miss(&conn->http, s, early->len - EARLY_WINDOWS * HTTP_WIN, now);
	found_take(&found, &conn->http);
	bpf_spin_unlock(&conn->lock);
	if (found.events || found.started_cnt)
		found_count(conn, &found, now);
	return more;
}

/* Whether the segment that made this socket is the one in slid_early: it then is taken over. */
static __always_inline int life_find_early(struct bpf_sock_ops *ops, struct slid_conn *conn)
{
	__u32 peer = ops->remote_ip6[3], peer4 = ops->remote_ip4;
	struct slid_early *early;
	__u32 zero = 0;

	asm volatile("" : "+r"(peer), "+r"(peer4)); /* two loads, not one at a chosen offset */
	if (ops->family == 2)
		peer = peer4;
	early = bpf_map_lookup_elem(&slid_early, &zero);
	if (!early || early->peer_port != (__u16)bpf_ntohl(ops->remote_port) ||
	    early->port != conn->port || early->peer_addr != peer)
		return 0;
	early->peer_port = 0;
	conn->cgroup_id = early->cgroup_id;
	conn->http.stream[HTTP_REQUESTS].next_seq = early->seq;
	return 1;
}

static __always_inline void life_accepted(struct bpf_sock_ops *ops)
{
	struct slid_conn *conn = life_conn(ops, BPF_SK_STORAGE_GET_F_CREATE);
	int is_early;

	if (!conn) {
		slid_drop(SLID_DROP_CONN_ALLOC, 1);
		return;
	}
	http_conn_init(&conn->http);
	conn->role = SLID_ROLE_SERVER;
	conn->port = (__u16)ops->local_port;
	conn->http.stream[HTTP_REQUESTS].next_seq = ops->rcv_nxt;
	conn->http.stream[HTTP_REQUESTS].flags = HTTP_F_SYN;
	conn->http.stream[HTTP_RESPONSES].next_seq = ops->snd_nxt;
	conn->http.stream[HTTP_RESPONSES].flags = HTTP_F_SYN;
	is_early = life_find_early(ops, conn);
	conn->http.flags |= HTTP_C_ACCEPTED;
	port_add(conn, PORT_FIELD(accepted), 1);
	bpf_sock_ops_cb_flags_set(ops, (int)ops->bpf_sock_ops_cb_flags | LIFE_CALLBACKS);
	for (__u32 idx = 0; is_early && idx < EARLY_WINDOWS; idx++) {
		for (__u32 turn = 0; turn <= EARLY_TURNS; turn++) {
			if (!slid_take_early(ops, idx, turn))
				break;
		}
	}
}

static __always_inline void life_failed_connect(struct bpf_sock_ops *ops, struct slid_conn *conn,
						int old_state)
{
	__u32 result = SLID_CONNECT_ABORTED;

	if (conn->http.flags & HTTP_C_RST_IN)
		result = old_state == BPF_TCP_SYN_SENT ? SLID_CONNECT_REFUSED : SLID_CONNECT_RESET;
	else if (ops->total_retrans)
		result = SLID_CONNECT_TIMED_OUT;
	port_add(conn, PORT_FIELD(connects) + result, 1);
}

/* The socket is done: what is outstanding ends here, if no FIN or RST told before. */
static __always_inline void life_closed(struct bpf_sock_ops *ops, int old_state)
{
	struct slid_conn *conn = life_conn(ops, 0);
	__u32 srtt;
	int client_first;

	if (!conn)
		return;
	if (conn->role == SLID_ROLE_CLIENT && !(conn->http.flags & HTTP_C_ACCEPTED)) {
		life_failed_connect(ops, conn, old_state);
		return;
	}
	port_add(conn, PORT_FIELD(closed), 1);
	srtt = ops->srtt_us;
	if (srtt) /* in eighths of a microsecond */
		observe(conn, SLID_WHAT_RTT, 0, 0, 0, 0, (__u64)srtt * 125);
	if (conn->http.ring_head == conn->http.ring_tail)
		return;
	client_first = conn->http.flags & HTTP_C_CLIENT_END;
	if (!(conn->http.flags & (HTTP_C_CLIENT_END | HTTP_C_SERVER_END))) {
		/* The peer went silent, or this side gave up: its RST is sent after this state. */
		int is_local = !ops->retrans_out;

		client_first = (conn->role == SLID_ROLE_CLIENT) == is_local;
	}
	flow_end(conn, 0, !!client_first);
}

static __always_inline void life_retransmit(struct bpf_sock_ops *ops)
{
	struct slid_conn *conn = life_conn(ops, 0);

	if (conn)
		port_add(conn, PORT_FIELD(retransmitted_segments), ops->args[1]);
}

static __always_inline void life_event(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		life_connect(ops);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		life_established(ops);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		life_accepted(ops);
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		life_retransmit(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == BPF_TCP_CLOSE)
			life_closed(ops, (int)ops->args[0]);
		break;
	}
}

#endif
