// SPDX-License-Identifier: AGPL-3.0-or-later
// For commands that do something to running projects. They work whether a hub runs on the data or
// not: the command has a runner of its own for as long as it lasts, and finds projects by their
// agents' sockets as a hub does.
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "runner/projects.h"

struct cli_run {
    struct cli_store store; // with projects
    struct loop loop;
};
// While the process has no threads. After a failure the process is to end.
int cli_run_open(struct cli *cli, struct cli_run *run, struct err *err) MUST_USE;
void cli_run_close(struct cli_run *run);

// Before a call is submitted; and after, until it is done.
void cli_run_prepare(struct cli_run *run, struct project_call *call);
int cli_run_wait(struct cli_run *run, const struct project_call *call, struct err *err) MUST_USE;

// project_quota_changed, waiting until a running project has its new limits.
int cli_run_quota_changed(struct cli_run *run, const struct uuid *project_id,
                          struct err *err) MUST_USE;

#endif
