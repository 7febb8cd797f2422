// SPDX-License-Identifier: AGPL-3.0-or-later
// Statements of texts that are made while the program runs: a session's last ones, so that their
// prepared form is used again. Shared by db.c and texts.c.
#ifndef DB_TEXTS_H
#define DB_TEXTS_H

#include "db/backend.h"

struct db_text {
    struct db_stmt stmt; // its text is the session's copy
    uint64_t hash;
    size_t size;
    uint64_t used; // when, in uses of texts by this session
    bool open;     // its rows are
};

// The statement of a text. A text whose rows are open gets one more. ERR_INTERNAL when the rows of
// DB_TEXTS_MAX are open, or the text is longer than LIMIT_SQL_TEXT.
int db_text_get(struct db_session *session, const char *sql, struct db_text **ret_text,
                struct err *err) MUST_USE;
void db_texts_free(struct db_texts *texts);

#endif
