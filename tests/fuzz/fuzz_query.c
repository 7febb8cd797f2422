// SPDX-License-Identifier: AGPL-3.0-or-later
// Queries of all kinds, by all kinds of callers, of the server's real tables: what is let through
// is compared with the tables' descriptions, and with what the database holds.
//
// An input is a letter for the caller, a digit for the dialect, and JSON as API v1 takes it:
//
//   a0{"query":{"projects":[{"project_id":null,"title":null}]},"options":[{"limit":1}]}
//
// The database has two people, an administrator and four projects. "a" is Ada, who owns P1, works
// on P2, and has nothing to do with P3 and, but that she is a viewer, P4. What is stored about
// these two, and about Bob, holds the word SECRET wherever it is nobody else's to read. A set runs
// in a transaction that is undone, so each input finds the same.
//
// Nothing that a caller sent is ever part of SQL: no statement holds MARK, which many inputs do.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "fuzz/fuzz.h"
#include "query/query.h"
#include "svc/svc.h"
#include "svc/tables/tables.h"

#define NOW INT64_C(1600000000000) // 2020-09-13T12:26:40Z
#define ID  "bbbbbbbb-0000-4000-8000-00000000000"

#define UNDONE "what was written is undone"

static struct db *db;
static struct db_session *session;
static struct svc svc;
static struct loop loop; // never runs
static char folder[64];
static bool traced;

#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

// ---- What is stored ----

static const char *const rows[] = {
    "INSERT INTO accounts (account_id, first_name, last_name, created, email_address, "
    "password_hash,"
    " \"groups\", editor_settings, other_settings, ssh_keys, notes, tags, evaluate_key) VALUES"
    " ('" FUZZ_ADA "', 'Ada', 'L', 0, 'ada@example.org', 'x', NULL, '{\"tab_size\":8}', NULL,"
    "  '{\"a\":{\"title\":\"t\"}}', NULL, '[\"x\"]', 'k'),"
    " ('" FUZZ_BOB "', 'Bob', 'M', 0, '" FUZZ_SECRET "@example.org', '" FUZZ_SECRET "', NULL,"
    "  '{\"x\":\"" FUZZ_SECRET "\"}', '{\"x\":\"" FUZZ_SECRET "\"}', '{\"x\":\"" FUZZ_SECRET "\"}',"
    "  '" FUZZ_SECRET "', '[\"" FUZZ_SECRET "\"]', '" FUZZ_SECRET "'),"
    " ('" FUZZ_ROOT "', 'Root', 'R', 0, 'root@example.org', '" FUZZ_SECRET "', '[\"admin\"]',"
    "  NULL, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO projects (project_id, title, description, created, last_edited, state, env, "
    "course,"
    " name, settings, action_request, status) VALUES"
    " ('" FUZZ_P1 "', 'T1', 'D1', 1, 1600000000000, 'opened', '{\"A\":\"1\"}', NULL, 'one', NULL,"
    "  NULL, NULL),"
    " ('" FUZZ_P2 "', 'T2', NULL, 1, 1599000000000, 'running', NULL, '{\"path\":\"c\"}', NULL,"
    "  '{\"memory\":5}', '{\"action\":\"start\"}', NULL),"
    " ('" FUZZ_P3 "', '" FUZZ_SECRET "', '" FUZZ_SECRET "', 1, 1600000000000, 'opened',"
    "  '{\"x\":\"" FUZZ_SECRET "\"}', '{\"x\":\"" FUZZ_SECRET "\"}', '" FUZZ_SECRET "',"
    "  '{\"x\":\"" FUZZ_SECRET "\"}', '{\"x\":\"" FUZZ_SECRET "\"}', '{\"x\":\"" FUZZ_SECRET
    "\"}'),"
    " ('" FUZZ_P4 "', '" FUZZ_SECRET "', '" FUZZ_SECRET "', 1, 1600000000000, 'opened', NULL, NULL,"
    "  NULL, NULL, NULL, NULL)",
    "INSERT INTO project_users (project_id, account_id, \"group\", hide, upgrades, ssh_keys) VALUES"
    " ('" FUZZ_P1 "', '" FUZZ_ADA "', 'owner', 0, NULL, NULL),"
    " ('" FUZZ_P2 "', '" FUZZ_BOB "', 'owner', 0, '{\"cores\":1}', NULL),"
    " ('" FUZZ_P2 "', '" FUZZ_ADA "', 'collaborator', 1, NULL, '{\"f\":{\"title\":\"t\"}}'),"
    " ('" FUZZ_P3 "', '" FUZZ_BOB "', 'owner', 0, NULL, '{\"f\":{\"title\":\"" FUZZ_SECRET "\"}}'),"
    " ('" FUZZ_P4 "', '" FUZZ_BOB "', 'owner', 0, NULL, NULL),"
    " ('" FUZZ_P4 "', '" FUZZ_ADA "', 'viewer', 0, NULL, NULL)",
    "INSERT INTO project_log (id, project_id, time, account_id, event) VALUES"
    " ('" ID "1', '" FUZZ_P1 "', 1600000000000, '" FUZZ_ADA "', '{\"event\":\"x\"}'),"
    " ('" ID "2', '" FUZZ_P3 "', 1600000000000, '" FUZZ_BOB "', '{\"event\":\"" FUZZ_SECRET "\"}')",
    "INSERT INTO file_use (id, project_id, path, users, last_edited) VALUES"
    " ('u1', '" FUZZ_P1 "', 'a.txt', '{\"" FUZZ_ADA "\":{\"edit\":1}}', 1600000000000),"
    " ('u2', '" FUZZ_P3 "', '" FUZZ_SECRET "', NULL, 1600000000000)",
    "INSERT INTO file_access_log (id, project_id, account_id, filename, time) VALUES"
    " ('" ID "3', '" FUZZ_P1 "', '" FUZZ_ADA "', 'a.txt', 1600000000000),"
    " ('" ID "4', '" FUZZ_P3 "', '" FUZZ_BOB "', '" FUZZ_SECRET "', 1600000000000)",
    "INSERT INTO mentions (time, project_id, path, target, source, description, users) VALUES"
    " (1600000000000, '" FUZZ_P1 "', 'a', '" FUZZ_ADA "', '" FUZZ_ADA "', 'd', NULL),"
    " (1600000000000, '" FUZZ_P3 "', '" FUZZ_SECRET "', '" FUZZ_BOB "', '" FUZZ_BOB
    "', '" FUZZ_SECRET "', '{\"x\":1}')",
    "INSERT INTO listings (project_id, path, time, interest, listing) VALUES"
    " ('" FUZZ_P1 "', 'p', 1600000000000, 1600000000000, '[{\"name\":\"n\"}]'),"
    " ('" FUZZ_P3 "', '" FUZZ_SECRET "', 1600000000000, 1600000000000, '[]')",
    "INSERT INTO project_invite_tokens (token, project_id, created) VALUES"
    " ('token1', '" FUZZ_P1 "', 1), ('" FUZZ_SECRET "', '" FUZZ_P3 "', 1)",
    "INSERT INTO public_paths (id, project_id, path, description) VALUES"
    " ('b4469ba3962c5b0e8185b8d63e144bf9b673b7c2', '" FUZZ_P2 "', 'myfile.txt', 'd')",
    "INSERT INTO blobs (id, size, project_id, account_id, created, blob) VALUES"
    " ('aaf4c61d-dcc5-4e8a-adab-ede0f3b482cd', 5, '" FUZZ_P1 "', '" FUZZ_ADA "', 1, X'68656c6c6f')",
    "INSERT INTO server_settings (name, value) VALUES ('site_name', '" FUZZ_SECRET "')",
    "INSERT INTO registration_tokens (token) VALUES ('" FUZZ_SECRET "')",
};

// ---- Who asks ----

struct asking {
    char letter;
    struct query_caller caller;
    bool everything; // may read SECRET
};

static const struct asking askers[] = {
    {.letter = 'n'},
    {.letter = 'a', .caller = {.account_id = {FUZZ_ADA}}},
    {.letter = 'r', .caller = {.account_id = {FUZZ_ROOT}, .admin = true}, .everything = true},
    {.letter = 'p', .caller = {.project_id = {FUZZ_P1}}},
};

// ---- What no set changes ----

struct kept {
    const char *letters; // of callers
    const char *sql;     // one column
};

#define FOREIGN(table, columns)                                                                    \
    {                                                                                              \
        "anp",                                                                                     \
            "SELECT " columns " FROM " table " WHERE project_id IN ('" FUZZ_P3 "', '" FUZZ_P4 "')" \
    }

static const struct kept kept[] = {
    // Who belongs to what, and what lets somebody in, for everybody.
    {"anrp", "SELECT project_id || account_id || \"group\" FROM project_users"},
    {"anrp", "SELECT account_id || coalesce(email_address, '') || coalesce(password_hash, '') || "
             "coalesce(\"groups\", '') || banned || deleted || coalesce(passports, '') FROM "
             "accounts"},
    {"anrp", "SELECT hash || account_id FROM api_keys"},
    {"anrp", "SELECT project_id FROM projects"},
    // Other people.
    {"a",
     "SELECT json_array(a.account_id, first_name, last_name, name, last_active, unlisted, "
     "editor_settings, other_settings, terminal, profile, ssh_keys, tags, tours, autosave, "
     "evaluate_key, font_size, notes, org) FROM accounts a WHERE account_id <> '" FUZZ_ADA "'"},
    {"np", "SELECT json_array(account_id, first_name, last_name, name, unlisted, editor_settings, "
           "other_settings, terminal, profile, ssh_keys, tags, autosave) FROM accounts"},
    // Projects that are not the caller's. Asking to join is anybody's.
    FOREIGN("projects", "json_array(project_id, title, description, name, state, state_time, env, "
                        "course, settings, action_request, status, deleted, last_edited, "
                        "site_license, compute_image, sandbox, manage_users_owner_only, color)"),
    FOREIGN("project_users", "json_array(project_id, account_id, hide, upgrades, ssh_keys)"),
    FOREIGN("project_log", "json_array(id, project_id, time, account_id, event)"),
    FOREIGN("file_use", "json_array(id, project_id, path, users, last_edited)"),
    FOREIGN("file_access_log", "json_array(id, project_id, account_id, filename, time)"),
    FOREIGN("mentions", "json_array(time, project_id, path, target, source, description, users)"),
    FOREIGN("listings", "json_array(project_id, path, time, interest, listing, deleted)"),
    FOREIGN("project_invite_tokens", "json_array(token, project_id, created, expires, counter)"),
    FOREIGN("public_paths", "json_array(id, project_id, path, description, disabled, name)"),
    FOREIGN("blobs", "json_array(id, project_id, account_id)"),
    {"p", "SELECT json_array(project_id, title, description, status) FROM projects WHERE "
          "project_id <> '" FUZZ_P1 "'"},
    {"p", "SELECT json_array(project_id, path, listing) FROM listings WHERE project_id <> '" FUZZ_P1
          "'"},
    // The site's.
    {"anp", "SELECT json_array(name, value) FROM server_settings"},
    {"anp", "SELECT json_array(token, expires, disabled) FROM "
            "registration_tokens"},
};

// The rows in whatever order.
static uint64_t digest(struct db_session *txn, const char *sql)
{
    struct err err = {0};
    struct db_rows *found;
    uint64_t sum = 0;
    MUST(!db_query_text(txn, sql, DB_NO_ARGS, &found, &err), "%s: %s", sql, err.detail);
    int rc;
    while ((rc = db_rows_next(found, &err)) == 1) {
        uint64_t hash = 14695981039346656037u;
        for (const char *c = db_rows_text(found, 0); *c; c++)
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        sum += hash;
    }
    MUST(!rc, "%s: %s", sql, err.detail);
    db_rows_close(found);
    return sum;
}

static void digest_kept(struct db_session *txn, char letter, uint64_t sums[ARRAY_LEN(kept)])
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        sums[i] = strchr(kept[i].letters, letter) ? digest(txn, kept[i].sql) : 0;
}

// ---- Sets ----

struct setting {
    const struct asking *asking;
    struct query_one *one;
};

static int set_and_undo(struct db_session *txn, void *arg, struct err *err)
{
    const struct setting *setting = arg;
    uint64_t before[ARRAY_LEN(kept)], after[ARRAY_LEN(kept)];
    digest_kept(txn, setting->asking->letter, before);
    int rc = query_one_set(txn, setting->one, err);
    if (rc)
        return rc;
    digest_kept(txn, setting->asking->letter, after);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        MUST(before[i] == after[i], "changed: %s", kept[i].sql);
    return err_set(err, ERR_CONFLICT, UNDONE);
}

static bool is_key(const struct query_table *table, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++) {
        if (!strcmp(table->key[i], name))
            return true;
    }
    return false;
}

static bool is_set_field(const struct query_set_block *block, const char *name)
{
    for (size_t i = 0; i < block->fields_count; i++) {
        if (!strcmp(block->fields[i].name, name))
            return true;
    }
    return false;
}

static void check_set(const struct asking *asking, const struct query_table *table,
                      const cJSON *pattern)
{
    const struct query_set_block *block =
        asking->caller.project_id.text[0] ? table->project_set : table->set;
    const cJSON *member;
    MUST(asking->letter != 'n', "nobody has written %s", table->name);
    MUST(block, "%s cannot be written", table->name);
    MUST(block->access != QUERY_ADMIN || asking->caller.admin, "%s is for administrators",
         table->name);
    cJSON_ArrayForEach(member, pattern)
    {
        MUST(is_set_field(block, member->string) || is_key(table, member->string),
             "%s.%s cannot be written", table->name, member->string);
    }
}

// ---- Gets ----

static bool is_get_field(const struct query_get_block *block, const char *name)
{
    for (size_t i = 0; i < block->fields_count; i++) {
        if (!strcmp(block->fields[i].name, name))
            return true;
    }
    return false;
}

static void check_row(const struct query_table *table, const cJSON *pattern, const cJSON *row)
{
    const cJSON *member;
    MUST(cJSON_IsObject(row), "a row of %s is none", table->name);
    cJSON_ArrayForEach(member, row)
    {
        MUST(cJSON_GetObjectItemCaseSensitive(pattern, member->string), "%s.%s was not asked for",
             table->name, member->string);
    }
}

static void check_result(const struct query_table *table, const struct query_get_block *block,
                         const cJSON *pattern, const struct buf *out)
{
    struct err err;
    auto_json cJSON *result = NULL;
    const cJSON *row;
    if (!out->size)
        return; // stands for {}
    MUST(!json_parse(out->data, out->size, 2 * LIMIT_JSON_DEPTH, &result, &err), "%s: %.*s",
         err.message, (int)out->size, out->data);
    MUST(cJSON_IsObject(result) && cJSON_GetArraySize(result) <= 1, "RESULT: %.*s", (int)out->size,
         out->data);
    const cJSON *value = result->child;
    MUST(!value || !strcmp(value->string, table->name), "%s for %s", value->string, table->name);
    if (!value || block->compute)
        return;
    if (!cJSON_IsArray(value)) {
        check_row(table, pattern, value);
        return;
    }
    cJSON_ArrayForEach(row, value)
    {
        check_row(table, pattern, row);
    }
}

static void check_get(const struct asking *asking, const struct query_table *table,
                      const cJSON *pattern, struct buf *out)
{
    const struct query_get_block *block =
        asking->caller.project_id.text[0] ? table->project_get : table->get;
    const cJSON *member;
    MUST(block, "%s cannot be read", table->name);
    MUST(asking->letter != 'n' || block->access == QUERY_ANONYMOUS, "nobody has read %s",
         table->name);
    MUST(block->access != QUERY_ADMIN || asking->caller.admin, "%s is for administrators",
         table->name);
    cJSON_ArrayForEach(member, pattern)
    {
        MUST(is_get_field(block, member->string), "%s.%s cannot be read", table->name,
             member->string);
    }
    MUST(asking->everything || !strstr(buf_cstr(out), FUZZ_SECRET), "read: %s", buf_cstr(out));
    check_result(table, block, pattern, out);
}

// ---- One input ----

static const struct query_table *find_table(const char *name)
{
    for (const struct query_table *const *table = query_tables; *table; table++) {
        if (!strcmp((*table)->name, name))
            return *table;
    }
    return NULL;
}

static int run_member(const struct asking *asking, struct query_one *one, struct buf *out,
                      struct err *err)
{
    struct setting setting = {asking, one};
    switch (query_one_cost(one)) {
    case QUERY_IDLE:
        return -ERR_CONFLICT; // nothing to look at
    case QUERY_POINT:
    case QUERY_SCAN:
        return query_one_get(session, one, out, err);
    case QUERY_WRITE:
        break;
    }
    int rc = db_write(db, set_and_undo, &setting, err);
    query_one_dispose(one);
    return rc;
}

static void run_query(const struct asking *asking, const struct query_request *common,
                      const cJSON *query)
{
    struct query_request request = *common;
    struct query_one *one;
    struct err err = {0};
    auto_buf struct buf out = {0};
    int rc = query_one_parse(&request, query, &one, &err);
    bool writes = !rc && query_one_cost(one) == QUERY_WRITE;
    if (!rc)
        rc = run_member(asking, one, &out, &err);
    MUST(rc != -ERR_INTERNAL, "%s: %s", err.message, err.detail);
    bool undone = rc && writes && !strcmp(err.message, UNDONE);
    if (rc && !undone)
        return;
    const struct query_table *table = find_table(query->child->string);
    const cJSON *value = query->child;
    const cJSON *pattern = cJSON_IsArray(value) ? value->child : value;
    MUST(table, "there is no table %s", value->string);
    if (undone)
        check_set(asking, table, pattern);
    else
        check_get(asking, table, pattern, &out);
}

static void run_all(const struct asking *asking, const struct query_request *request,
                    const cJSON *query)
{
    const cJSON *member;
    if (!cJSON_IsArray(query)) {
        run_query(asking, request, query);
        return;
    }
    cJSON_ArrayForEach(member, query)
    {
        run_all(asking, request, member);
    }
}

static bool holds_secret(const cJSON *body)
{
    auto_buf struct buf text = {0};
    json_value(&text, body);
    return strstr(buf_cstr(&text), FUZZ_SECRET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_json cJSON *body = NULL;
    struct arena arena = {0};
    if (size < 2 || json_parse((const char *)data + 2, size - 2, LIMIT_JSON_DEPTH, &body, NULL) ||
        holds_secret(body))
        return 0;
    const cJSON *query = json_get(body, "query");
    const struct asking *asking = &askers[data[0] % ARRAY_LEN(askers)];
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        if (askers[i].letter == data[0])
            asking = &askers[i];
    }
    const struct query_request request = {.schema = svc.schema,
                                          .dialect = data[1] & 1,
                                          .caller = asking->caller,
                                          .now_ms = NOW,
                                          .options = json_get(body, "options"),
                                          .ctx = &svc,
                                          .arena = &arena};
    if (query)
        run_all(asking, &request, query);
    arena_dispose(&arena);
    return 0;
}

// ---- Before the first and after the last ----

static int on_statement(unsigned type UNUSED, void *ctx UNUSED, void *stmt, void *sql UNUSED)
{
    const char *text = sqlite3_sql(stmt);
    MUST(!traced || !text || !strstr(text, FUZZ_MARK), "SQL: %s", text);
    return 0;
}

static int on_connection(sqlite3 *connection, char **error UNUSED,
                         const struct sqlite3_api_routines *api UNUSED)
{
    return sqlite3_trace_v2(connection, SQLITE_TRACE_STMT, on_statement, NULL);
}

static int insert_rows(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < ARRAY_LEN(rows); i++)
        rc = db_exec_text(txn, rows[i], DB_NO_ARGS, NULL, err);
    return rc;
}

static void clean_up(void)
{
    auto_free char *command = mem_printf("rm -r %s", folder);
    db_session_close(session);
    svc_dispose(&svc);
    db_close(db);
    loop_dispose(&loop);
    (void)!system(command);
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    static const struct site site = {.name = "Site",
                                     .url = "https://example.org",
                                     .help_email = "help@example.org",
                                     .organization = "",
                                     .mail_from = "site@example.org",
                                     .sign_up = "open"};
    struct err err = {0};
    // In memory where that can be had: a set waits for the disk.
    strcpy(folder, "/dev/shm/cohub-fuzz-XXXXXX");
    if (!mkdtemp(folder))
        MUST(mkdtemp(strcpy(folder, "/tmp/cohub-fuzz-XXXXXX")), "no temporary folder");
    MUST(!chdir(folder), "no temporary folder");
    MUST(!sqlite3_auto_extension((void (*)(void))on_connection), "sqlite3_auto_extension");
    MUST(!loop_init(&loop, &err) && !db_open("sqlite:db", &db, &err) &&
             !db_write(db, insert_rows, NULL, &err) && !db_session_open(db, &session, &err) &&
             !svc_init(&svc, db, &site, &err),
         "%s: %s", err.message, err.detail);
    svc.loop = &loop;
    atexit(clean_up);
    traced = true;
    return 0;
}
