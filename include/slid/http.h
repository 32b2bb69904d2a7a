/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * http.h - HTTP/1.0 and 1.1 message framing (RFC 9112) as pure functions over bytes and state.
 *
 * One source for two targets: the kernel programs compile it, and so do the host's tests and
 * fuzzers. It calls no helper and no libc, has no global and does no recursion. A connection is
 * two byte streams, requests and responses, each with its own resumable parser; a message boundary
 * comes from the protocol alone, never from where a segment happens to begin. Outstanding requests
 * wait in a ring for their responses.
 *
 * How it reads: bytes arrive in a window (struct http_win) of at most HTTP_WIN, behind room for
 * the last HTTP_CARRY bytes of a line that began earlier. http_feed() runs a bounded number of
 * steps: each looks at 32 bytes for a line feed and judges the line that it ends, or counts body
 * bytes. All state lives in memory, not in registers, so that the verifier's states merge.
 */
#ifndef SLID_HTTP_H
#define SLID_HTTP_H

#include <linux/types.h>
#include "slid/abi.h"

#ifdef __bpf__
#define HTTP_INLINE static __attribute__((always_inline)) inline /* no calls under a spin lock */
#else
#define HTTP_INLINE static inline
#endif

/* The compiler puts what is rare behind what is not: the way of a plain request then is short. */
#define HTTP_RARE(cond)   __builtin_expect(!!(cond), 0)
#define HTTP_COMMON(cond) __builtin_expect(!!(cond), 1)

#define HTTP_CARRY 64   /* bytes kept of an unfinished line; holds any line that matters */
#define HTTP_WIN   1024 /* payload bytes in one window */
#define HTTP_INDEXED 2048 /* a power of two that HTTP_CARRY + HTTP_WIN fit in */
#define HTTP_SLACK 128  /* readable behind it: scans load whole words */
#define HTTP_STEPS 48   /* steps of one http_feed() */
#define HTTP_RING  32   /* outstanding requests of a connection */

/* Kinds of stream, index of http_conn.stream. */
enum { HTTP_REQUESTS = 0, HTTP_RESPONSES = 1 };

enum http_state {
	/* A line is being read. */
	HTTP_START = 0,  /* start line; empty lines before it are skipped, RFC 9112 section 2.2 */
	HTTP_HEADER,     /* header fields, up to the empty line */
	HTTP_CHUNK_SIZE, /* chunk-size line, RFC 9112 section 7.1 */
	HTTP_CHUNK_END,  /* the CRLF behind a chunk's data */
	HTTP_TRAILER,    /* trailer fields, up to the empty line */
	/* Bytes are being counted: http_stream.left of them. */
	HTTP_BODY,
	HTTP_CHUNK_DATA,
	/* Bytes mean nothing to us. */
	HTTP_UNTIL_CLOSE, /* a body that ends with the connection */
	HTTP_WAIT,        /* behind a CONNECT request, until its response */
	HTTP_LOST,        /* unsynchronised: until a segment begins with a message */
	HTTP_OPAQUE,      /* the connection is HTTP_C_OPAQUE: to be seen in each stream, without its lock */
};

/* http_stream.flags */
#define HTTP_F_LENGTH  0x01 /* Content-Length seen, its value in left */
#define HTTP_F_TE      0x02 /* Transfer-Encoding seen */
#define HTTP_F_CHUNKED 0x04 /* ... and chunked is its last coding */
#define HTTP_F_BAD     0x08 /* framing fields that contradict each other */
#define HTTP_F_LONG    0x10 /* the line outgrew the carry; its head is judged, in .head */
#define HTTP_F_TRYING  0x20 /* this start line may be none: the stream is being found again */
#define HTTP_F_LONG_TE 0x20 /* in header fields: the long line is a Transfer-Encoding */
#define HTTP_F_SYN     0x40 /* next_seq is known */
#define HTTP_F_FIN     0x80 /* the sender's end is known: fin_seq */

/* What a header line is, http_stream.head of a long one. */
enum { HTTP_HEAD_OTHER = 0, HTTP_HEAD_LENGTH, HTTP_HEAD_TE, HTTP_HEAD_BAD };

/* http_conn.flags */
#define HTTP_C_OPAQUE     0x01 /* not HTTP/1 (any more): nothing to read */
#define HTTP_C_JOINED     0x02 /* began before slid */
#define HTTP_C_CLIENT_END 0x04 /* the client's side ended first (FIN or RST) */
#define HTTP_C_SERVER_END 0x08 /* the server's side ended first */
#define HTTP_C_RST_IN     0x10 /* RST received */
#define HTTP_C_ACCEPTED   0x20 /* counted as accepted or established */

/* http_conn.events: what the last calls found; the caller takes and clears them. */
#define HTTP_E_DONE           0x0001 /* http_conn.done holds a finished request */
#define HTTP_E_PROTO          0x0002 /* http_conn.proto became known */
#define HTTP_E_BAD_REQUEST    0x0004
#define HTTP_E_BAD_RESPONSE   0x0008
#define HTTP_E_DESYNC         0x0010 /* a stream became HTTP_LOST */
#define HTTP_E_UNMATCHED      0x0020 /* a response that answers no request */
#define HTTP_E_PIPELINE_FULL  0x0040 /* a request that found the ring full */
#define HTTP_E_RESPONSE_LOST  0x0080 /* http_conn.lost_cnt requests will never be matched */
#define HTTP_E_GAP            0x0100

/* What a step found: judged in one place, http_judge(). */
enum http_verdict {
	HTTP_V_MORE = 0,    /* nothing yet */
	HTTP_V_REQUEST,     /* a request line: s->head is its method */
	HTTP_V_STATUS,      /* a status line */
	HTTP_V_BAD_START,   /* a start line that is none */
	HTTP_V_BAD_FRAMING, /* the message's length cannot be known */
	HTTP_V_INTERIM,     /* a 1xx response is over; the final one follows */
	HTTP_V_END,         /* the message is whole */
	HTTP_V_TUNNEL,      /* it is, and what follows is not HTTP/1 */
};

struct http_range {
	__u32 start; /* sequence numbers; seen but not read */
	__u32 end;
};
#define HTTP_RANGES 3

struct http_stream {
	__u64 left;     /* body or chunk bytes to come; Content-Length, or a long line's chunk-size */
	__u64 first_ns; /* when the current message's first byte was here */
	__u32 next_seq; /* sequence number of the next byte to read */
	__u32 fin_seq;
	__u16 status;   /* of the response being read; 0 before its status line */
	__u8 state;     /* enum http_state */
	__u8 flags;     /* HTTP_F_* */
	__u8 carry_len; /* bytes of an unfinished line, right-aligned in carry */
	__u8 head;      /* method of a request; what a long line is */
	__u8 range_cnt;
	__u8 kind;      /* HTTP_REQUESTS or HTTP_RESPONSES; http_conn_init() */
	struct http_range ranges[HTTP_RANGES]; /* arrived ahead of a gap; sorted by nothing */
	__u8 carry[HTTP_CARRY];
	__u64 pad;
};

/* A request that has ended. */
struct http_done {
	__u64 start_ns; /* its first byte */
	__u64 first_ns; /* its response's first byte; 0 = none */
	__u16 status;
	__u8 method;
	__u8 error; /* enum slid_error */
	__u8 route;
	__u8 pad[3];
};

/* What both directions write comes first, together; see struct slid_conn. */
struct http_conn {
	__u8 ring_head;
	__u8 ring_tail;
	__u16 over_cnt;    /* requests behind a full ring, in order behind it */
	__u16 events;      /* HTTP_E_* */
	__u8 started_cnt;  /* requests that entered the ring since the caller looked */
	__u8 lost_cnt;     /* with HTTP_E_RESPONSE_LOST */
	__u8 proto;        /* enum slid_proto */
	__u8 flags;        /* HTTP_C_* */
	__u8 pad[6];
	/* Outstanding requests, oldest at tail: start time (52 bits of ns), method << 52, route << 56. */
	__u64 ring[HTTP_RING];
	struct http_done done;
	__u64 pad2[2];
	struct http_stream stream[2];
};

/* bytes[HTTP_CARRY..HTTP_CARRY + n) are the bytes to read; what is around them does not matter. */
struct http_win {
	__u32 pos;  /* next byte to look at */
	__u32 line; /* first byte of the line being read */
	__u32 end;  /* behind the last byte */
	__u32 n;        /* bytes to read, 1..HTTP_WIN */
	__u32 at_start; /* they begin a segment, where a lost stream may be found again */
	/* Where loops keep what they know, so that the verifier forgets it and its states merge. */
	__u64 value;
	__u32 mark;
	__u32 verdict; /* enum http_verdict */
	__u8 before[32]; /* never used; looking back from a line's end stays in here */
	__u8 bytes[HTTP_INDEXED + HTTP_SLACK];
};

#define HTTP_POS_MAX (HTTP_CARRY + HTTP_WIN)
#define HTTP_READ(field) (*(volatile __typeof__(field) *)&(field))
#define HTTP_TIME_MASK ((1ULL << 52) - 1)

/* Read from memory each time: a branch on it teaches the verifier nothing that lasts. */
HTTP_INLINE __u32 http_kind(const struct http_stream *s)
{
	return HTTP_READ(s->kind);
}

HTTP_INLINE __u64 http_load64(const __u8 *at)
{
#ifdef __bpf__
	return *(const __u64 *)at; /* map memory: any alignment, one load */
#else
	__u64 word;

	__builtin_memcpy(&word, at, sizeof(word));
	return word;
#endif
}

/* Where an index of the window points. The mask changes nothing: it is for the verifier, of which
 * 5.10's forgets the bounds of a number on the stack, while the compiler drops a check seen before. */
HTTP_INLINE __u8 *http_at(struct http_win *w, __u32 idx)
{
#ifdef __bpf__
	asm volatile("" : "+r"(idx));
#endif
	return &w->bytes[idx & (HTTP_INDEXED - 1)];
}

/* Text of up to eight characters as the word that http_load64 reads (little-endian). */
#define HTTP_C8(a, b, c, d, e, f, g, h)                                                            \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define HTTP_LOWER 0x2020202020202020ULL

/* Index 0..7 of the first line feed in a word, 8 = none. */
HTTP_INLINE __u32 http_word_lf(__u64 word)
{
	__u64 x = word ^ 0x0a0a0a0a0a0a0a0aULL;
	__u64 hit = (x - 0x0101010101010101ULL) & ~x & 0x8080808080808080ULL;

	if (!hit)
		return 8;
	/* The lowest hit is exact; its byte's index comes to the top byte by multiplication. */
	return (__u32)((((hit & (~hit + 1)) >> 7) * 0x0001020304050607ULL) >> 56);
}

/* Offset 0..31 of the first line feed, 32 = none in 32 bytes. */
HTTP_INLINE __u32 http_find_lf(const __u8 *at)
{
	__u32 i = http_word_lf(http_load64(at));

	if (i < 8)
		return i;
	i = http_word_lf(http_load64(at + 8));
	if (i < 8)
		return 8 + i;
	i = http_word_lf(http_load64(at + 16));
	if (i < 8)
		return 16 + i;
	i = http_word_lf(http_load64(at + 24));
	return 24 + i;
}

/* RFC 9110 section 5.6.2: characters of a token, as two bit maps of ASCII. */
HTTP_INLINE int http_is_tchar(__u8 c)
{
	const __u64 low = 0x03ff6cfa00000000ULL;  /* !#$%&'*+-. 0-9 */
	const __u64 high = 0x57ffffffc7fffffeULL; /* A-Z ^_` a-z | ~ */

	if (c >= 128)
		return 0;
	return c < 64 ? (int)(low >> c & 1) : (int)(high >> (c - 64) & 1);
}

/* http_method - the method a request line begins with, behind it a space.
 * Return: enum slid_method (SLID_METHOD_OTHER for any other token of up to 24 characters),
 * or -1 where no such token stands. Source: RFC 9110 section 9, RFC 5789. */
HTTP_INLINE int http_method(const __u8 *at)
{
	__u64 word = http_load64(at);

	if ((word & 0xffffffffULL) == HTTP_C8('G', 'E', 'T', ' ', 0, 0, 0, 0))
		return SLID_METHOD_GET;
	if ((word & 0xffffffffffULL) == HTTP_C8('P', 'O', 'S', 'T', ' ', 0, 0, 0))
		return SLID_METHOD_POST;
	if ((word & 0xffffffffffULL) == HTTP_C8('H', 'E', 'A', 'D', ' ', 0, 0, 0))
		return SLID_METHOD_HEAD;
	if ((word & 0xffffffffULL) == HTTP_C8('P', 'U', 'T', ' ', 0, 0, 0, 0))
		return SLID_METHOD_PUT;
	if ((word & 0xffffffffffffffULL) == HTTP_C8('D', 'E', 'L', 'E', 'T', 'E', ' ', 0))
		return SLID_METHOD_DELETE;
	if ((word & 0xffffffffffffULL) == HTTP_C8('P', 'A', 'T', 'C', 'H', ' ', 0, 0))
		return SLID_METHOD_PATCH;
	if (word == HTTP_C8('O', 'P', 'T', 'I', 'O', 'N', 'S', ' '))
		return SLID_METHOD_OPTIONS;
	if (word == HTTP_C8('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		return SLID_METHOD_CONNECT;
	if ((word & 0xffffffffffffULL) == HTTP_C8('T', 'R', 'A', 'C', 'E', ' ', 0, 0))
		return SLID_METHOD_TRACE;
	return -1;
}

/* Index 0..7 of the first space in a word, 8 = none. */
HTTP_INLINE __u32 http_word_sp(__u64 word)
{
	return http_word_lf(word ^ HTTP_C8(0x2a, 0x2a, 0x2a, 0x2a, 0x2a, 0x2a, 0x2a, 0x2a));
}

/* http_method for any token: SLID_METHOD_OTHER if a space follows within 24 bytes, else -1. */
HTTP_INLINE int http_method_any(const __u8 *at)
{
	int method = http_method(at);

	if (method >= 0)
		return method;
	if (!http_is_tchar(at[0]))
		return -1;
	if ((http_word_sp(http_load64(at)) & http_word_sp(http_load64(at + 8)) &
	     http_word_sp(http_load64(at + 16))) == 8)
		return -1;
	return SLID_METHOD_OTHER;
}

/* Whether "HTTP/1." and a digit stand at `at`. */
HTTP_INLINE int http_is_version(const __u8 *at)
{
	__u64 word = http_load64(at);

	return (word & 0xffffffffffffffULL) == HTTP_C8('H', 'T', 'T', 'P', '/', '1', '.', 0) &&
	       (__u8)((word >> 56) - '0') <= 9;
}

/* http_status - the status code of a status line of at least 12 bytes: "HTTP/1.1 200".
 * Return: 100..999 or -1. Source: RFC 9112 section 4. */
HTTP_INLINE int http_status(const __u8 *at)
{
	__u32 a, b, c;

	if (!http_is_version(at) || at[8] != ' ')
		return -1;
	a = at[9] - (__u32)'0';
	b = at[10] - (__u32)'0';
	c = at[11] - (__u32)'0';
	if (a > 9 || b > 9 || c > 9 || !a)
		return -1;
	return (int)(a * 100 + b * 10 + c);
}

/* What the header line at `at` is, by its name. Names are exact, only letters fold. */
HTTP_INLINE int http_header(const __u8 *at)
{
	const __u64 fold = 0x0020202020202020ULL;
	__u64 word = http_load64(at);

	if ((word | fold) == HTTP_C8('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
		word = http_load64(at + 8);
		if (((word | 0x202020202020ULL) & 0xffffffffffffffULL) ==
		    HTTP_C8('l', 'e', 'n', 'g', 't', 'h', ':', 0))
			return HTTP_HEAD_LENGTH;
	} else if ((word | HTTP_LOWER) == HTTP_C8('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
		__u64 tail = http_load64(at + 9); /* "encoding" */

		if (at[8] == '-' && at[17] == ':' &&
		    (tail | HTTP_LOWER) == HTTP_C8('e', 'n', 'c', 'o', 'd', 'i', 'n', 'g'))
			return HTTP_HEAD_TE;
	}
	return HTTP_HEAD_OTHER;
}

/* ---- the ring of outstanding requests --------------------------------------------------- */

HTTP_INLINE __u32 http_ring_cnt(const struct http_conn *c)
{
	return (__u8)(c->ring_head - c->ring_tail);
}

/* A request has begun: its method is known, it began at s->first_ns. */
HTTP_INLINE void http_push(struct http_conn *c, const struct http_stream *s, __u32 method)
{
	if (HTTP_RARE(c->over_cnt || http_ring_cnt(c) >= HTTP_RING)) {
		if (c->over_cnt < 0xffff)
			c->over_cnt++;
		c->events |= HTTP_E_PIPELINE_FULL;
		return;
	}
	if (c->ring_head == c->ring_tail) { /* mostly so: then its first place is the warm one */
		c->ring_head = 0;
		c->ring_tail = 0;
	}
	c->ring[c->ring_head % HTTP_RING] = (s->first_ns & HTTP_TIME_MASK) | (__u64)method << 52;
	c->ring_head++;
	c->started_cnt++;
}

/* The oldest outstanding request has ended: fill c->done. The ring must not be empty. */
HTTP_INLINE void http_pop(struct http_conn *c, __u16 status, __u8 error, __u64 first_ns, __u64 now)
{
	__u64 entry = c->ring[c->ring_tail % HTTP_RING];
	__u64 dur_ns = (now - entry) & HTTP_TIME_MASK;
	__u64 start_ns = now - dur_ns;

	if (dur_ns > HTTP_TIME_MASK / 2) /* begun after `now`: another CPU was faster */
		start_ns = now;
	c->ring_tail++;
	c->done.start_ns = start_ns;
	c->done.first_ns = first_ns && first_ns < start_ns ? start_ns : first_ns;
	c->done.status = status;
	c->done.method = (__u8)(entry >> 52 & 0x0f);
	c->done.route = (__u8)(entry >> 56);
	c->done.error = error;
	c->events |= HTTP_E_DONE;
}

/* No response that follows can be told whose it is. */
HTTP_INLINE void http_forget_requests(struct http_conn *c)
{
	__u32 cnt = http_ring_cnt(c);

	if (cnt) {
		c->lost_cnt += (__u8)cnt;
		c->events |= HTTP_E_RESPONSE_LOST;
	}
	c->ring_tail = c->ring_head;
	c->over_cnt = 0;
}

/* ---- the ends of messages and streams ----------------------------------------------------- */

/* Nothing more is to be read in either direction. */
HTTP_INLINE void http_opaque(struct http_conn *c, __u8 proto)
{
	c->flags |= HTTP_C_OPAQUE;
	c->stream[HTTP_REQUESTS].state = HTTP_OPAQUE;
	c->stream[HTTP_RESPONSES].state = HTTP_OPAQUE;
	if (!c->proto) {
		c->proto = proto;
		c->events |= HTTP_E_PROTO;
	}
}

/* The stream is at a message's start. */
HTTP_INLINE void http_restart(struct http_stream *s, __u64 now)
{
	s->state = HTTP_START;
	s->flags &= HTTP_F_SYN | HTTP_F_FIN;
	s->left = 0;
	s->status = 0;
	s->first_ns = now;
}

/* The stream's message boundaries are lost. */
HTTP_INLINE void http_lose(struct http_conn *c, struct http_stream *s)
{
	http_restart(s, 0);
	s->state = HTTP_LOST;
	s->carry_len = 0;
	c->events |= HTTP_E_DESYNC;
	if (http_kind(s) == HTTP_RESPONSES)
		http_forget_requests(c);
}

/* The message is whole. A response takes its request with it. */
HTTP_INLINE void http_message_end(struct http_conn *c, struct http_stream *s, __u64 now)
{
	if (http_kind(s) == HTTP_RESPONSES) {
		if (HTTP_COMMON(http_ring_cnt(c)))
			http_pop(c, s->status, SLID_ERROR_NONE, s->first_ns, now);
		else if (c->over_cnt)
			c->over_cnt--;
		else
			c->events |= HTTP_E_UNMATCHED;
	}
	http_restart(s, now);
}

/* A start line that is none, at `at`. What that means depends on what came before. */
HTTP_INLINE void http_bad_start(struct http_conn *c, struct http_stream *s, const __u8 *at)
{
	if (s->flags & HTTP_F_TRYING) { /* still not found */
		http_restart(s, 0);
		s->state = HTTP_LOST;
		s->carry_len = 0;
	} else if (c->proto != SLID_PROTO_HTTP1) {
		int is_h2 = http_load64(at) == HTTP_C8('P', 'R', 'I', ' ', '*', ' ', 'H', 'T');

		http_opaque(c, is_h2 ? SLID_PROTO_H2 : SLID_PROTO_OTHER);
	} else {
		if (http_kind(s) == HTTP_REQUESTS) { /* the server answers it, 400 most likely */
			http_push(c, s, SLID_METHOD_OTHER);
			c->events |= HTTP_E_BAD_REQUEST;
		} else {
			c->events |= HTTP_E_BAD_RESPONSE;
		}
		http_lose(c, s);
	}
}

/* Do what the step's verdict asks for. `at` is the line it was about. */
HTTP_INLINE void http_judge(struct http_conn *c, struct http_stream *s, __u32 verdict,
			    const __u8 *at, __u64 now)
{
	if (HTTP_COMMON(verdict == HTTP_V_MORE))
		return;
	if (verdict <= HTTP_V_STATUS) {
		if (verdict == HTTP_V_REQUEST)
			http_push(c, s, s->head);
		if (HTTP_RARE(!c->proto)) {
			c->proto = SLID_PROTO_HTTP1;
			c->events |= HTTP_E_PROTO;
		}
		s->flags &= HTTP_F_SYN | HTTP_F_FIN;
		s->state = HTTP_HEADER;
	} else if (HTTP_RARE(verdict == HTTP_V_BAD_START)) {
		http_bad_start(c, s, at);
	} else if (HTTP_RARE(verdict == HTTP_V_BAD_FRAMING)) {
		c->events |= http_kind(s) == HTTP_REQUESTS ? HTTP_E_BAD_REQUEST :
							     HTTP_E_BAD_RESPONSE;
		http_lose(c, s);
	} else if (HTTP_RARE(verdict == HTTP_V_INTERIM)) {
		http_restart(s, now);
	} else {
		http_message_end(c, s, now);
		if (HTTP_RARE(verdict == HTTP_V_TUNNEL))
			http_opaque(c, SLID_PROTO_HTTP1);
	}
}

/* ---- lines: each function judges one kind and returns an enum http_verdict --------------------- */

/* A start line of len bytes at `at`, before `end`. */
HTTP_INLINE int http_start_line(struct http_stream *s, const __u8 *at, const __u8 *end, __u32 len)
{
	int is_long = s->flags & HTTP_F_LONG, head;

	if (!len)
		return HTTP_V_MORE;
	if (HTTP_RARE(len < 12))
		return HTTP_V_BAD_START;
	if (http_kind(s) == HTTP_REQUESTS) {
		/* method SP target SP "HTTP/1." DIGIT, RFC 9112 section 3 */
		head = is_long ? s->head : http_method_any(at);
		if (HTTP_RARE(head < 0 || end[-9] != ' ' || !http_is_version(end - 8)))
			return HTTP_V_BAD_START;
		s->head = (__u8)head;
		return HTTP_V_REQUEST;
	}
	head = is_long ? s->status : http_status(at);
	if (HTTP_RARE(head < 0))
		return HTTP_V_BAD_START;
	s->status = (__u16)head;
	return HTTP_V_STATUS;
}

/* How many of a word's bytes, from the lowest, are spaces or tabs: 0..8. */
HTTP_INLINE __u32 http_word_ows(__u64 word)
{
	const __u64 low = 0x7f7f7f7f7f7f7f7fULL;
	__u64 sp = word ^ 0x2020202020202020ULL, ht = word ^ 0x0909090909090909ULL;
	__u64 other = ((((sp & low) + low) | sp) & (((ht & low) + low) | ht)) & ~low;

	if (!other)
		return 8;
	return (__u32)((((other & (~other + 1)) >> 7) * 0x0001020304050607ULL) >> 56);
}

/* How many spaces or tabs, up to 8, stand before `end`. */
HTTP_INLINE __u32 http_ows_before(const __u8 *end)
{
	return http_word_ows(__builtin_bswap64(http_load64(end - 8)));
}

/* The value of the last cnt (0..8) bytes of a word, all digits; one that is none spoils *bad. */
HTTP_INLINE __u64 http_digits(__u64 word, __u32 cnt, __u64 *bad)
{
	__u64 keep = cnt < 8 ? ~(~0ULL >> 8 * cnt) : ~0ULL;

	word = (word & keep) | (0x3030303030303030ULL & ~keep); /* zeros in front */
	*bad |= ((word & 0xf0f0f0f0f0f0f0f0ULL) |
		 (((word + 0x0606060606060606ULL) & 0xf0f0f0f0f0f0f0f0ULL) >> 4)) ^
		0x3333333333333333ULL;
	word = (word & 0x0f0f0f0f0f0f0f0fULL) * 2561 >> 8; /* pairs: 10 a + b */
	word = (word & 0x00ff00ff00ff00ffULL) * 6553601 >> 16;
	return (word & 0x0000ffff0000ffffULL) * 42949672960001ULL >> 32;
}

/* Content-Length = 1*DIGIT, RFC 9110 section 8.6, between spaces; up to 16 digits. Repeated with
 * another value it is an error. The value stands in the len bytes at `at`, before bytes[end]. */
HTTP_INLINE void http_length_line(struct http_stream *s, struct http_win *w, const __u8 *at,
				  __u32 len, __u32 end, const __u8 *behind)
{
	__u32 after = http_ows_before(behind);
	__u32 cnt = len - http_word_ows(http_load64(at)) - after;
	__u64 value, bad = 0;

	w->mark = end - after;
	behind = http_at(w, HTTP_READ(w->mark));
	value = http_digits(http_load64(behind - 8), cnt < 8 ? cnt : 8, &bad);
	value += http_digits(http_load64(behind - 16), cnt > 8 ? (cnt - 8) & 15 : 0, &bad) * 100000000;
	w->value = value;
	value = HTTP_READ(w->value);
	if (HTTP_RARE(!cnt || cnt > 16 || bad ||
		      ((s->flags & HTTP_F_LENGTH) && s->left != value))) {
		s->flags |= HTTP_F_BAD;
		return;
	}
	s->left = value;
	s->flags |= HTTP_F_LENGTH;
}

/* Transfer-Encoding: the last coding of the last line decides, RFC 9112 section 6.1. The line ends
 * before bytes[end]; its name is 18 bytes of it. */
HTTP_INLINE void http_te_line(struct http_stream *s, struct http_win *w, __u32 end,
			      const __u8 *behind)
{
	__u64 word;
	__u8 before;

	w->mark = end - http_ows_before(behind);
	word = http_load64(http_at(w, HTTP_READ(w->mark)) - 8);
	before = (__u8)word;
	s->flags |= HTTP_F_TE;
	s->flags &= (__u8)~HTTP_F_CHUNKED;
	if ((word >> 8 | 0x20202020202020ULL) == HTTP_C8('c', 'h', 'u', 'n', 'k', 'e', 'd', 0) &&
	    (before == ':' || before == ' ' || before == '\t' || before == ','))
		s->flags |= HTTP_F_CHUNKED;
}

/* The value of the hexadecimal digits a word begins with, first in the lowest byte, and how many
 * there are in *cnt, 0..8. */
HTTP_INLINE __u64 http_hex(__u64 word, __u32 *cnt)
{
	const __u64 tops = 0x8080808080808080ULL;
	__u64 x = (word & ~tops) | HTTP_LOWER;
	__u64 digit = (x + 0x5050505050505050ULL) & ~(x + 0x4646464646464646ULL) & ~word & tops;
	__u64 alpha = (x + 0x1f1f1f1f1f1f1f1fULL) & ~(x + 0x1919191919191919ULL) & ~word & tops;
	__u64 other = ~(digit | alpha) & tops;
	/* A byte like 0x10 must not pass for '0': digits have the bit that HTTP_LOWER sets. */
	__u64 fake = digit & ~(word << 2);
	__u32 n;

	other |= fake & tops;
	n = other ? (__u32)((((other & (~other + 1)) >> 7) * 0x0001020304050607ULL) >> 56) : 8;
	*cnt = n;
	if (!n)
		return 0;
	x = (x & 0x0f0f0f0f0f0f0f0fULL) + (alpha >> 7) * 9;
	x <<= (64 - 8 * n) & 63;
	x = (x & 0x0f0f0f0f0f0f0f0fULL) * 4097 >> 8; /* pairs: 16 a + b */
	x = (x & 0x00ff00ff00ff00ffULL) * 16777217 >> 16;
	return (x & 0x0000ffff0000ffffULL) * 281474976710657ULL >> 32;
}

#define HTTP_CHUNK_BAD (~0ULL)

/* chunk-size [ chunk-ext ] in len bytes at `at`, RFC 9112 section 7.1; up to 15 digits.
 * Return: the size or HTTP_CHUNK_BAD. */
HTTP_INLINE __u64 http_chunk_size(const __u8 *at, __u32 len)
{
	__u32 cnt, more = 0;
	__u64 size = http_hex(http_load64(at), &cnt);

	if (cnt == 8) {
		__u64 low = http_hex(http_load64(at + 8), &more);

		if (more == 8)
			return HTTP_CHUNK_BAD;
		size = size << 4 * more | low;
		cnt += more;
	}
	cnt &= 15; /* 1..15 as it is; said for the verifier */
	if (!cnt || (cnt < len && at[cnt] != ';' && at[cnt] != ' ' && at[cnt] != '\t'))
		return HTTP_CHUNK_BAD;
	return size;
}

/* A chunk-size line; a long one's size is in s->left. A chunk that ends in this window is stepped
 * over at once. */
HTTP_INLINE int http_chunk_line(struct http_stream *s, struct http_win *w, const __u8 *at, __u32 len)
{
	__u64 size = s->left;
	const __u8 *behind;
	__u32 pos;

	if (s->flags & HTTP_F_LONG) {
		s->flags &= (__u8)~HTTP_F_LONG;
		s->left = 0;
	} else {
		size = http_chunk_size(at, len);
	}
	if (size == HTTP_CHUNK_BAD)
		return HTTP_V_BAD_FRAMING;
	if (!size) {
		s->state = HTTP_TRAILER;
		return HTTP_V_MORE;
	}
	s->left = size;
	s->state = HTTP_CHUNK_DATA;
	if (size >= HTTP_WIN)
		return HTTP_V_MORE;
	w->mark = HTTP_READ(w->pos) + (__u32)size;
	pos = HTTP_READ(w->mark);
	behind = http_at(w, pos);
	if (pos + 2 > HTTP_READ(w->end) || behind[0] != '\r' || behind[1] != '\n')
		return HTTP_V_MORE;
	w->pos = pos + 2;
	s->left = 0;
	s->state = HTTP_CHUNK_SIZE;
	return HTTP_V_MORE;
}

/* The empty line behind a request's header fields: what follows? RFC 9112 section 6.3. */
HTTP_INLINE int http_request_head(struct http_stream *s)
{
	__u8 flags = s->flags;

	if (HTTP_RARE((flags & HTTP_F_BAD) ||
		      (flags & (HTTP_F_TE | HTTP_F_CHUNKED)) == HTTP_F_TE))
		return HTTP_V_BAD_FRAMING;
	if (flags & HTTP_F_CHUNKED)
		s->state = HTTP_CHUNK_SIZE;
	else if ((flags & HTTP_F_LENGTH) && s->left)
		s->state = HTTP_BODY;
	else if (s->head == SLID_METHOD_CONNECT)
		s->state = HTTP_WAIT;
	else
		return HTTP_V_END;
	return HTTP_V_MORE;
}

/* The same for a response; it depends on the request that it answers. */
HTTP_INLINE int http_response_head(struct http_conn *c, struct http_stream *s, __u64 now)
{
	struct http_stream *requests = &c->stream[HTTP_REQUESTS];
	__u32 method = SLID_METHOD_OTHER;
	__u32 status = s->status;
	__u8 flags = s->flags;

	if (HTTP_RARE(status < 200 && status != 101)) /* interim, RFC 9110 section 15.2 */
		return HTTP_V_INTERIM;
	if (http_ring_cnt(c))
		method = c->ring[c->ring_tail % HTTP_RING] >> 52 & 0x0f;
	if (HTTP_RARE(method == SLID_METHOD_CONNECT && requests->state == HTTP_WAIT))
		http_restart(requests, now);
	if (HTTP_RARE(status == 101 || (method == SLID_METHOD_CONNECT && status < 300))) {
		return HTTP_V_TUNNEL;
	}
	if (method == SLID_METHOD_HEAD || status == 204 || status == 304)
		return HTTP_V_END;
	if (flags & HTTP_F_CHUNKED)
		s->state = HTTP_CHUNK_SIZE;
	else if (flags & HTTP_F_TE)
		s->state = HTTP_UNTIL_CLOSE;
	else if (flags & HTTP_F_BAD)
		return HTTP_V_BAD_FRAMING;
	else if (!(flags & HTTP_F_LENGTH))
		s->state = HTTP_UNTIL_CLOSE;
	else if (s->left)
		s->state = HTTP_BODY;
	else
		return HTTP_V_END;
	return HTTP_V_MORE;
}

/* A header field's line, len bytes at `at`, before bytes[end]. Of a long one the end alone is here. */
HTTP_INLINE void http_header_line(struct http_stream *s, struct http_win *w, const __u8 *at,
				  __u32 len, __u32 end, const __u8 *behind)
{
	int head;

	if (HTTP_RARE(s->flags & HTTP_F_LONG))
		head = s->flags & HTTP_F_LONG_TE ? HTTP_HEAD_TE : HTTP_HEAD_OTHER;
	else
		head = http_header(at);
	s->flags &= (__u8)~(HTTP_F_LONG | HTTP_F_LONG_TE);
	switch (head) {
	case HTTP_HEAD_LENGTH:
		http_length_line(s, w, at + 15, len - 15, end, behind);
		break;
	case HTTP_HEAD_TE:
		http_te_line(s, w, end, behind);
		break;
	}
}

/* A whole line: bytes[line..w->mark), CR LF not counted; `at` is &bytes[line]. */
HTTP_INLINE int http_line(struct http_conn *c, struct http_stream *s, struct http_win *w, __u32 line,
			  const __u8 *at, __u64 now)
{
	int is_long = s->flags & HTTP_F_LONG;
	__u32 end = HTTP_READ(w->mark);
	const __u8 *behind = http_at(w, end);
	__u32 len = end - line;

	switch (s->state) {
	case HTTP_START:
		return http_start_line(s, at, behind, len);
	case HTTP_HEADER:
		if (len)
			http_header_line(s, w, at, len, end, behind);
		else if (http_kind(s) == HTTP_REQUESTS)
			return http_request_head(s);
		else
			return http_response_head(c, s, now);
		break;
	case HTTP_CHUNK_SIZE:
		return http_chunk_line(s, w, at, len);
	case HTTP_CHUNK_END:
		if (len || is_long)
			return HTTP_V_BAD_FRAMING;
		s->state = HTTP_CHUNK_SIZE;
		break;
	case HTTP_TRAILER:
		if (is_long)
			s->flags &= (__u8)~HTTP_F_LONG;
		else if (!len)
			return HTTP_V_END;
		break;
	}
	return HTTP_V_MORE;
}

/* ---- windows --------------------------------------------------------------------------------- */

/* cnt bytes of a counted body went by, unread: s->left or fewer of them. */
HTTP_INLINE void http_skip(struct http_conn *c, struct http_stream *s, __u64 cnt,
			   __u64 now)
{
	s->left -= cnt;
	if (s->left)
		return;
	if (s->state == HTTP_BODY)
		http_message_end(c, s, now);
	else
		s->state = HTTP_CHUNK_END;
}

/* The unfinished line is longer than the carry: judge its head while it is here. */
HTTP_INLINE void http_long_line(struct http_conn *c, struct http_stream *s,
				const __u8 *at)
{
	int head;

	s->flags |= HTTP_F_LONG;
	if (s->state == HTTP_HEADER) {
		head = http_header(at);
		if (head == HTTP_HEAD_LENGTH) /* no good one is as long */
			s->flags |= HTTP_F_BAD;
		else if (head == HTTP_HEAD_TE) /* its end decides */
			s->flags |= HTTP_F_LONG_TE;
	} else if (s->state == HTTP_START) {
		head = http_kind(s) == HTTP_REQUESTS ? http_method_any(at) : http_status(at);
		if (head < 0)
			http_bad_start(c, s, at);
		else if (http_kind(s) == HTTP_REQUESTS)
			s->head = (__u8)head;
		else
			s->status = (__u16)head;
	} else if (s->state == HTTP_CHUNK_SIZE) {
		s->left = http_chunk_size(at, HTTP_CARRY + 1);
	}
}

HTTP_INLINE void http_copy_carry(__u8 *to, const __u8 *from)
{
	for (__u32 i = 0; i < HTTP_CARRY; i += 8) {
#ifdef __bpf__
		*(__u64 *)(to + i) = *(const __u64 *)(from + i);
#else
		__builtin_memcpy(to + i, from + i, 8);
#endif
	}
}

/* The first byte of a connection's first message decides whether it may be HTTP/1 at all. */
HTTP_INLINE void http_classify(struct http_conn *c, const struct http_stream *s,
			       const __u8 *at, __u32 n)
{
	if (at[0] == '\r' || at[0] == '\n')
		return;
	if (http_kind(s) == HTTP_RESPONSES) {
		if (at[0] != 'H')
			http_opaque(c, SLID_PROTO_OTHER);
	} else if (at[0] == 0x16 && (n < 2 || at[1] == 3)) {
		http_opaque(c, SLID_PROTO_TLS);
	} else if (!http_is_tchar(at[0])) {
		http_opaque(c, SLID_PROTO_OTHER);
	}
}

/* One step, from pos: over counted bytes, or up to a line feed. */
HTTP_INLINE void http_step(struct http_conn *c, struct http_stream *s, struct http_win *w,
			   __u32 pos, __u64 now)
{
	__u32 line = HTTP_READ(w->line), lf;
	const __u8 *at = http_at(w, line);

	w->verdict = HTTP_V_MORE;
	if (s->state >= HTTP_BODY) {
		__u32 cnt = HTTP_READ(w->end) - pos;

		if (s->left < cnt)
			cnt = (__u32)s->left;
		w->pos = pos + cnt;
		s->left -= cnt;
		if (!s->left && s->state == HTTP_BODY)
			w->verdict = HTTP_V_END;
		else if (!s->left)
			s->state = HTTP_CHUNK_END;
	} else {
		w->mark = pos + http_find_lf(http_at(w, pos));
		lf = HTTP_READ(w->mark);
		if (lf >= HTTP_READ(w->end) || lf == pos + 32) {
			w->pos = pos + 32 < HTTP_READ(w->end) ? pos + 32 : HTTP_READ(w->end);
			return;
		}
		w->pos = lf + 1;
		if (http_at(w, lf)[-1] == '\r' && lf > line)
			w->mark = lf - 1;
		w->verdict = (__u32)http_line(c, s, w, line, at, now);
	}
	w->line = HTTP_READ(w->pos);
	http_judge(c, s, HTTP_READ(w->verdict), at, now);
}

/* What is left of the window is an unfinished line: keep its last bytes. */
HTTP_INLINE void http_keep_line(struct http_conn *c, struct http_stream *s,
				struct http_win *w, __u32 line, __u32 pos)
{
	__u32 from = pos - HTTP_CARRY;

	s->carry_len = 0;
	if (HTTP_COMMON(s->state > HTTP_TRAILER || line >= pos || line > HTTP_POS_MAX ||
			from > HTTP_WIN))
		return;
	if (pos - line > HTTP_CARRY && !(s->flags & HTTP_F_LONG))
		http_long_line(c, s, http_at(w, line));
	if (s->state > HTTP_TRAILER)
		return;
	s->carry_len = (__u8)(pos - line < HTTP_CARRY ? pos - line : HTTP_CARRY);
	http_copy_carry(s->carry, http_at(w, from));
}

/* http_begin - take up the stream in a new window. Return: whether there is something to read. */
HTTP_INLINE int http_begin(struct http_conn *c, struct http_stream *s, struct http_win *w, __u64 now)
{
	const __u8 *first = &w->bytes[HTTP_CARRY];

	w->end = HTTP_CARRY + HTTP_READ(w->n);
	w->pos = HTTP_READ(w->end); /* as if all were read */
	if (HTTP_RARE(s->state == HTTP_LOST)) {
		if (!HTTP_READ(w->at_start) || HTTP_READ(w->n) < 12 ||
		    (http_kind(s) == HTTP_REQUESTS ? http_method(first) < 0 :
						     http_status(first) < 0))
			return 0;
		http_restart(s, now);
		s->flags |= HTTP_F_TRYING;
	}
	if (s->state >= HTTP_UNTIL_CLOSE)
		return 0;
	w->line = HTTP_CARRY;
	if (HTTP_RARE(s->carry_len)) {
		http_copy_carry(w->bytes, s->carry);
		w->line = HTTP_CARRY - (s->carry_len & (2 * HTTP_CARRY - 1));
	} else if (s->state == HTTP_START) {
		s->first_ns = now;
		if (HTTP_RARE(!c->proto && !(s->flags & HTTP_F_TRYING)))
			http_classify(c, s, first, HTTP_READ(w->n));
	}
	if (HTTP_RARE(c->flags & HTTP_C_OPAQUE))
		return 0;
	w->pos = HTTP_CARRY;
	return 1;
}

/* http_run - read on in the window, for HTTP_STEPS or until an event. */
HTTP_INLINE void http_run(struct http_conn *c, struct http_stream *s, struct http_win *w, __u64 now)
{
	for (__u32 i = 0; i < HTTP_STEPS; i++) {
		__u32 pos = HTTP_READ(w->pos);

		if (pos >= HTTP_READ(w->end) || pos >= HTTP_POS_MAX)
			break;
		http_step(c, s, w, pos, now);
		if (HTTP_READ(c->events) & ~HTTP_E_PROTO)
			break;
		if ((HTTP_READ(c->flags) & HTTP_C_OPAQUE) || HTTP_READ(s->state) >= HTTP_UNTIL_CLOSE)
			break;
	}
}

/* http_pause - leave the window: keep an unfinished line. Return: bytes read, up to w->n. */
HTTP_INLINE __u32 http_pause(struct http_conn *c, struct http_stream *s, struct http_win *w)
{
	if ((c->flags & HTTP_C_OPAQUE) || s->state >= HTTP_UNTIL_CLOSE) {
		s->carry_len = 0;
		return HTTP_READ(w->n);
	}
	http_keep_line(c, s, w, HTTP_READ(w->line), HTTP_READ(w->pos));
	return HTTP_READ(w->pos) - HTTP_CARRY;
}

/* http_feed - read the window's bytes, the next ones of the stream.
 * Return: bytes read, up to w->n. Fewer when an event in c->events wants to be taken first, or the
 * steps ran out: call again with the rest. A request that ended is in c->done. */
HTTP_INLINE __u32 http_feed(struct http_conn *c, struct http_stream *s, struct http_win *w,
			    __u64 now)
{
	if (!http_begin(c, s, w, now))
		return HTTP_READ(w->n);
	http_run(c, s, w, now);
	return http_pause(c, s, w);
}

/* http_conn_init - a connection at its start; all else in *c is zero. */
HTTP_INLINE void http_conn_init(struct http_conn *c)
{
	c->stream[HTTP_RESPONSES].kind = HTTP_RESPONSES;
}

/* http_end - the connection has no more responses to give: end one outstanding request.
 * @orderly: by the server's FIN, behind its last byte; else by RST or in silence.
 * @client_first: the client's side ended before the server's.
 * Return: 1 = c->done holds a request, call again; 0 = none is outstanding. */
HTTP_INLINE int http_end(struct http_conn *c, int orderly, int client_first, __u64 now)
{
	struct http_stream *s = &c->stream[HTTP_RESPONSES];
	__u16 status = s->status;
	__u64 first_ns = s->first_ns;
	int begun = status >= 200 && s->state != HTTP_START && s->state != HTTP_LOST;
	int whole = orderly && s->state == HTTP_UNTIL_CLOSE;

	http_restart(s, now);
	s->state = HTTP_UNTIL_CLOSE; /* a sender that did not see the RST yet may go on for a while */
	s->carry_len = 0;
	if (s->range_cnt) { /* what fell into the hole may have been the answers */
		s->range_cnt = 0;
		http_forget_requests(c);
	}
	if (!http_ring_cnt(c)) {
		c->over_cnt = 0;
		return 0;
	}
	if (begun)
		http_pop(c, status, whole ? SLID_ERROR_NONE : SLID_ERROR_TRUNCATED, first_ns, now);
	else if (client_first)
		http_pop(c, 499, SLID_ERROR_CLIENT_CLOSED, 0, now);
	else
		http_pop(c, 599, SLID_ERROR_NO_RESPONSE, 0, now);
	return 1;
}

#endif
