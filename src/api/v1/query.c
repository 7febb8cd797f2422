// SPDX-License-Identifier: AGPL-3.0-or-later
// query (api-v1 3.30, 12; user-query).

#include "api/v1/endpoints.h"
#include "http/http.h"
#include "svc/user_query.h"

struct query_params {
    const cJSON *query, *changes, *options;
    bool multi_response;
};

#define FIELD(field) .offset = offsetof(struct query_params, field)

static const struct api_param query_params[] = {
    {.name = "query",
     .type = PARAM_ANY,
     .required = true,
     FIELD(query),
     .text = "`{\"table\": {\"field\": value, …}}`, or a list of such objects"},
    {.name = "changes",
     .type = PARAM_ANY,
     FIELD(changes),
     .text = "comes back in the reply; over HTTP there are no notices of changes"},
    {.name = "multi_response",
     .type = PARAM_BOOL,
     FIELD(multi_response),
     .text = "must be false",
     .default_text = "false"},
    {.name = "options",
     .type = PARAM_ANY,
     FIELD(options),
     .text = "list of objects with one member each: `limit`, `order_by`, `set`, `delete`, "
             "`only_changes`, `account_id`",
     .default_text = "[]"},
};
#undef FIELD

static const struct api_member query_members[] = {
    {.name = "query", .schema = "{\"type\":[\"object\",\"array\"]}"},
    {.name = "multi_response", .schema = "{\"const\":false}"},
    {.name = "options", .schema = "{\"type\":\"array\"}", .optional = true},
    {.name = "changes", .schema = "{}", .optional = true},
};

#define EXAMPLE_ACCOUNT "6c28c5f4-3235-46be-b025-166b4dcaac7e"
#define QUERY(text)     CURL_JSON " -d '{\"query\":" text "}' \\\n" URL("query")
#define REPLY(result)                                                                              \
    "{\"event\":\"query\",\"id\":\"9dd3ef3f-002b-4893-b31f-ff51440c855f\",\"query\":" result       \
    ",\"multi_response\":false}"

static const struct api_example query_examples[] = {
    {"Title and description of a project:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT
           "\",\"title\":null,\"description\":null}}"),
     REPLY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT
           "\",\"title\":\"MY NEW PROJECT 2\",\"description\":\"desc 2\"}}")},
    {"All of the caller's projects (`projects` has those that were edited in the last three weeks, "
     "`projects_all` has all):",
     QUERY("{\"projects_all\":[{\"project_id\":null,\"title\":null,\"description\":null}]}"),
     REPLY("{\"projects_all\":[{\"project_id\":\"1fa1626e-ce25-4871-9b0e-19191cd03325\","
           "\"title\":\"SYNTHMON\",\"description\":\"Synthetic Monitoring\"},"
           "{\"project_id\":\"639a6b2e-7499-41b5-ac1f-1701809699a7\","
           "\"title\":\"TESTPROJECT 99\",\"description\":\"No Description\"}]}")},
    {"The project that has a title and a description:",
     QUERY("{\"projects\":{\"project_id\":null,\"title\":\"MY NEW PROJECT "
           "2\",\"description\":\"desc 2\"}}"),
     REPLY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT
           "\",\"title\":\"MY NEW PROJECT 2\",\"description\":\"desc 2\"}}")},
    {"Who works on a project:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT "\",\"users\":null}}"),
     REPLY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT "\",\"users\":{\"" EXAMPLE_ACCOUNT
           "\":{\"group\":\"owner\"},\"111634c0-7048-41e7-b2d0-f87129fd409e\":{\"group\":"
           "\"collaborator\"}}}}")},
    {"The same query shows the upgrades that each has given to the project: here a core, 3000 MB "
     "of memory, a day until it stops for being idle, access to the network, 3 shares of the "
     "processor (each counts 256), 27,000 MB of disk and a member host:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT "\",\"users\":null}}"),
     REPLY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT "\",\"users\":{\"" EXAMPLE_ACCOUNT
           "\":{\"group\":\"owner\",\"upgrades\":{\"cores\":1,\"memory\":3000,\"mintime\":86400,"
           "\"network\":1,\"cpu_shares\":768,\"disk_quota\":27000,\"member_host\":1}}}}}")},
    {"The caller's settings of the editor, with the defaults of what was never set:",
     QUERY("{\"accounts\":{\"account_id\":\"" EXAMPLE_ACCOUNT "\",\"editor_settings\":null}}"),
     REPLY("{\"accounts\":{\"account_id\":\"" EXAMPLE_ACCOUNT
           "\",\"editor_settings\":{\"strip_trailing_whitespace\":false,"
           "\"show_trailing_whitespace\":true,\"line_wrapping\":true,\"line_numbers\":true,"
           "\"smart_indent\":true,\"electric_chars\":true,\"match_brackets\":true,"
           "\"auto_close_brackets\":true,\"code_folding\":true,\"match_xml_tags\":true,"
           "\"auto_close_xml_tags\":true,\"auto_close_latex\":true,"
           "\"spaces_instead_of_tabs\":true,\"multiple_cursors\":true,\"track_revisions\":true,"
           "\"extra_button_bar\":true,\"build_on_save\":true,\"first_line_number\":1,"
           "\"indent_unit\":4,\"tab_size\":4,\"bindings\":\"standard\",\"theme\":\"default\","
           "\"undo_depth\":300,\"jupyter_classic\":false,\"jupyter_window\":false,"
           "\"disable_jupyter_windowing\":false,\"show_exec_warning\":true,"
           "\"physical_keyboard\":\"default\",\"keyboard_variant\":\"\","
           "\"ask_jupyter_kernel\":true}}}")},
    {"The identities at other providers by which the caller can sign in, for `unlink_passport`:",
     QUERY("{\"accounts\":{\"account_id\":\"" EXAMPLE_ACCOUNT "\",\"passports\":null}}"),
     REPLY("{\"accounts\":{\"account_id\":\"" EXAMPLE_ACCOUNT
           "\",\"passports\":{\"facebook-14159265358\":{\"id\":\"14159265358\"}}}}")},
    {"To set the title and the description of a project:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT
           "\",\"title\":\"REVISED TITLE\",\"description\":\"REVISED DESC\"}}"),
     REPLY("{}")},
    {"To publish a file:",
     QUERY("{\"public_paths\":{\"project_id\":\"" EXAMPLE_PROJECT
           "\",\"path\":\"myfile.txt\",\"description\":\"a shared text file\"}}"),
     REPLY("{}")},
    {"To give a project a fourth share of the processor. Maps are merged, so that the other "
     "upgrades stay:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT "\",\"users\":{\"" EXAMPLE_ACCOUNT
           "\":{\"upgrades\":{\"cpu_shares\":1024}}}}}"),
     REPLY("{}")},
    {"To change one setting of the editor; the others stay:",
     QUERY("{\"accounts\":{\"account_id\":\"" EXAMPLE_ACCOUNT
           "\",\"editor_settings\":{\"jupyter_classic\":false}}}"),
     REPLY("{}")},
    {"To start a project (`stop` stops it); the reply does not wait for it:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT
           "\",\"action_request\":{\"action\":\"start\"}}}"),
     REPLY("{}")},
    {"The two projects whose titles come last in the alphabet:",
     CURL_JSON " -d "
               "'{\"query\":{\"projects_all\":[{\"project_id\":null,\"title\":{\"!=\":\"\"}}]},"
               "\"options\":[{\"limit\":2},{\"order_by\":\"-title\"}]}' \\\n" URL("query"),
     "{\"event\":\"query\",\"id\":\"9dd3ef3f-002b-4893-b31f-ff51440c855f\",\"query\":{\"projects_"
     "all\":[{\"project_id\":\"639a6b2e-7499-41b5-ac1f-1701809699a7\",\"title\":\"TESTPROJECT "
     "99\"},{\"project_id\":\"1fa1626e-ce25-4871-9b0e-19191cd03325\",\"title\":\"SYNTHMON\"}]},"
     "\"multi_response\":false,\"options\":[{\"limit\":2},{\"order_by\":\"-title\"}]}"},
    {"Several queries, one after the other:",
     QUERY("[{\"accounts\":{\"last_name\":\"Doe\"}},{\"accounts\":{\"first_name\":null,\"last_"
           "name\":null}}]"),
     REPLY("[{},{\"accounts\":{\"first_name\":\"John\",\"last_name\":\"Doe\"}}]")},
};

// ---- The call ----

struct query_call {
    struct api_call *call;
    const struct query_params *params;
    struct user_query query;
};

static void echo(struct buf *out, const char *name, const cJSON *value)
{
    if (!value)
        return;
    json_key(out, name);
    json_value(out, value);
}

static int hold(struct user_query *query, size_t size, struct err *err)
{
    return api_hold(CONTAINER(query, struct query_call, query)->call, size, err);
}

static void on_queried(struct user_query *query)
{
    struct query_call *op = CONTAINER(query, struct query_call, query);
    if (query->rc) {
        api_fail(op->call, &query->err);
        return;
    }
    struct buf *out = &op->call->reply;
    *out = query->result;
    json_member_bool(out, "multi_response", false);
    echo(out, "options", op->params->options);
    echo(out, "changes", op->params->changes);
    api_send(op->call);
}

static const char *query_refusal(const void *params)
{
    const struct query_params *p = params;
    return p->multi_response ? "multi_response queries aren't supported" : NULL;
}

static void handle_query(struct api_call *call, const void *params)
{
    const struct query_params *p = params;
    struct query_call *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->params = p;
    op->query = (struct user_query){
        .caller = {.account_id = call->caller.account_id, .admin = call->caller.admin},
        .dialect = QUERY_DOCUMENTED,
        .query = p->query,
        .options = p->options,
        .arena = call->arena,
        .loop = call->loop,
        .result = *api_reply(call),
        .hold = hold,
        .done = on_queried,
    };
    call->reply = (struct buf){0};
    json_key(&op->query.result, "query");
    user_query(call->svc, call->session, &op->query);
}

const struct api_endpoint v1_query = {
    .name = "query",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text =
        "Reads or writes rows of a table. Below, under Tables, stands which tables there are, and "
        "which of their fields can be read and written. The parameters are sent as JSON.\n\n"
        "The query is an object with one member: the name of a table, and in it the fields. If any "
        "value in it is null, however deep, it is a get: it answers with the fields that it "
        "names, where those that are not null choose the rows. Otherwise it is a set: it changes "
        "the row whose primary key it gives, or makes one, and answers `{}`. The option `set` "
        "overrules this.\n\n"
        "A get answers with one row, or `{}` if there is none; put the fields into a list, "
        "`[{…}]`, and it answers with all. A value can also be a comparison, such as "
        "`{\">=\":\"2020-01-01\"}`. In a set, maps are merged with what is stored; a null in them, "
        "with the option `set`, takes a member out.\n\n"
        "A list of queries is run in its order and answers with the list of their results. The "
        "first error ends it and is the only answer; what ran before it stays.\n\n"
        "The texts `{account_id}` and `{now}` stand for the caller's id and the present time.",
    API_PARAMS(query_params, struct query_params),
    .reply_event = "query",
    API_MEMBERS(query_members),
    API_EXAMPLES(query_examples),
    .notes =
        "- Options, each an object in the list: `{\"limit\":10}` rows at most; "
        "`{\"order_by\":\"title\"}`, or `\"-title\"` for falling order; `{\"set\":true}` makes the "
        "query a set, `{\"set\":false}` a get; `{\"delete\":true}` deletes the row whose primary "
        "key a set gives, where the table allows it; `{\"account_id\":ID}`, for administrators, "
        "runs the query as that account. With `{\"only_changes\":true}` nothing is read.\n\n"
        "- Comparisons: `=`, `!=`, `<`, `<=`, `>` and `>=`; several in one object must all hold. "
        "`LIKE`, `NOT LIKE`, `ILIKE` and `NOT ILIKE` compare with a pattern, whose `%` is any text "
        "and `_` any character; `IS` and `IS NOT` with `\"null\"`, true or false; `ANY`, `MINLEN` "
        "and `MAXLEN` with a list's elements and their number. A time can be "
        "`{\"relative_time\":-7,\"unit\":\"days\"}`, counted from now. A value that was "
        "never written is neither equal nor unequal to any: `{\"deleted\":{\"IS NOT\":true}}` "
        "finds what was not deleted, `{\"!=\":true}` does not.\n\n"
        "- One row has every field that was asked for, with null for those without a value; the "
        "rows of a list leave these out.\n\n"
        "- A table whose rows are those of the last days has none whose time was never written: "
        "give `last_edited` with a set of `file_use`.\n\n"
        "- A set that names nothing but the project, or the account, does nothing and answers "
        "`{}`. A null outside of maps changes nothing.",
    .refusal = query_refusal,
    .handler = handle_query,
};
