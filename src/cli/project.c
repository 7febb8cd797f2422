// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub project …
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/run.h"
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
    struct project_filter filter = {.account_id = account ? &account_id : NULL,
                                    .state = state,
                                    .deleted = cli_get(cli, "deleted")};
    if (!rc)
        rc = project_list(store.session, &filter, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

static int write_one(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    struct uuid project_id;
    int rc = project_lookup(store->session, cli->words[0], &project_id, err);
    return rc ? rc : project_show(store->session, &project_id, out, err);
}

int cli_project_show(struct cli *cli)
{
    return cli_show(cli, write_one);
}

// ---- Running ----

static int start(struct cli_run *run, const struct uuid *project_id, struct err *err)
{
    struct project_call call = {.project_id = *project_id};
    cli_run_prepare(run, &call);
    projects_start(run->store.svc.projects, &call, 0);
    return cli_run_wait(run, &call, err);
}

static int stop(struct cli_run *run, const struct uuid *project_id, struct err *err)
{
    struct project_call call = {.project_id = *project_id};
    cli_run_prepare(run, &call);
    projects_stop(run->store.svc.projects, &call);
    return cli_run_wait(run, &call, err);
}

// Does something to one project, then shows it.
static int change_and_show(struct cli *cli,
                           int (*change)(struct cli_run *run, const struct uuid *project_id,
                                         struct err *err))
{
    auto_buf struct buf out = {0};
    struct cli_run run = {0};
    struct uuid project_id;
    struct err err;
    if (cli_run_open(cli, &run, &err))
        return cli_fail(&err);
    int rc = project_lookup(run.store.session, cli->words[0], &project_id, &err);
    if (!rc)
        rc = change(&run, &project_id, &err);
    if (!rc)
        rc = db_write_settle(run.store.db, &err);
    if (!rc)
        rc = project_show(run.store.session, &project_id, &out, &err);
    cli_run_close(&run);
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

static int delete_project(struct cli_run *run, const struct uuid *project_id, bool purge,
                          struct err *err)
{
    struct deletion deletion = {.project_id = *project_id, .purge = purge};
    int rc = stop(run, project_id, err);
    if (!rc)
        rc = db_write(run->store.db, apply_delete, &deletion, err);
    return rc || !purge ? rc : project_folders_remove(project_id, err);
}

int cli_project_delete(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct cli_run run = {0};
    struct uuid project_id;
    struct err err;
    bool purge = cli_get(cli, "purge");
    if (cli_run_open(cli, &run, &err))
        return cli_fail(&err);
    int rc = project_lookup(run.store.session, cli->words[0], &project_id, &err);
    if (!rc)
        rc = delete_project(&run, &project_id, purge, &err);
    cli_run_close(&run);
    if (rc)
        return cli_fail(&err);
    json_begin_object(&out);
    json_member_str(&out, "project_id", project_id.text);
    json_member_bool(&out, "deleted", true);
    json_member_bool(&out, "purged", purge);
    json_end_object(&out);
    return cli_print(&out);
}

static int apply_undelete(struct db_session *txn, void *arg, struct err *err)
{
    return project_undelete(txn, arg, err);
}

int cli_project_undelete(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct uuid project_id;
    struct err err;
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = project_lookup(store.session, cli->words[0], &project_id, &err);
    if (!rc)
        rc = db_write(store.db, apply_undelete, &project_id, &err);
    if (!rc)
        rc = project_show(store.session, &project_id, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}
