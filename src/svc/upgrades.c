// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/upgrades.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "db/query.h"

// ---- Amounts ----

struct upgrade_amounts upgrade_amounts_read(const cJSON *object)
{
    struct upgrade_amounts amounts = {0};
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        const cJSON *value = json_get(object, upgrade_name((enum upgrade)i));
        amounts.given[i] = value;
        amounts.of[i] = upgrade_amount((enum upgrade)i, value);
    }
    return amounts;
}

void upgrade_amounts_write(const struct upgrade_amounts *amounts, struct buf *out)
{
    json_begin_object(out);
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        if (!amounts->given[i])
            continue;
        json_key(out, upgrade_name((enum upgrade)i));
        json_double(out, amounts->of[i]);
    }
    json_end_object(out);
}

// What `more` names counts.
static void overlay(struct upgrade_amounts *amounts, const struct upgrade_amounts *more)
{
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        if (!more->given[i])
            continue;
        amounts->given[i] = true;
        amounts->of[i] = more->of[i];
    }
}

void upgrade_amounts_replace(struct upgrade_amounts *amounts, const struct upgrade_amounts *more)
{
    overlay(amounts, more);
    for (int i = 0; i < UPGRADE_COUNT; i++)
        amounts->given[i] &= amounts->of[i] > 0;
}

static struct upgrade_amounts read_column(struct db_rows *rows, int column)
{
    auto_json cJSON *object = NULL;
    if (db_rows_null(rows, column) ||
        json_parse(db_rows_text(rows, column), db_rows_size(rows, column), LIMIT_JSON_DEPTH,
                   &object, NULL))
        return (struct upgrade_amounts){0};
    return upgrade_amounts_read(object);
}

// ---- Total, available, excess ----

static int read_total(struct db_session *session, const struct uuid *account_id,
                      struct upgrade_amounts *ret_total, struct err *err)
{
    static const struct db_stmt find = {"SELECT upgrades FROM accounts WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "no account %s", account_id->text);
    *ret_total = read_column(rows, 0);
    return 0;
}

// Takes what a project has from what is available. True if there was not enough.
static bool take(struct upgrade_amounts *available, const struct upgrade_amounts *amounts,
                 struct upgrade_trim *trim)
{
    bool short_of = false;
    trim->kept = *amounts;
    trim->excess = (struct upgrade_amounts){0};
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        double amount = amounts->of[i];
        if (!amounts->given[i])
            continue;
        available->given[i] = true;
        if (amount <= available->of[i]) {
            available->of[i] -= amount;
            continue;
        }
        trim->excess.given[i] = short_of = true;
        trim->excess.of[i] = amount - available->of[i];
        trim->kept.of[i] = available->of[i];
        available->of[i] = 0;
    }
    return short_of;
}

static void add_trim(struct upgrade_state *state, const struct upgrade_trim *trim)
{
    state->trims = mem_realloc(state->trims, (state->trims_count + 1) * sizeof *state->trims);
    state->trims[state->trims_count++] = *trim;
}

static int walk_projects(struct db_session *session, const struct uuid *account_id,
                         struct upgrade_state *state, struct err *err)
{
    static const struct db_stmt list = {
        "SELECT project_id, upgrades FROM project_users"
        " WHERE account_id = $1 AND upgrades IS NOT NULL ORDER BY project_id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1) {
        struct upgrade_amounts amounts = read_column(rows, 1);
        struct upgrade_trim trim;
        state->projects++;
        if (uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &trim.project_id) &&
            take(&state->available, &amounts, &trim))
            add_trim(state, &trim);
    }
    return rc;
}

int upgrades_get(struct db_session *session, const struct uuid *account_id,
                 struct upgrade_state *ret_state, struct err *err)
{
    struct upgrade_state state = {0};
    int rc = read_total(session, account_id, &state.total, err);
    state.available = state.total;
    if (!rc)
        rc = walk_projects(session, account_id, &state, err);
    if (rc) {
        upgrade_state_dispose(&state);
        return rc;
    }
    *ret_state = state;
    return 0;
}

void upgrade_state_dispose(struct upgrade_state *state)
{
    free(TAKE_PTR(state->trims));
}

void upgrade_state_write(const struct upgrade_state *state, struct buf *out)
{
    json_key(out, "total");
    upgrade_amounts_write(&state->total, out);
    json_key(out, "excess");
    json_begin_object(out);
    for (size_t i = 0; i < state->trims_count; i++) {
        json_key(out, state->trims[i].project_id.text);
        upgrade_amounts_write(&state->trims[i].excess, out);
    }
    json_end_object(out);
    json_key(out, "available");
    upgrade_amounts_write(&state->available, out);
}

// ---- Changing them ----

int upgrades_total_set(struct db_session *txn, const struct uuid *account_id,
                       const struct upgrade_amounts *amounts, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET upgrades = $2 WHERE account_id = $1"};
    struct upgrade_amounts total;
    int rc = read_total(txn, account_id, &total, err);
    if (rc)
        return rc;
    upgrade_amounts_replace(&total, amounts);
    auto_buf struct buf text = {0};
    upgrade_amounts_write(&total, &text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id->text), DB_TEXTN(text.data, text.size)),
                   NULL, err);
}

static int read_given(struct db_session *txn, const struct upgrades_apply *apply,
                      struct upgrade_amounts *ret_given, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT upgrades FROM project_users WHERE project_id = $1 AND account_id = $2"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find,
                          DB_ARGS(DB_TEXT(apply->project_id.text), DB_TEXT(apply->account_id.text)),
                          &rows, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "account %s is not a user of project %s",
                       apply->account_id.text, apply->project_id.text);
    *ret_given = read_column(rows, 0);
    return 0;
}

static int write_given(struct db_session *txn, const struct uuid *account_id,
                       const struct uuid *project_id, const struct upgrade_amounts *amounts,
                       struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE project_users SET upgrades = $3 WHERE project_id = $1 AND account_id = $2"};
    auto_buf struct buf text = {0};
    upgrade_amounts_write(amounts, &text);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text),
                           DB_TEXTN(text.data, text.size)),
                   NULL, err);
}

static void note_changed(struct upgrades_apply *apply, const struct uuid *project_id)
{
    apply->changed =
        mem_realloc(apply->changed, (apply->changed_count + 1) * sizeof *apply->changed);
    apply->changed[apply->changed_count++] = *project_id;
}

static int trim(struct db_session *txn, struct upgrades_apply *apply,
                const struct upgrade_trim *trim, struct err *err)
{
    if (uuid_equal(&trim->project_id, &apply->project_id))
        apply->stored = trim->kept;
    else
        note_changed(apply, &trim->project_id);
    return write_given(txn, &apply->account_id, &trim->project_id, &trim->kept, err);
}

static int trim_all(struct db_session *txn, struct upgrades_apply *apply, struct err *err)
{
    struct upgrade_state state;
    int rc = upgrades_get(txn, &apply->account_id, &state, err);
    if (rc)
        return rc;
    if (state.projects > LIMIT_UPGRADED_PROJECTS)
        rc = err_set(err, ERR_INVALID, "an account can give upgrades to %d projects at most",
                     LIMIT_UPGRADED_PROJECTS);
    for (size_t i = 0; i < state.trims_count && !rc; i++)
        rc = trim(txn, apply, &state.trims[i], err);
    upgrade_state_dispose(&state);
    return rc;
}

int upgrades_apply(struct db_session *txn, struct upgrades_apply *apply, struct err *err)
{
    upgrades_apply_dispose(apply); // of a run before this one
    int rc = read_given(txn, apply, &apply->stored, err);
    if (rc)
        return rc;
    overlay(&apply->stored, &apply->amounts);
    note_changed(apply, &apply->project_id);
    rc = write_given(txn, &apply->account_id, &apply->project_id, &apply->stored, err);
    return rc ? rc : trim_all(txn, apply, err);
}

void upgrades_apply_dispose(struct upgrades_apply *apply)
{
    free(TAKE_PTR(apply->changed));
    apply->changed_count = 0;
}
