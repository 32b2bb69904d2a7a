/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * segment.h - from TCP segments to the byte streams of http.h (RFC 9293 section 3.4): what was
 * read before is skipped, what is missing inside a counted body is subtracted, what arrived ahead
 * of a gap is remembered until the gap fills. Pure functions over state, for kernel and host.
 */
#ifndef SLID_SEGMENT_H
#define SLID_SEGMENT_H

#include "slid/http.h"

/* A gap larger than any receive window in use is no gap but a segment that TCP will not take. */
#define SEGMENT_GAP_MAX (64u << 20)

/* segment_begin - learn where the stream begins, from its first segment, when no handshake told. */
HTTP_INLINE void segment_begin(struct http_conn *c, struct http_stream *s, __u32 seq)
{
	if (s->flags & HTTP_F_SYN)
		return;
	s->next_seq = seq;
	s->flags |= HTTP_F_SYN;
	if (c->flags & HTTP_C_JOINED)
		s->state = HTTP_LOST;
}

/* Whether cnt bytes can go by unread without losing a message boundary. */
HTTP_INLINE int segment_is_skippable(const struct http_stream *s, __u64 cnt)
{
	return s->state >= HTTP_UNTIL_CLOSE || (s->state >= HTTP_BODY && s->left >= cnt);
}

/* cnt bytes will never be read: subtract them from a body, or lose the stream. */
HTTP_INLINE void segment_miss(struct http_conn *c, struct http_stream *s, __u32 cnt,
			      __u64 now)
{
	s->next_seq += cnt;
	if (s->state >= HTTP_UNTIL_CLOSE)
		return;
	if (s->state >= HTTP_BODY && s->left >= cnt) {
		http_skip(c, s, cnt, now);
		return;
	}
	c->events |= HTTP_E_GAP;
	http_lose(c, s);
}

/* segment_gap - [seq, seq + len) arrived ahead of its time. Either the gap is inside a body and
 * behind us now (s->next_seq == seq), or the segment is remembered as seen but not read. */
HTTP_INLINE void segment_gap(struct http_conn *c, struct http_stream *s, __u32 seq,
			     __u32 len, __u64 now)
{
	__u32 gap = seq - s->next_seq;

	if (gap > SEGMENT_GAP_MAX)
		return;
	if (segment_is_skippable(s, gap)) {
		segment_miss(c, s, gap, now);
		return;
	}
	for (__u32 i = 0; i < HTTP_RANGES; i++) {
		struct http_range *range = &s->ranges[i];

		if (i >= s->range_cnt) {
			range->start = seq;
			range->end = seq + len;
			s->range_cnt++;
			return;
		}
		if ((__s32)(seq - range->end) <= 0 && (__s32)(range->start - (seq + len)) <= 0) {
			if ((__s32)(seq - range->start) < 0)
				range->start = seq;
			if ((__s32)(seq + len - range->end) > 0)
				range->end = seq + len;
			return;
		}
	}
	segment_miss(c, s, gap, now); /* too many holes to follow */
}

/* Whether a remembered range begins at or before the next byte. */
HTTP_INLINE int segment_may_fill(const struct http_stream *s)
{
	for (__u32 i = 0; i < HTTP_RANGES; i++) {
		if (i < s->range_cnt && (__s32)(s->ranges[i].start - s->next_seq) <= 0)
			return 1;
	}
	return 0;
}

/* segment_fill - a gap has been filled up to a range seen before: step over it, unread. One range
 * a call; it may end a message. */
HTTP_INLINE void segment_fill(struct http_conn *c, struct http_stream *s, __u64 now)
{
	for (__u32 i = 0; i < HTTP_RANGES; i++) {
		__s32 ahead;
		__u32 last;

		if (i >= s->range_cnt || (__s32)(s->ranges[i].start - s->next_seq) > 0)
			continue;
		ahead = (__s32)(s->ranges[i].end - s->next_seq);
		last = s->range_cnt - 1u;
		if (last < HTTP_RANGES)
			s->ranges[i] = s->ranges[last];
		s->range_cnt--;
		if (ahead > 0)
			segment_miss(c, s, (__u32)ahead, now);
		return;
	}
}

/* segment_fin - the stream ends at seq, now or when all before it has been read. */
HTTP_INLINE void segment_fin(struct http_stream *s, __u32 seq)
{
	if (seq - s->next_seq > SEGMENT_GAP_MAX)
		return;
	s->fin_seq = seq;
	s->flags |= HTTP_F_FIN;
}

/* Whether the stream is read up to its sender's FIN. */
HTTP_INLINE int segment_is_ended(const struct http_stream *s)
{
	return (HTTP_READ(s->flags) & HTTP_F_FIN) && HTTP_READ(s->next_seq) == HTTP_READ(s->fin_seq);
}

#endif
