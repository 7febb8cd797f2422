// SPDX-License-Identifier: AGPL-3.0-or-later
// Moving all that is in one database into another, of the same kind or not.
//
// The tables come from the catalogues of both, which must agree, so that none is forgotten. The
// source is read as it was at one moment. Tables go over in an order in which references hold,
// their rows in the order of their primary keys, some in each transaction. So what is there already
// says how far it has got: what was interrupted goes on behind the last row of each table, and no
// row comes twice. At the end both sides are read again, row for row, and compared.
//
// The target must hold nothing, or what an unfinished run from the same source has left, which the
// table migrate_progress tells until the end. As long as it is there, nothing but a copy opens the
// database.
#ifndef DB_COPY_H
#define DB_COPY_H

#include "db/db.h"

#define DB_COPY_SUM_LEN 64
#define DB_COPY_NOTE    "migrate_progress"

struct db_copy_table {
    char *name;
    int64_t rows;
    int64_t copied;                // of them in this run
    char sum[DB_COPY_SUM_LEN + 1]; // of all values of all rows, the same on both sides
};

struct db_copy {
    // in
    struct db *source, *target;
    // May be NULL: how many rows of the table are in the target now, of how many; `checking`: have
    // been compared.
    void (*progress)(void *ctx, const char *table, int64_t rows, int64_t total, bool checking);
    void *ctx;
    // out: heap, freed by db_copy_dispose, also after a failure
    struct db_copy_table *tables;
    size_t tables_count;
    bool continued; // what another run had begun
};

// As db_open, for a target: it may be a copy that is not finished.
int db_open_target(const char *url, struct db **ret_db, struct err *err) MUST_USE;
// ERR_CONFLICT: the target holds other data, the databases have not the same tables, or the source
// has changed since the run that this one continues. Blocking.
int db_copy(struct db_copy *copy, struct err *err) MUST_USE;
void db_copy_dispose(struct db_copy *copy);

#endif
