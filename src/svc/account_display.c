// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_display.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/text.h"
#include "db/query.h"

enum { FIRST_NAME, LAST_NAME, PROFILE };

static void write_trimmed(struct buf *out, const char *name, const char *text, size_t size)
{
    while (size && text_is_space(*text)) {
        text++;
        size--;
    }
    while (size && text_is_space(text[size - 1]))
        size--;
    json_key(out, name);
    json_strn(out, text, size);
}

static bool is_blank(struct db_rows *rows, int column)
{
    const char *text = db_rows_null(rows, column) ? "" : db_rows_text(rows, column);
    while (text_is_space(*text))
        text++;
    return !*text;
}

static void write_name(struct buf *out, const char *name, struct db_rows *rows, int column)
{
    bool null = db_rows_null(rows, column);
    write_trimmed(out, name, null ? "" : db_rows_text(rows, column),
                  null ? 0 : db_rows_size(rows, column));
}

static void write_profile(struct buf *out, struct db_rows *rows)
{
    static const char *const shown[] = {"color", "image"};
    auto_json cJSON *profile =
        db_rows_null(rows, PROFILE) ? NULL : cJSON_Parse(db_rows_text(rows, PROFILE));
    json_key(out, "profile");
    if (!cJSON_IsObject(profile)) {
        json_null(out);
        return;
    }
    json_begin_object(out);
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        const cJSON *value = json_get(profile, shown[i]);
        if (cJSON_IsString(value))
            json_member_str(out, shown[i], value->valuestring);
    }
    json_end_object(out);
}

static void write_account(struct buf *out, struct db_rows *rows)
{
    if (is_blank(rows, FIRST_NAME) && is_blank(rows, LAST_NAME)) {
        json_member_str(out, "first_name", "No");
        json_member_str(out, "last_name", "Name");
    } else {
        write_name(out, "first_name", rows, FIRST_NAME);
        write_name(out, "last_name", rows, LAST_NAME);
    }
    write_profile(out, rows);
}

static int write_entry(struct db_session *session, const struct uuid *id, struct buf *out,
                       struct err *err)
{
    static const struct db_stmt find = {"SELECT first_name, last_name, profile FROM accounts"
                                        " WHERE account_id = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(id->text)), &rows, err);
    if (rc < 0)
        return rc;
    json_key(out, id->text);
    json_begin_object(out);
    if (rc) {
        write_account(out, rows);
    } else {
        json_member_str(out, "first_name", "Deleted");
        json_member_str(out, "last_name", "User");
    }
    json_end_object(out);
    if (out->size > LIMIT_QUERY_RESULT)
        return err_set(err, ERR_TOO_LARGE, "the result is too large: ask for fewer accounts");
    return 0;
}

static void run(struct account_display *display, struct db_session *session)
{
    struct map CLEANUP(map_dispose) seen = {0};
    json_begin_object(&display->result);
    for (size_t i = 0; i < display->count && !display->rc; i++) {
        const struct uuid *id = &display->ids[i];
        if (!map_set(&seen, id->text, UUID_LEN, display))
            display->rc = write_entry(session, id, &display->result, &display->err);
    }
    json_end_object(&display->result);
}

static void run_on_worker(struct work *work)
{
    struct account_display *display = CONTAINER(work, struct account_display, work);
    struct db_session *session;
    display->rc = sessions_take(&display->svc->sessions, &session, &display->err);
    if (display->rc)
        return;
    run(display, session);
    sessions_give(&display->svc->sessions, session);
}

static void finish(struct account_display *display)
{
    if (display->rc)
        buf_dispose(&display->result);
    display->done(display);
}

static void on_run(struct work *work)
{
    finish(CONTAINER(work, struct account_display, work));
}

void account_display(struct svc *svc, struct db_session *session, struct account_display *display)
{
    display->svc = svc;
    display->rc = 0;
    display->result = (struct buf){0};
    if (display->count <= LIMIT_NAMES_SMALL) {
        run(display, session);
        finish(display);
    } else if (!work_submit_gated(display->loop, &svc->querying, &display->work, display->owner,
                                  run_on_worker, on_run)) {
        display->rc = err_set(&display->err, ERR_RATE_LIMITED, SVC_QUERIES_WAIT_TEXT);
        finish(display);
    }
}
