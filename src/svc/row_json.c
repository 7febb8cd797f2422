// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/row_json.h"

#include "base/clock.h"

static void write_value(struct buf *out, enum row_kind kind, struct db_rows *rows, int column)
{
    char iso[CLOCK_ISO_SIZE];
    switch (kind) {
    case ROW_TEXT:
        json_strn(out, db_rows_text(rows, column), db_rows_size(rows, column));
        break;
    case ROW_JSON:
        json_raw(out, db_rows_text(rows, column), db_rows_size(rows, column));
        break;
    case ROW_INTEGER:
        json_int(out, db_rows_int(rows, column));
        break;
    case ROW_BOOLEAN:
        json_bool(out, db_rows_int(rows, column));
        break;
    case ROW_TIME:
        clock_iso(db_rows_int(rows, column), iso);
        json_str(out, iso);
        break;
    }
}

void row_member(struct buf *out, const char *key, enum row_kind kind, struct db_rows *rows,
                int column)
{
    if (!db_rows_null(rows, column))
        row_member_or_null(out, key, kind, rows, column);
}

void row_member_or_null(struct buf *out, const char *key, enum row_kind kind, struct db_rows *rows,
                        int column)
{
    json_key(out, key);
    if (db_rows_null(rows, column))
        json_null(out);
    else
        write_value(out, kind, rows, column);
}
