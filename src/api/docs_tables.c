// SPDX-License-Identifier: AGPL-3.0-or-later
// The tables of the endpoint query, as Markdown made from their descriptions.
#include <string.h>

#include "api/docs_internal.h"
#include "svc/tables/tables.h"

#define DAY_S 86400

static const char *const access_words[] = {
    [QUERY_ANONYMOUS] = "anybody",
    [QUERY_ACCOUNT] = "any account",
    [QUERY_PROJECT] = "who works on the project",
    [QUERY_OWNER] = "owners of the project",
    [QUERY_ADMIN] = "administrators",
    [QUERY_PROJECT_KEY] = "the project itself",
};

static const char *const filter_words[] = {
    [QUERY_OWN_ACCOUNT] = "the caller's own",
    [QUERY_PROJECT_MEMBER] = "of projects that the caller works on",
    [QUERY_PROJECT_EXACT] = "of the project that `project_id` names, which the caller works on",
    [QUERY_PROJECT_EXACT_OPEN] = "of the project that `project_id` names",
    [QUERY_PROJECT_PUBLIC] = "of the project that `project_id` names, if a path of it is public",
    [QUERY_THIS_PROJECT] = "of the calling project",
};

static const char *const rule_words[] = {
    [QUERY_ACCOUNT_ID] = "always the caller",
    [QUERY_PROJECT_ID] = "always the calling project",
    [QUERY_PROJECT_WRITE] = "required; a project that the caller works on",
    [QUERY_PROJECT_OWNER] = "required; a project that the caller owns",
    [QUERY_SHA1_PROJECT_PATH] = "always computed",
    [QUERY_UUID_IF_MISSING] = "made up if left out",
    [QUERY_NOW_IF_MISSING] = "now if left out",
};

// ---- Reading ----

static void append_window(struct buf *out, const struct query_filter *filter)
{
    int64_t s = filter->seconds[QUERY_DOCUMENTED];
    buf_printf(out, "whose `%s` is at most %lld %s ago", filter->column,
               (long long)(s % DAY_S ? s / 3600 : s / DAY_S), s % DAY_S ? "hours" : "days");
}

static void append_filters(struct buf *out, const struct query_get_block *get)
{
    const char *separator = ". Rows: ";
    for (size_t i = 0; i < get->filters_count; i++) {
        const struct query_filter *filter = &get->filters[i];
        if (filter->kind == QUERY_WHERE)
            continue;
        buf_append_str(out, separator);
        separator = ", ";
        if (filter->kind == QUERY_NEWER_THAN)
            append_window(out, filter);
        else
            buf_append_str(out, filter_words[filter->kind]);
    }
}

static void append_order(struct buf *out, const struct query_get_block *get)
{
    const char *order = get->order_by;
    if (order && order[0] == '-')
        buf_printf(out, ". Order: `%s`, falling", order + 1);
    else if (order)
        buf_printf(out, ". Order: `%s`", order);
    if (get->limit[QUERY_DOCUMENTED])
        buf_printf(out, ". At most %lld", (long long)get->limit[QUERY_DOCUMENTED]);
}

static void append_get(struct buf *out, const struct query_get_block *get)
{
    if (!get)
        return;
    buf_printf(out, "- Read by %s", access_words[get->access]);
    append_filters(out, get);
    append_order(out, get);
    buf_append_str(out, ". Fields: ");
    for (size_t i = 0; i < get->fields_count; i++) {
        const struct query_get_field *field = &get->fields[i];
        buf_printf(out, "%s`%s`", i ? ", " : "", field->name);
        if (field->fallback)
            buf_printf(out, " (if not set `%s`)", field->fallback);
    }
    buf_append_str(out, ".\n");
}

// ---- Writing ----

static bool is_required(const struct query_set_block *set, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(set->required) && set->required[i]; i++) {
        if (!strcmp(set->required[i], name))
            return true;
    }
    return false;
}

static void append_set(struct buf *out, const struct query_set_block *set)
{
    if (!set)
        return;
    buf_printf(out, "- Written by %s%s. Fields: ", access_words[set->access],
               set->deletes ? ", who can also delete rows" : "");
    for (size_t i = 0; i < set->fields_count; i++) {
        const struct query_set_field *field = &set->fields[i];
        const char *rule = rule_words[field->rule];
        if (!rule && is_required(set, field->name))
            rule = "required";
        buf_printf(out, "%s`%s`", i ? ", " : "", field->name);
        if (rule && field->max_bytes)
            buf_printf(out, " (%s; at most %u bytes)", rule, field->max_bytes);
        else if (field->max_bytes)
            buf_printf(out, " (at most %u bytes)", field->max_bytes);
        else if (rule)
            buf_printf(out, " (%s)", rule);
    }
    buf_append_str(out, ".\n");
}

// ---- All ----

static void append_table(struct buf *out, const struct query_table *table)
{
    buf_printf(out, "\n### %s\n\n%s", table->name, table->text);
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++)
        buf_printf(out, "%s`%s`", i ? ", " : " Primary key: ", table->key[i]);
    buf_append_str(out, table->key[0] ? ".\n\n" : "\n\n");
    append_get(out, table->get);
    append_set(out, table->set);
}

void docs_append_tables(struct buf *out)
{
    buf_append_str(out,
                   "What the endpoint `query` reads and writes. Only the fields named here can "
                   "be asked for, or asked by. A caller that works on a project is an owner "
                   "or a collaborator of it; administrators can name any project.\n");
    for (size_t i = 0; query_tables[i]; i++) {
        if (query_tables[i]->get || query_tables[i]->set)
            append_table(out, query_tables[i]);
    }
}
