/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - the rooms put together: what slid does between its start and SIGTERM. */
#ifndef SLID_AGENT_H
#define SLID_AGENT_H

#include "base/own.h"
#include "config/config.h"

struct agent;

/* agent__start - load, attach, listen, as config says (borrowed until agent__free). Logs the one
 * line about what failed. Return: 0 or -errno. */
int agent__start(const struct config *config, struct agent **ret);

/* agent__run - collect and ship until SIGTERM or SIGINT, which must be blocked, or until the one
 * table of --once. Return: 0 or -errno. */
int agent__run(struct agent *agent);

/* agent__free - detach and let go of all; waits a few seconds for what is still to be sent. */
void agent__free(struct agent *agent);
DEFINE_CLEAN(struct agent, agent__free)

#endif
