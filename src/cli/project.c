// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub project …
//
// Starting and stopping work whether a hub runs on the data or not: the command has a runner of its
// own for as long as it lasts, and finds projects by their agents' sockets as a hub does.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "runner/projects.h"
#include "runner/runner.h"
#include "svc/accounts.h"
#include "svc/project.h"

// ---- Showing ----

static bool is_state(const char *word)
{
    for (int state = PROJECT_OPENED; state <= PROJECT_STOPPING; state++) {
        if (!strcmp(word, project_state_name((enum project_state)state)))
            return true;
    }
    return false;
}

int cli_project_list(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct uuid account_id;
    struct err err;
    const char *account = cli_get(cli, "account"), *state = cli_get(cli, "state");
    if (state && !is_state(state)) {
        fprintf(stderr,
                "cohub project list: --state is opened, starting, running or stopping, not %s\n",
                state);
        return CLI_USAGE;
    }
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = account ? account_find(store.session, account, &account_id, &err) : 0;
    struct project_filter filter = {.account_id = account ? &account_id : NULL, .state = state};
    if (!rc)
        rc = project_list(store.session, &filter, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

int cli_project_show(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct uuid project_id;
    struct err err;
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = project_lookup(store.session, cli->words[0], &project_id, &err);
    if (!rc)
        rc = project_show(store.session, &project_id, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

// ---- Running ----

struct run {
    struct cli_store store;
    struct loop loop;
    struct uuid project_id;
};

static int fork_runner(const struct data_owner *owner, int *ret_channel, struct err *err)
{
    int channel[2];
    auto_free char *agent = cli_agent_path();
    if (!agent)
        return err_set(err, ERR_INTERNAL, "cohub-agent is not beside this program");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
        return err_set_errno(err, ERR_INTERNAL, errno, "no runner could be made");
    pid_t pid = fork();
    if (pid == 0) {
        fd_close(&channel[0]);
        struct runner_config config = {
            .channel_fd = channel[1], .uid = owner->uid, .gid = owner->gid, .agent_path = agent};
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
                       const char *error)
{
    struct run *run = ctx;
    project_state_set(&run->store.svc, project_id, state, error);
}

static int load_spec(void *ctx, const struct uuid *project_id, struct project_spec *ret_spec,
                     struct err *err)
{
    struct run *run = ctx;
    return project_spec_load(&run->store.svc, project_id, ret_spec, err);
}

static int run_open(struct cli *cli, struct run *run, struct err *err)
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
    rc = projects_open(&config, &run->store.svc.projects, err);
    return rc ? rc : project_lookup(run->store.session, cli->words[0], &run->project_id, err);
}

static void run_close(struct run *run)
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

static int start(struct run *run, struct project_call *call)
{
    projects_start(run->store.svc.projects, call, 0);
    loop_run(&run->loop);
    return call->rc;
}

static int stop(struct run *run, struct project_call *call)
{
    projects_stop(run->store.svc.projects, call);
    loop_run(&run->loop);
    return call->rc;
}

// Writes run in their order: when this one is done, those of the state are.
static int wait_for_writes(struct db_session *txn UNUSED, void *arg UNUSED, struct err *err UNUSED)
{
    return 0;
}

// Does something to one project, then shows it.
static int change_and_show(struct cli *cli,
                           int (*change)(struct run *run, struct project_call *call))
{
    auto_buf struct buf out = {0};
    struct run run = {0};
    struct err err;
    if (run_open(cli, &run, &err))
        return cli_fail(&err);
    struct project_call call = {
        .project_id = run.project_id, .loop = &run.loop, .done = on_call_done};
    int rc = change(&run, &call);
    err = call.err;
    if (!rc)
        rc = db_write(run.store.db, wait_for_writes, NULL, &err);
    if (!rc)
        rc = project_show(run.store.session, &run.project_id, &out, &err);
    run_close(&run);
    return rc ? cli_fail(&err) : cli_print(&out);
}

int cli_project_start(struct cli *cli)
{
    return change_and_show(cli, start);
}

int cli_project_stop(struct cli *cli)
{
    return change_and_show(cli, stop);
}

// ---- Deleting ----

struct deletion {
    struct uuid project_id;
    bool purge;
};

static int apply_delete(struct db_session *txn, void *arg, struct err *err)
{
    const struct deletion *deletion = arg;
    return project_delete(txn, &deletion->project_id, deletion->purge, err);
}

static int delete_project(struct run *run, bool purge, struct err *err)
{
    struct deletion deletion = {.project_id = run->project_id, .purge = purge};
    struct project_call call = {
        .project_id = run->project_id, .loop = &run->loop, .done = on_call_done};
    int rc = stop(run, &call);
    *err = call.err;
    if (!rc)
        rc = db_write(run->store.db, apply_delete, &deletion, err);
    return rc || !purge ? rc : project_folders_remove(&run->project_id, err);
}

int cli_project_delete(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct run run = {0};
    struct err err;
    bool purge = cli_get(cli, "purge");
    if (run_open(cli, &run, &err))
        return cli_fail(&err);
    int rc = delete_project(&run, purge, &err);
    run_close(&run);
    if (rc)
        return cli_fail(&err);
    json_begin_object(&out);
    json_member_str(&out, "project_id", run.project_id.text);
    json_member_bool(&out, "deleted", true);
    json_member_bool(&out, "purged", purge);
    json_end_object(&out);
    return cli_print(&out);
}
