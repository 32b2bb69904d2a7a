/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * packet.h - IP and TCP headers of a packet at the cgroup_skb hooks, where data begins with the
 * network header. Read by bpf_skb_load_bytes alone: no packet pointers, so no CAP_PERFMON. What was
 * read is kept in the packet's control block, which the kernel lends to a program and restores
 * behind it: the global functions find it there.
 */
#ifndef SLID_PACKET_H
#define SLID_PACKET_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "slid/http.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

#define PACKET_V4 bpf_htons(0x0800)
#define PACKET_V6 bpf_htons(0x86dd)

enum { /* skb->cb[] */
	CB_SEQ = 0, /* host order; of the first payload byte */
	CB_PAYLOAD, /* payload's offset from the network header, flags << 16 */
	CB_LEN,     /* payload bytes */
	CB_PORTS,   /* host order; source << 16 | destination */
	CB_KIND,    /* of the stream: read back from here, both kinds are one to the verifier */
};

struct packet {
	__u32 seq;
	__u32 payload_off;
	__u32 len;
	__u16 src_port;
	__u16 dst_port;
	__u8 flags; /* TCP_* */
};

#if !defined(SLID_TEST) && !defined(SLID_BENCH)
static __always_inline __u32 packet_bytes(const struct __sk_buff *skb)
{
	return skb->len;
}

static __always_inline long packet_load(struct __sk_buff *skb, __u32 off, struct http_win *win,
					__u32 cnt)
{
	return bpf_skb_load_bytes(skb, off, win->bytes + HTTP_CARRY, cnt);
}
#else
#include "testing.h"
#endif

/* Offset of the TCP header behind IPv6 extension headers (RFC 8200 section 4), 0 = none. */
static __always_inline __u32 packet_skip_ext(struct __sk_buff *skb, __u8 next)
{
	__u32 off = 40;

	for (int i = 0; i < 6; i++) {
		__u8 ext[2];

		if (next == 6)
			return off;
		if (next != 0 && next != 43 && next != 60)
			return 0; /* not TCP; fragments were put together before us */
		if (bpf_skb_load_bytes(skb, off, ext, sizeof(ext)))
			return 0;
		next = ext[0];
		off += 8 + ext[1] * 8u;
	}
	return 0;
}

/* packet_parse - read the headers into skb->cb. Return: 1 if it is TCP, else 0. */
static __always_inline int packet_parse(struct __sk_buff *skb)
{
	__u32 ip_len, off, seq;
	__u8 head[60];
	__u8 *tcp;

	if (skb->protocol == PACKET_V4) {
		if (bpf_skb_load_bytes(skb, 0, head, 40) || head[9] != 6)
			return 0;
		ip_len = (head[0] & 15) * 4u;
		tcp = head + 20;
		if (ip_len != 20 && bpf_skb_load_bytes(skb, ip_len, tcp, 20))
			return 0;
	} else if (skb->protocol == PACKET_V6) {
		if (bpf_skb_load_bytes(skb, 0, head, 60))
			return 0;
		ip_len = 40;
		tcp = head + 40;
		if (head[6] != 6) {
			ip_len = packet_skip_ext(skb, head[6]);
			if (!ip_len || bpf_skb_load_bytes(skb, ip_len, tcp, 20))
				return 0;
		}
	} else {
		return 0;
	}
	seq = bpf_ntohl(*(__u32 *)(tcp + 4));
	if (tcp[13] & TCP_SYN)
		seq++;
	off = ip_len + (tcp[12] >> 4) * 4u;
	skb->cb[CB_SEQ] = seq;
	skb->cb[CB_PAYLOAD] = off | (__u32)tcp[13] << 16;
	skb->cb[CB_LEN] = packet_bytes(skb) > off ? packet_bytes(skb) - off : 0;
	skb->cb[CB_PORTS] = bpf_ntohl(*(__u32 *)tcp);
	return 1;
}

static __always_inline void packet_get(struct __sk_buff *skb, struct packet *p)
{
	__u32 payload = skb->cb[CB_PAYLOAD], ports = skb->cb[CB_PORTS];

	p->seq = skb->cb[CB_SEQ];
	p->len = skb->cb[CB_LEN];
	p->payload_off = payload & 0xffff;
	p->flags = (__u8)(payload >> 16);
	p->src_port = (__u16)(ports >> 16);
	p->dst_port = (__u16)ports;
}

/* packet_time - when the packet is here, CLOCK_MONOTONIC. TCP has written that on what it sends, for
 * pacing: the time when it leaves, tcp_wstamp_ns. Added in: d3edd06ea8ea ("tcp: provide earliest
 * departure time in skb->tstamp"). */
static __always_inline __u64 packet_time(struct __sk_buff *skb, __u32 is_egress)
{
	__u64 now = is_egress ? skb->tstamp : 0;

	return now ? now : bpf_ktime_get_ns();
}

/* Last four bytes of the sender's address, network order. */
static __always_inline __u32 packet_peer(struct __sk_buff *skb)
{
	__u32 addr = 0;

	bpf_skb_load_bytes(skb, skb->protocol == PACKET_V4 ? 12 : 20, &addr, sizeof(addr));
	return addr;
}

#endif
