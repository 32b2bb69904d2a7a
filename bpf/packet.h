/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * packet.h - IP and TCP headers of a packet at the cgroup_skb hooks, where data begins with the
 * network header. Packet pointers are used at fixed offsets only, which needs no CAP_PERFMON; all
 * else is read by bpf_skb_load_bytes. What was read is kept in the packet's control block, which the kernel lends to a program and restores
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

/* Keep what a TCP header says: its first 4 bytes, the next 4, and bytes 12 and 13. */
static __always_inline void packet_keep(struct __sk_buff *skb, __u32 ports, __u32 seq, __u8 words,
					__u8 flags, __u32 ip_len)
{
	__u32 off = ip_len + (words >> 4) * 4u, bytes = packet_bytes(skb);

	seq = bpf_ntohl(seq);
	if (flags & TCP_SYN)
		seq++;
	skb->cb[CB_SEQ] = seq;
	skb->cb[CB_PAYLOAD] = off | (__u32)flags << 16;
	skb->cb[CB_LEN] = bytes > off ? bytes - off : 0;
	skb->cb[CB_PORTS] = bpf_ntohl(ports);
}

/* The usual headers, in the linear part: IPv4 without options, IPv6 without extensions. */
static __always_inline int packet_parse_fast(struct __sk_buff *skb)
{
	const __u8 *data = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;

	if (data + 40 > end)
		return 0;
	if (data[0] == 0x45 && data[9] == 6) {
		packet_keep(skb, *(const __u32 *)(data + 20), *(const __u32 *)(data + 24),
			    data[32], data[33], 20);
		return 1;
	}
	if (data[0] >> 4 == 6 && data[6] == 6 && data + 60 <= end) {
		packet_keep(skb, *(const __u32 *)(data + 40), *(const __u32 *)(data + 44),
			    data[52], data[53], 40);
		return 1;
	}
	return 0;
}

/* packet_parse - read the headers into skb->cb. Return: 1 if it is TCP, else 0. */
static __always_inline int packet_parse(struct __sk_buff *skb)
{
	__u32 ip_len;
	__u8 head[20];

	if (HTTP_COMMON(packet_parse_fast(skb)))
		return 1;
	if (skb->protocol == PACKET_V4) {
		if (bpf_skb_load_bytes(skb, 0, head, 20) || head[9] != 6)
			return 0;
		ip_len = (head[0] & 15) * 4u;
	} else if (skb->protocol == PACKET_V6) {
		if (bpf_skb_load_bytes(skb, 0, head, 8))
			return 0;
		ip_len = packet_skip_ext(skb, head[6]);
	} else {
		return 0;
	}
	if (ip_len < 20 || bpf_skb_load_bytes(skb, ip_len, head, 20))
		return 0;
	packet_keep(skb, *(__u32 *)head, *(__u32 *)(head + 4), head[12], head[13], ip_len);
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
