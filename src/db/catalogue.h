// SPDX-License-Identifier: AGPL-3.0-or-later
// The tables that a database says it has, for copying all of them (copy.h).
#ifndef DB_CATALOGUE_H
#define DB_CATALOGUE_H

#include "db/db.h"

#define DB_COLUMNS_MAX 64 // of a table

struct db_column {
    char *name;
    char type;    // 'i' integer, 'r' real, 't' text, 'b' bytes
    int key;      // place in the primary key, from 1; 0: not in it
    bool counted; // the database has a counter for it
};

struct db_table {
    char *name;
    struct db_column columns[DB_COLUMNS_MAX]; // in the order of their names
    int columns_count;
    int key[DB_COLUMNS_MAX]; // columns of the primary key, in its order
    int key_count;
};

struct db_catalogue {
    struct db_table *tables;
    size_t count;
};

// All tables but the store's own notes, in the order of their names. ERR_INTERNAL for one without a
// primary key.
int db_catalogue_read(struct db_session *session, struct db_catalogue *ret_catalogue,
                      struct err *err) MUST_USE;
void db_catalogue_dispose(struct db_catalogue *catalogue);
#define auto_catalogue CLEANUP(db_catalogue_dispose)
// ERR_CONFLICT if they are not the same.
int db_catalogue_compare(const struct db_catalogue *a, const struct db_catalogue *b,
                         struct err *err) MUST_USE;
// Puts tables behind those that they refer to.
int db_catalogue_sort(struct db_catalogue *catalogue, struct db_session *session,
                      struct err *err) MUST_USE;

#endif
