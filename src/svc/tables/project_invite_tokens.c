// SPDX-License-Identifier: AGPL-3.0-or-later
// project_invite_tokens (user-query 12.7): what add_collaborator takes.
#include "query/value.h"
#include "svc/collaborators.h"
#include "svc/tables/tables.h"

enum { TOKEN, PROJECT_ID, CREATED, EXPIRES, USAGE_LIMIT, COUNTER };

static const struct query_column columns[] = {
    [TOKEN] = {.name = "token", .type = QUERY_TEXT},
    [PROJECT_ID] = {.name = "project_id", .type = QUERY_UUID},
    [CREATED] = {.name = "created", .type = QUERY_TIMESTAMP},
    [EXPIRES] = {.name = "expires", .type = QUERY_TIMESTAMP},
    [USAGE_LIMIT] = {.name = "usage_limit", .type = QUERY_NUMBER, .whole = true},
    [COUNTER] = {.name = "counter", .type = QUERY_NUMBER, .whole = true},
};

static const struct query_get_field get_fields[] = {
    {.name = "project_id"}, {.name = "token"},       {.name = "expires"},
    {.name = "created"},    {.name = "usage_limit"}, {.name = "counter"},
};

static const struct query_filter filters[] = {
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};

static const struct query_get_block get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(filters),
    QUERY_FIELDS(get_fields),
    .order_by = "-created",
};

static const struct query_set_field set_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "token"},
    {.name = "expires"},
    {.name = "created"},
    {.name = "usage_limit"},
};

// The integer of a field; nothing if it is not given.
static int read_field(const struct query_set *set, int column, bool *ret_given, int64_t *ret_value,
                      struct err *err)
{
    const cJSON *field = query_given(set->pattern, columns[column].name);
    struct db_value value;
    if (!field)
        return 0;
    int rc = query_value_read(&columns[column], field, set->arena, &value, err);
    if (rc)
        return rc;
    *ret_given = true;
    *ret_value = value.integer;
    return 0;
}

static int write_token(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct project_invite_token token = {0};
    struct db_value text;
    (void)query_uuid_read(json_get(set->pattern, "project_id"), &token.project_id);
    int rc =
        query_value_read(&columns[TOKEN], json_get(set->pattern, "token"), set->arena, &text, err);
    if (!rc)
        rc = read_field(set, CREATED, &token.created_given, &token.created, err);
    if (!rc)
        rc = read_field(set, EXPIRES, &token.expires_given, &token.expires, err);
    if (!rc)
        rc = read_field(set, USAGE_LIMIT, &token.usage_limit_given, &token.usage_limit, err);
    if (rc)
        return rc;
    token.token = arena_strndup(set->arena, text.text, text.size);
    const struct caller caller = {.account_id = set->caller.account_id, .admin = set->caller.admin};
    rc = collaborators_manage_check(txn, &caller, &token.project_id, err);
    return rc ? rc : project_invite_token_set(txn, &token, err);
}

static const struct query_set_block set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"project_id", "token"},
    .instead = write_token,
};

const struct query_table table_project_invite_tokens = {
    .name = "project_invite_tokens",
    .text = "Tokens that make who shows them to `add_collaborator` a collaborator of a project, "
            "until they expire or have been used `usage_limit` times.",
    .base = "project_invite_tokens",
    .key = {"token"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};
