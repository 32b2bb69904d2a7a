/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_build.h - frames for bpf_prog_test_run(): Ethernet, IPv4 or IPv6 with what may stand
 * between them and TCP, TCP with options. No checksums: no program looks at them.
 */
#ifndef SLID_PACKET_BUILD_H
#define SLID_PACKET_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PACKET_HEAD_MAX 256
#define PACKET_ETH	14 /* not seen by the programs */

enum { TH_FIN = 1, TH_SYN = 2, TH_RST = 4, TH_PUSH = 8, TH_ACK = 16 };

/* What a packet looks like around its payload. */
struct packet_shape {
	bool is_v6;
	uint8_t ip_words;  /* IPv4 options, in words of 4 bytes: 0..10 */
	uint8_t tcp_words; /* TCP options, likewise */
	uint8_t ext_cnt;   /* IPv6 extension headers: hop-by-hop, routing and destination options */
	uint8_t protocol;  /* 0 = TCP */
};

struct packet_addr {
	uint32_t seq;
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t flags; /* TH_* */
};

static inline uint8_t *packet__put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static inline uint8_t *packet__put32(uint8_t *at, uint32_t value)
{
	return packet__put16(packet__put16(at, value >> 16), value & 0xffff);
}

static inline uint8_t *packet__v4(uint8_t *at, const struct packet_shape *shape, size_t below)
{
	uint32_t head_bytes = 20 + 4u * shape->ip_words;

	memset(at, 1, head_bytes); /* 1 = the option "no operation" */
	at[0] = (uint8_t)(0x40 | head_bytes / 4);
	at[1] = 0;
	packet__put16(at + 2, (uint32_t)((head_bytes + below) & 0xffff));
	packet__put32(at + 4, 0x4000); /* do not fragment */
	at[8] = 64;
	at[9] = shape->protocol ? shape->protocol : 6;
	packet__put16(at + 10, 0);
	packet__put32(at + 12, 0x7f000001);
	packet__put32(at + 16, 0x7f000001);
	return at + head_bytes;
}

/* Extension headers come in RFC 8200's order, each of them longer than the one before. */
static inline uint8_t *packet__v6(uint8_t *at, const struct packet_shape *shape, size_t below)
{
	static const uint8_t kinds[3] = {0, 43, 60};
	uint8_t last = shape->protocol ? shape->protocol : 6;
	uint8_t *p = at + 40;

	memset(at, 0, 40);
	at[0] = 0x60;
	at[6] = shape->ext_cnt ? kinds[0] : last;
	at[7] = 64;
	at[23] = 1;
	at[39] = 1;
	for (uint8_t i = 0; i < shape->ext_cnt; i++) {
		size_t bytes = 8 * (i + 1u);

		memset(p, 0, bytes);
		p[0] = i + 1 < shape->ext_cnt ? kinds[i + 1] : last;
		p[1] = i;
		p += bytes;
	}
	packet__put16(at + 4, (uint32_t)((size_t)(p - at - 40) + below) & 0xffff);
	return p;
}

/* packet__head - the headers of a packet with `len` payload bytes behind them, at out[]. Return:
 * how many bytes they are, Ethernet's too. */
static inline size_t packet__head(uint8_t out[PACKET_HEAD_MAX], const struct packet_shape *shape,
				  const struct packet_addr *addr, size_t len)
{
	uint32_t tcp_bytes = 20 + 4u * shape->tcp_words;
	uint8_t *p = out;

	memset(p, 2, 12);
	p = packet__put16(p + 12, shape->is_v6 ? 0x86dd : 0x0800);
	p = shape->is_v6 ? packet__v6(p, shape, tcp_bytes + len)
			 : packet__v4(p, shape, tcp_bytes + len);
	memset(p, 1, tcp_bytes);
	packet__put16(p, addr->src_port);
	packet__put16(p + 2, addr->dst_port);
	packet__put32(p + 4, addr->seq);
	packet__put32(p + 8, 0);
	p[12] = (uint8_t)(tcp_bytes / 4 << 4);
	p[13] = addr->flags;
	packet__put16(p + 14, 65535);
	packet__put32(p + 16, 0);
	return (size_t)(p + tcp_bytes - out);
}

#endif
