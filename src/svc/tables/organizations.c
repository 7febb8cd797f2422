// SPDX-License-Identifier: AGPL-3.0-or-later
// organizations (user-query 12.15).
#include "svc/organizations.h"

#include "base/limits.h"
#include "query/value.h"
#include "svc/tables/accounts.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

static const struct query_column columns[] = {
    {.name = "organization_id", .type = QUERY_UUID},
    {.name = "created", .type = QUERY_TIMESTAMP},
    {.name = "deleted", .type = QUERY_BOOLEAN},
    {.name = "name", .type = QUERY_TEXT},
    {.name = "title", .type = QUERY_TEXT, .max_length = LIMIT_ORGANIZATION_TEXT},
    {.name = "description", .type = QUERY_TEXT, .max_length = LIMIT_ORGANIZATION_TEXT},
    {.name = "link", .type = QUERY_TEXT, .max_length = LIMIT_ORGANIZATION_TEXT},
    {.name = "email_address", .type = QUERY_TEXT, .max_length = LIMIT_ORGANIZATION_TEXT},
    {.name = "profile", .type = QUERY_JSON},
    {.name = "users", .type = QUERY_JSON},
    {.name = "admin_account_ids", .type = QUERY_UUID, .array = true},
};

static const struct query_get_field get_fields[] = {
    {.name = "organization_id"},
    {.name = "email_address"},
    {.name = "name", .fallback = "\"\""},
    {.name = "title", .fallback = "\"\""},
    {.name = "description", .fallback = "\"\""},
    {.name = "profile", .fallback = "{}"},
    {.name = "created"},
};

// Its users, and those who belong to it.
static const struct query_filter of_member[] = {
    {.kind = QUERY_WHERE,
     .column = "organization_id",
     .sql = "t.organization_id = $2 AND t.deleted = 0 AND (t.users LIKE '%\"' || $1 || '\":%'"
            " OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = $1 AND a.org = t.name))"},
};

static int must_name_one(struct query_get *get, struct err *err)
{
    const cJSON *id = json_get(get->pattern, "organization_id");
    if (id && !cJSON_IsNull(id))
        return 0;
    return err_set(err, ERR_INVALID, "FATAL: must specify organizations.organization_id");
}

static const struct query_get_block get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(of_member),
    QUERY_FIELDS(get_fields),
    .check = must_name_one,
};

// ---- Writing ----

static const struct query_set_field set_fields[] = {
    {.name = "organization_id"}, {.name = "name", .check = account_check_string},
    {.name = "title"},           {.name = "description"},
    {.name = "profile"},
};

static int check_member(struct db_session *txn, struct query_set *set, struct err *err)
{
    const char *name = json_get_str(set->pattern, "name");
    struct uuid id = {0};
    bool member = false;
    (void)query_uuid_read(json_get(set->pattern, "organization_id"), &id);
    int rc = organization_has_user(txn, &id, &set->caller.account_id, &member, err);
    if (!rc && !member)
        return err_set(err, ERR_FORBIDDEN, "account must be a member of the organization");
    if (!rc && name)
        rc = account_check_name(txn, name, &id, err);
    if (!rc && name)
        rc = organization_rename(txn, &id, name, err);
    return rc;
}

static int keep_small(struct db_session *txn, struct query_set *set, struct err *err)
{
    static const struct db_stmt length = {
        "SELECT length(profile) FROM organizations WHERE organization_id = $1"};
    struct uuid id = {0};
    (void)query_uuid_read(json_get(set->pattern, "organization_id"), &id);
    return bounds_check_stored(txn, &length, id.text, "profile", LIMIT_ACCOUNT_MAP, err);
}

static const struct query_set_block set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(set_fields),
    .required = {"organization_id"},
    .check = check_member,
    .after = keep_small,
};

const struct query_table table_organizations = {
    .name = "organizations",
    .text = "An organization, for who belongs to it.",
    .base = "organizations",
    .key = {"organization_id"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};
