// SPDX-License-Identifier: AGPL-3.0-or-later
// Reading one row, or one number.
#ifndef DB_QUERY_H
#define DB_QUERY_H

#include "db/db.h"

// As db_query, and moves to the first row. 1: there is one; 0: there is none; negative: an error.
// *ret_rows is to be closed.
MUST_USE static inline int db_query_row(struct db_session *session, const struct db_stmt *stmt,
                                        const struct db_value *args, size_t args_count,
                                        struct db_rows **ret_rows, struct err *err)
{
    int rc = db_query(session, stmt, args, args_count, ret_rows, err);
    return rc ? rc : db_rows_next(*ret_rows, err);
}

// The first column of the first row; 0 when there is no row.
MUST_USE static inline int db_query_int(struct db_session *session, const struct db_stmt *stmt,
                                        const struct db_value *args, size_t args_count,
                                        int64_t *ret_value, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, stmt, args, args_count, &rows, err);
    if (rc < 0)
        return rc;
    *ret_value = rc ? db_rows_int(rows, 0) : 0;
    return 0;
}

#endif
