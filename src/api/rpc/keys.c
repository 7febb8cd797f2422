// SPDX-License-Identifier: AGPL-3.0-or-later
// system.manageApiKeys (hub-rpc 8.3).
#include <string.h>

#include "api/params.h"
#include "api/rpc/methods.h"
#include "api/rpc_read.h"
#include "base/js_date.h"
#include "svc/keys.h"

struct keys_params {
    const char *action, *project_id, *name;
    struct api_number id;
    const cJSON *expire; // given as null, it removes
};

#define FIELD(field) .offset = offsetof(struct keys_params, field)

static const struct api_param keys_params[] = {
    {.name = "action",
     .type = PARAM_STRING,
     FIELD(action),
     .text = "`get`, `create`, `edit` or `delete`; nothing is done for another"},
    {.name = "project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(project_id),
     .text = "the project whose keys it is about; without it, keys for the whole account"},
    {.name = "id", .type = PARAM_NUMBER, FIELD(id), .text = "the key, unless one is made"},
    {.name = "name",
     .type = PARAM_STRING,
     FIELD(name),
     .text = "for people, at most 128 characters"},
    {.name = "expire",
     .type = PARAM_ANY,
     .takes_null = true,
     FIELD(expire),
     .text = "when the key stops, such as `2030-01-31T00:00:00.000Z`; `null` is never"},
};
#undef FIELD

static const struct api_example keys_examples[] = {
    {"A key for all that the account can do. Its text is shown this once:",
     CALL_HUB("{\"name\":\"system.manageApiKeys\",\"args\":[{\"action\":\"create\","
              "\"name\":\"backup\",\"expire\":\"2099-01-31T00:00:00.000Z\"}]}"),
     "[{\"id\":42,\"account_id\":\"" EXAMPLE_CALLER "\","
     "\"created\":\"2026-02-03T04:05:06.789Z\",\"name\":\"backup\","
     "\"expire\":\"2099-01-31T00:00:00.000Z\",\"trunc\":\"sk-...00000G\",\"last_active\":null,"
     "\"secret\":\"sk-kWYhVMNJLmXT3x7c00000G\"}]"},
    {"A key for one project only:",
     CALL_HUB("{\"name\":\"system.manageApiKeys\",\"args\":[{\"action\":\"create\","
              "\"project_id\":\"" EXAMPLE_PROJECT "\"}]}"),
     "[{\"id\":43,\"account_id\":\"" EXAMPLE_CALLER "\","
     "\"created\":\"2026-02-03T04:05:07.012Z\",\"name\":null,\"expire\":null,"
     "\"trunc\":\"sk-...00000H\",\"last_active\":null,\"secret\":\"sk-8xJm2QeLr0aVbT5k00000H\"}]"},
    {"The keys of a project:",
     CALL_HUB("{\"name\":\"system.manageApiKeys\",\"args\":[{\"action\":\"get\","
              "\"project_id\":\"" EXAMPLE_PROJECT "\"}]}"),
     "[]"},
    {"A key stops at once:",
     CALL_HUB("{\"name\":\"system.manageApiKeys\",\"args\":[{\"action\":\"delete\",\"id\":42}]}"),
     "null"},
};

enum action { ACTION_GET, ACTION_CREATE, ACTION_EDIT, ACTION_DELETE, ACTION_NONE };

struct keys_op {
    struct api_call *call;
    struct key_scope scope;
    int64_t id; // 0: none
    struct key_edit edit;
    struct buf *out;
};

// ---- Reading what was sent ----

static enum action action_of(const char *text)
{
    static const char *const names[] = {"get", "create", "edit", "delete"};
    size_t i = 0;
    while (i < ARRAY_LEN(names) && !(text && !strcmp(text, names[i])))
        i++;
    return (enum action)i;
}

static bool read_expire(struct api_call *call, const cJSON *expire, struct key_edit *edit)
{
    edit->set_expire = expire;
    if (!expire || cJSON_IsNull(expire))
        return true;
    if (cJSON_IsString(expire) && js_date_parse(expire->valuestring, &edit->expires_ms) &&
        edit->expires_ms > 0)
        return true;
    rpc_refuse(call, "expire must be a date, such as 2030-01-31T00:00:00.000Z");
    return false;
}

// No key has another id than these.
static int64_t read_id(const struct api_number *id)
{
    int64_t value;
    return params_whole(id, 1, INT32_MAX, &value) ? value : -1;
}

static bool read_scope(struct api_call *call, const char *project_id, struct key_scope *scope)
{
    scope->account_id = call->caller.account_id;
    return !project_id ||
           rpc_collaborator(call, project_id,
                            "user must be collaborator on project to manage project_id api keys",
                            &scope->project_id);
}

// ---- get ----

static int list_keys(struct db_session *session, void *arg, struct buf *out, struct err *err)
{
    const struct keys_op *op = arg;
    if (!op->id)
        return key_list_in(session, &op->scope, out, err);
    auto_buf struct buf members = {0};
    int rc = key_show_in(session, &op->scope, op->id, &members, err);
    if (rc < 0)
        return rc;
    json_begin_array(out);
    if (rc) {
        json_begin_object(out);
        buf_append(out, members.data, members.size);
        json_end_object(out);
    }
    json_end_array(out);
    return 0;
}

// ---- create ----

static int create_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct keys_op *op = arg;
    const struct key_options options = {
        .name = op->edit.name,
        .project_id = op->scope.project_id.text[0] ? &op->scope.project_id : NULL,
        .expires_ms = op->edit.expires_ms,
    };
    char key[KEY_TEXT_SIZE];
    int64_t id;
    int rc =
        key_v2_create(txn, &op->call->svc->secret, &op->scope.account_id, &options, &id, key, err);
    if (rc)
        return rc;
    op->out->size = 0;
    json_begin_array(op->out);
    json_begin_object(op->out);
    rc = key_show_in(txn, &op->scope, id, op->out, err);
    json_member_str(op->out, "secret", key);
    json_end_object(op->out);
    json_end_array(op->out);
    return rc < 0 ? rc : 0;
}

static void answer_created(struct api_call *call, void *arg UNUSED)
{
    rpc_send(call);
}

// ---- edit, delete ----

static int edit_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct keys_op *op = arg;
    return key_edit_in(txn, &op->scope, op->id, &op->edit, err);
}

static int delete_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct keys_op *op = arg;
    return key_delete_in(txn, &op->scope, op->id, err);
}

static void edit_key(struct keys_op *op, const struct api_number *id)
{
    if (!id->given)
        rpc_refuse(op->call, "id must be specified");
    else if (op->id < 0)
        rpc_refuse(op->call, "no api key with id %.15g", id->value);
    else
        rpc_write(op->call, edit_in_txn, op, NULL);
}

// ---- The method ----

static void handle_keys(struct api_call *call, const void *params)
{
    const struct keys_params *p = params;
    struct keys_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->id = p->id.given ? read_id(&p->id) : 0;
    op->edit.name = p->name;
    op->out = rpc_result(call);
    if (!read_scope(call, p->project_id, &op->scope) || !read_expire(call, p->expire, &op->edit))
        return;
    switch (action_of(p->action)) {
    case ACTION_GET:
        rpc_read(call, list_keys, op);
        break;
    case ACTION_CREATE:
        rpc_write(call, create_in_txn, op, answer_created);
        break;
    case ACTION_EDIT:
        edit_key(op, &p->id);
        break;
    case ACTION_DELETE:
        rpc_write(call, delete_in_txn, op, NULL);
        break;
    case ACTION_NONE:
        rpc_null(call);
    }
}

const struct api_endpoint hub_system_manage_api_keys = {
    HUB_METHOD("system.manageApiKeys"),
    .run = API_ASYNC,
    .text =
        "Lists, makes, changes and deletes API keys. Without a project they are the account's own "
        "keys for everything that it can do, with a project all keys of that project, whoever "
        "made them, for which one must work on it. A key of a project acts as the project, and "
        "stops when its creator leaves the project. `get` answers with a list, newest first, or "
        "with `id` with a list of that one; `create` with a list of the new one, whose `secret` "
        "is the key itself and is never shown again; `edit` and `delete` with `null`. `edit` "
        "changes what is given.",
    API_PARAMS(keys_params, struct keys_params),
    .result = "{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"array\",\"items\":{\"type\":\"object\","
              "\"required\":[\"id\",\"account_id\",\"created\",\"name\",\"expire\",\"trunc\","
              "\"last_active\"],\"properties\":{\"id\":{\"type\":\"integer\"},\"account_id\":{"
              "\"type\":\"string\",\"format\":\"uuid\"},\"created\":{\"type\":\"string\","
              "\"format\":\"date-time\"},\"name\":{\"type\":[\"string\",\"null\"]},\"expire\":{"
              "\"type\":[\"string\",\"null\"],\"format\":\"date-time\"},\"trunc\":{\"type\":"
              "\"string\"},\"last_active\":{\"type\":[\"string\",\"null\"],\"format\":"
              "\"date-time\"},\"secret\":{\"type\":\"string\"}}}}]}",
    API_EXAMPLES(keys_examples),
    .handler = handle_keys,
};
