// SPDX-License-Identifier: AGPL-3.0-or-later
// Columns of a row as members of a JSON object.
#ifndef SVC_ROW_JSON_H
#define SVC_ROW_JSON_H

#include "base/json.h"
#include "db/db.h"

enum row_kind {
    ROW_TEXT,
    ROW_JSON,
    ROW_INTEGER,
    ROW_BOOLEAN,
    ROW_TIME, // milliseconds, written as ISO 8601
};

// Nothing for NULL.
void row_member(struct buf *out, const char *key, enum row_kind kind, struct db_rows *rows,
                int column);
// null for NULL.
void row_member_or_null(struct buf *out, const char *key, enum row_kind kind, struct db_rows *rows,
                        int column);

#endif
