/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * slid.bpf.c - the kernel programs: every packet of the scope's sockets in both directions
 * (cgroup_skb), and their connections' lives (sockops). They only observe: each returns "pass".
 */
#include "flow.h"
#include "life.h"
#if defined(SLID_TEST) || defined(SLID_BENCH)
#include "testing_progs.h"
#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup_skb/ingress")
int slid_ingress(struct __sk_buff *skb)
{
	flow_packet(skb, DIR_INGRESS);
	return 1;
}

SEC("cgroup_skb/egress")
int slid_egress(struct __sk_buff *skb)
{
	flow_packet(skb, DIR_EGRESS);
	return 1;
}

SEC("sockops")
int slid_sockops(struct bpf_sock_ops *ops)
{
	life_event(ops);
	return 1;
}
