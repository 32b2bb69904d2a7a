/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* testing_progs.h - programs that only tests and benchmarks run; see testing.h. */
#ifndef SLID_TESTING_PROGS_H
#define SLID_TESTING_PROGS_H

/* One observation, its three words at the network header's place: durations a test can choose. */
SEC("cgroup_skb/ingress")
int slid_direct(struct __sk_buff *skb)
{
	__u64 args[4]; /* those of slid_observe(), and how many ports more, from the given one on */

	if (bpf_skb_load_bytes(skb, 0, args, sizeof(args)))
		return 1;
	for (__u32 i = 0; i < 1000; i++) {
		slid_observe(args[0], args[1] + i, args[2]);
		if (i >= args[3])
			break;
	}
	return 1;
}

/* What a test run itself costs. */
SEC("cgroup_skb/ingress")
int slid_empty(struct __sk_buff *skb)
{
	return 1;
}

#endif
