// SPDX-License-Identifier: AGPL-3.0-or-later
// The users of a project are rows, its state is three columns; queries see each as one object.
//
// The database joins the parts with control characters, which neither ids nor JSON as it is stored
// contain raw.
#include "svc/tables/projects.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define FIELD_END "\x1f"
#define ROW_END   "\x1e"
#define NEXT      " || '" FIELD_END "' || "

const char project_users_sql[] =
    "(SELECT string_agg(u.account_id" NEXT "u.\"group\"" NEXT "CAST(u.hide AS TEXT)" NEXT
    "coalesce(u.upgrades, '')" NEXT "coalesce(u.ssh_keys, ''), '" ROW_END "')"
    " FROM project_users u WHERE u.project_id = t.project_id)";

const char project_last_active_sql[] =
    "(SELECT string_agg(u.account_id" NEXT "CAST(u.last_active AS TEXT), '" ROW_END "')"
    " FROM project_users u WHERE u.project_id = t.project_id AND u.last_active IS NOT NULL)";

// A project of which nothing was ever found out since it was made has none.
const char project_state_sql[] =
    "CASE WHEN t.state_time > t.created THEN t.state" NEXT "CAST(t.state_time AS TEXT)" NEXT
    "coalesce(t.state_error, '') END";

// A part of a text; empty behind its end.
struct part {
    const char *text;
    size_t size;
};

// Takes what stands before the next `end` off `rest`.
static struct part take(struct part *rest, char end)
{
    const char *found = rest->size ? memchr(rest->text, end, rest->size) : NULL;
    struct part part = {rest->text, found ? (size_t)(found - rest->text) : rest->size};
    size_t taken = part.size + (found != NULL);
    rest->text += taken;
    rest->size -= taken;
    return part;
}

static struct part take_field(struct part *row)
{
    return take(row, FIELD_END[0]);
}

static void write_key(struct part key, struct buf *out)
{
    json_strn(out, key.text, key.size);
    buf_append_char(out, ':');
}

static void write_time(struct part ms, struct buf *out)
{
    char digits[32] = {0}, iso[CLOCK_ISO_SIZE];
    int64_t time_ms = 0;
    memcpy(digits, ms.text, ms.size < sizeof digits ? ms.size : sizeof digits - 1);
    text_parse_int64(digits, INT64_MIN, INT64_MAX, &time_ms);
    clock_iso(time_ms, iso);
    json_str(out, iso);
}

// A map that is stored; nothing if it is not there, or empty.
static void write_map(const char *name, struct part map, struct buf *out)
{
    if (!map.size || (map.size == 2 && !memcmp(map.text, "{}", 2)))
        return;
    json_key(out, name);
    json_raw(out, map.text, map.size);
}

void project_users_format(const char *text, size_t size, struct buf *out)
{
    struct part rest = {text, size};
    json_begin_object(out);
    while (rest.size) {
        struct part row = take(&rest, ROW_END[0]);
        write_key(take_field(&row), out);
        json_begin_object(out);
        struct part group = take_field(&row), hide = take_field(&row);
        json_key(out, "group");
        json_strn(out, group.text, group.size);
        if (hide.size == 1 && *hide.text == '1')
            json_member_bool(out, "hide", true);
        write_map("upgrades", take_field(&row), out);
        write_map("ssh_keys", take_field(&row), out);
        json_end_object(out);
    }
    json_end_object(out);
}

void project_last_active_format(const char *text, size_t size, struct buf *out)
{
    struct part rest = {text, size};
    json_begin_object(out);
    while (rest.size) {
        struct part row = take(&rest, ROW_END[0]);
        write_key(take_field(&row), out);
        write_time(take_field(&row), out);
    }
    json_end_object(out);
}

void project_state_format(const char *text, size_t size, struct buf *out)
{
    struct part rest = {text, size};
    json_begin_object(out);
    struct part state = take_field(&rest), time = take_field(&rest);
    json_key(out, "state");
    json_strn(out, state.text, state.size);
    json_key(out, "time");
    write_time(time, out);
    if (rest.size) {
        json_key(out, "error");
        json_strn(out, rest.text, rest.size);
    }
    json_end_object(out);
}
