// SPDX-License-Identifier: AGPL-3.0-or-later
// The bare rate of durable single-row inserts: one thread, one row a transaction, SQLite with a
// write-ahead log and synchronous=FULL, for SECONDS; prints rows a second as JSON.
//
//   sqlite_insert FILE SECONDS
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int insert_rows(sqlite3_stmt *insert, double seconds, unsigned long *ret_rows)
{
    double end = now_s() + seconds;
    unsigned long row = 0;
    do {
        char id[37];
        // The ids come in no order, as random ones do.
        snprintf(id, sizeof id, "%08lx-0000-4000-8000-%012lx", (row * 2654435761UL) & 0xffffffff,
                 row);
        sqlite3_bind_text(insert, 1, id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 2, (sqlite3_int64)row);
        int rc = sqlite3_step(insert);
        if (rc != SQLITE_DONE) {
            return rc;
        }
        sqlite3_reset(insert);
        row++;
    } while (now_s() < end);
    *ret_rows = row;
    return SQLITE_OK;
}

static int measure(sqlite3 *db, double seconds)
{
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE project (project_id TEXT PRIMARY KEY, title TEXT, created INTEGER) "
        "WITHOUT ROWID";
    if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        return 1;
    }
    sqlite3_stmt *insert;
    if (sqlite3_prepare_v2(db, "INSERT INTO project VALUES (?1, 'A title', ?2)", -1, &insert,
                           NULL) != SQLITE_OK) {
        return 1;
    }
    unsigned long rows = 0;
    double begin = now_s();
    int rc = insert_rows(insert, seconds, &rows);
    double took = now_s() - begin;
    sqlite3_finalize(insert);
    if (rc != SQLITE_OK) {
        return 1;
    }
    printf("{\"per_s\": %.1f}\n", (double)rows / took);
    return 0;
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "usage: sqlite_insert FILE SECONDS\n");
        return 2;
    }
    sqlite3 *db;
    if (sqlite3_open(argv[1], &db) != SQLITE_OK) {
        fprintf(stderr, "sqlite_insert: cannot open %s\n", argv[1]);
        return 1;
    }
    int rc = measure(db, atof(argv[2]));
    if (rc != 0) {
        fprintf(stderr, "sqlite_insert: %s\n", sqlite3_errmsg(db));
    }
    sqlite3_close(db);
    return rc;
}
