// SPDX-License-Identifier: AGPL-3.0-or-later
#include "cli/run.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "runner/runner.h"
#include "svc/project.h"
#include "svc/project_quota.h"

static int fork_runner(const struct data_owner *owner, int *ret_channel, struct err *err)
{
    int channel[2];
    auto_free char *agent = cli_agent_path(), *kernel = cli_kernel_path();
    if (!agent)
        return err_set(err, ERR_INTERNAL, "cohub-agent is not beside this program");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
        return err_set_errno(err, ERR_INTERNAL, errno, "no runner could be made");
    pid_t pid = fork();
    if (pid == 0) {
        fd_close(&channel[0]);
        struct runner_config config = {.channel_fd = channel[1],
                                       .uid = owner->uid,
                                       .gid = owner->gid,
                                       .agent_path = agent,
                                       .kernel_path = kernel};
        _exit(runner_main(&config) ? 1 : 0);
    }
    fd_close(&channel[1]);
    if (pid < 0) {
        fd_close(&channel[0]);
        return err_set_errno(err, ERR_INTERNAL, errno, "no runner could be made");
    }
    *ret_channel = channel[0];
    return 0;
}

static void on_changed(void *ctx, const struct uuid *project_id, enum project_state state,
                       int64_t seen_ms, const char *error)
{
    struct cli_run *run = ctx;
    project_state_set(&run->store.svc, project_id, state, seen_ms, error);
}

static int load_spec(void *ctx, const struct uuid *project_id, struct project_spec *ret_spec,
                     struct err *err)
{
    struct cli_run *run = ctx;
    return project_spec_load(&run->store.svc, project_id, ret_spec, err);
}

int cli_run_open(struct cli *cli, struct cli_run *run, struct err *err)
{
    int channel = -1;
    int rc = cli_store_enter(cli, false, &run->store, err);
    if (!rc)
        rc = fork_runner(&run->store.owner, &channel, err);
    if (!rc)
        rc = cli_store_begin(cli, &run->store, err);
    if (!rc)
        rc = loop_init(&run->loop, err);
    if (rc)
        return rc;
    struct projects_config config = {
        .runner_fd = channel,
        .start_timeout_ms =
            (uint32_t)config_int(&cli->config, CONFIG_PROJECTS_START_TIMEOUT) * 1000,
        .ctx = run,
        .load = load_spec,
        .changed = on_changed,
    };
    run->store.svc.loop = &run->loop;
    return projects_open(&config, &run->store.svc.projects, err);
}

void cli_run_close(struct cli_run *run)
{
    projects_close(run->store.svc.projects);
    db_session_close(run->store.session);
    db_close(run->store.db);
    loop_dispose(&run->loop);
    svc_dispose(&run->store.svc);
}

static void on_call_done(struct project_call *call)
{
    loop_stop(call->loop);
}

void cli_run_prepare(struct cli_run *run, struct project_call *call)
{
    call->loop = &run->loop;
    call->done = on_call_done;
}

int cli_run_wait(struct cli_run *run, const struct project_call *call, struct err *err)
{
    loop_run(&run->loop);
    if (call->rc)
        *err = call->err;
    return call->rc;
}

struct update {
    const struct quota_site *site;
    const struct uuid *project_id;
    bool changed;
    struct quota quota;
};

static int write_update(struct db_session *txn, void *arg, struct err *err)
{
    struct update *update = arg;
    return project_quota_update(txn, update->site, update->project_id, &update->changed,
                                &update->quota, err);
}

int cli_run_quota_changed(struct cli_run *run, const struct uuid *project_id, struct err *err)
{
    struct svc *svc = &run->store.svc;
    struct update update = {.site = &svc->site.quotas, .project_id = project_id};
    int rc = db_write(run->store.db, write_update, &update, err);
    if (rc || !update.changed)
        return rc;
    struct limit_call limit = {.call = {.project_id = *project_id},
                               .limits = project_limits(update.site, &update.quota)};
    cli_run_prepare(run, &limit.call);
    projects_limit(svc->projects, &limit);
    return cli_run_wait(run, &limit.call, err);
}
