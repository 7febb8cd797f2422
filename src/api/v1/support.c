// SPDX-License-Identifier: AGPL-3.0-or-later
// create_support_ticket and get_support_tickets (api-v1 3.28, 3.29, 10).
#include "svc/support.h"
#include "api/v1/endpoints.h"
#include "svc/mail.h"

// ---- create_support_ticket ----

struct create_support_ticket_params {
    const char *username, *email_address, *subject, *body, *account_id, *location;
    struct api_strings tags;
    const cJSON *info;
};

#define FIELD(field) .offset = offsetof(struct create_support_ticket_params, field)

static const struct api_param create_support_ticket_params[] = {
    {.name = "username",
     .type = PARAM_STRING,
     FIELD(username),
     .text = "name on the ticket; without one it is the address"},
    {.name = "email_address",
     .type = PARAM_STRING,
     .required = true,
     FIELD(email_address),
     .text = "where answers are sent to"},
    {.name = "subject",
     .type = PARAM_STRING,
     .required = true,
     FIELD(subject),
     .text = "what it is about, in one line"},
    {.name = "body",
     .type = PARAM_STRING,
     .required = true,
     FIELD(body),
     .text = "the request itself, HTML or Markdown if you like"},
    {.name = "tags",
     .type = PARAM_STRINGS,
     FIELD(tags),
     .text = "labels, such as `[\"member\"]`",
     .default_text = "[]"},
    {.name = "account_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(account_id),
     .text = "account whose list shall show the ticket: your own; administrators may name any"},
    {.name = "location",
     .type = PARAM_STRING,
     FIELD(location),
     .text = "the path part of the address of what it is about"},
    {.name = "info",
     .type = PARAM_ANY,
     FIELD(info),
     .text = "an object with whatever else helps, such as browser and system",
     .default_text = "{}"},
};
#undef FIELD

static const struct api_member create_support_ticket_members[] = {
    {.name = "url", .schema = "{\"type\":\"string\",\"format\":\"uri\"}"},
};

#define EXAMPLE_ACCOUNT "291f43c1-deae-431c-b763-712307fa6859"

static const struct api_example create_support_ticket_examples[] = {
    {"For the list of one's own account, with a course:",
     CURL
     " -H \"Content-Type: application/json\" \\\n"
     " -d '{\"email_address\":\"john00@example.com\",\"subject\":\"package xyz\","
     "\"account_id\":\"" EXAMPLE_ACCOUNT "\","
     "\"body\":\"please install package xyz for use with Python3\",\"tags\":[\"member\"],"
     "\"location\":\"/projects/0010abe1-9283-4b42-b403-fa4fc1e3be57/worksheet.sagews\","
     "\"info\":{\"user_agent\":\"Mozilla/5.0\","
     "\"course\":\"cc8f1243-d573-4562-9aab-c15a3872d683\"}}' \\\n" URL("create_support_ticket"),
     "{\"event\":\"support_ticket_url\",\"id\":\"abd649bf-ea2d-4952-b925-e44c6903945e\","
     "\"url\":\"https://cocalc.com/requests/123?key=n5oJxM2cQ7yA0eVtZbGkR3hw\"}"},
    {"As a form, for nobody's list:",
     CURL " -d email_address=john00@example.com \\\n -d subject=\"package xyz\" \\\n"
          " -d body=\"please install package xyz\"" URL("create_support_ticket"),
     "{\"event\":\"support_ticket_url\",\"id\":\"8d5f1c4e-1f0e-4f0f-9d4c-0d8d3c3c1c11\","
     "\"url\":\"https://cocalc.com/requests/124?key=W1uTz8sPq4LdYfH6mKc0BvXa\"}"},
};

struct create_support_ticket {
    struct api_call *call;
    struct ticket_create create;
    struct db_write write;
};

static void on_ticket_created(struct db_write *write)
{
    struct create_support_ticket *op = CONTAINER(write, struct create_support_ticket, write);
    auto_buf struct buf url = {0};
    if (write->rc) {
        api_fail(op->call, &write->err);
        return;
    }
    mail_wake(op->call->svc);
    ticket_url(&op->call->svc->site, op->create.id, op->create.secret, &url);
    json_member_str(api_reply(op->call), "url", buf_cstr(&url));
    api_send(op->call);
}

static void handle_create_support_ticket(struct api_call *call, const void *params)
{
    const struct create_support_ticket_params *p = params;
    struct create_support_ticket *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->create = (struct ticket_create){
        .svc = call->svc,
        .caller = &call->caller,
        .username = p->username,
        .email_address = p->email_address,
        .subject = p->subject,
        .body = p->body,
        .account_id = p->account_id,
        .location = p->location,
        .tags = p->tags.items,
        .tags_count = p->tags.count,
        .info = p->info,
    };
    op->write = (struct db_write){
        .loop = call->loop, .fn = ticket_create, .arg = &op->create, .done = on_ticket_created};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint v1_create_support_ticket = {
    .name = "create_support_ticket",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Asks the people who run this server for help. They are told by mail and answer by "
            "mail; `url` is a page with the request and its answers, which whoever has the "
            "address can read and answer on.",
    API_PARAMS(create_support_ticket_params, struct create_support_ticket_params),
    .reply_event = "support_ticket_url",
    API_MEMBERS(create_support_ticket_members),
    API_EXAMPLES(create_support_ticket_examples),
    .notes = "- Without `account_id` the ticket is in nobody's list.\n\n"
             "- `location` is completed to a whole URL and appended to the description, and so is "
             "the course if `info` has the id of its project as `course`.\n\n"
             "- Values of `session` in addresses are taken out of `body`.\n\n"
             "- An account can create 20 tickets in an hour.",
    .handler = handle_create_support_ticket,
};

// ---- get_support_tickets ----

static const struct api_member get_support_tickets_members[] = {
    {.name = "tickets",
     .schema =
         "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
         "\"id\":{\"type\":\"integer\"},\"subject\":{\"type\":\"string\"},"
         "\"description\":{\"type\":\"string\"},"
         "\"created_at\":{\"type\":\"string\",\"format\":\"date-time\"},"
         "\"updated_at\":{\"type\":\"string\",\"format\":\"date-time\"},"
         "\"status\":{\"type\":\"string\",\"enum\":[\"new\",\"open\",\"pending\",\"closed\"]},"
         "\"url\":{\"type\":\"string\",\"format\":\"uri\"}}}}"},
};

static const struct api_example get_support_tickets_examples[] = {
    {"One ticket:", " curl -u " EXAMPLE_KEY ": -X POST \\\n" URL("get_support_tickets"),
     "{\"event\":\"support_tickets\",\"id\":\"58bfd6f4-fd63-4602-82b8-676d92f8b0b8\","
     "\"tickets\":[{\"id\":1234,\"subject\":\"package xyz\","
     "\"description\":\"package xyz\\n\\nhttps://cocalc.com/projects/"
     "0010abe1-9283-4b42-b403-fa4fc1e3be57/worksheet.sagews\\n\\nCourse: "
     "https://cocalc.com/projects/cc8f1243-d573-4562-9aab-c15a3872d683\","
     "\"created_at\":\"2017-07-05T14:28:38Z\",\"updated_at\":\"2017-07-05T14:29:29Z\","
     "\"status\":\"open\","
     "\"url\":\"https://cocalc.com/requests/1234?key=n5oJxM2cQ7yA0eVtZbGkR3hw\"}]}"},
};

static void handle_get_support_tickets(struct api_call *call, const void *params UNUSED)
{
    auto_buf struct buf tickets = {0};
    struct err err;
    if (ticket_list_of(call->session, &call->svc->site, &call->caller.account_id, &tickets, &err)) {
        api_fail(call, &err);
        return;
    }
    struct buf *out = api_reply(call);
    json_key(out, "tickets");
    json_raw(out, tickets.data, tickets.size);
    api_send(call);
}

const struct api_endpoint v1_get_support_tickets = {
    .name = "get_support_tickets",
    .access = API_ACCOUNT,
    .run = API_INLINE,
    .text = "The support tickets of the caller's account, newest first, 100 at most.",
    .params_size = 1,
    .reply_event = "support_tickets",
    API_MEMBERS(get_support_tickets_members),
    API_EXAMPLES(get_support_tickets_examples),
    .notes = "- A ticket is listed if it was created with the account's `account_id`, and at "
             "once.\n\n"
             "- Tickets that were closed more than 90 days ago are left out.",
    .handler = handle_get_support_tickets,
};
