// SPDX-License-Identifier: AGPL-3.0-or-later
// The bare rate of durable single-row updates: one thread and connection, one row a transaction,
// SQLite with a write-ahead log and synchronous=FULL, for SECONDS; prints rows a second as JSON.
//
//   sqlite_update FILE SECONDS
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

static int update_rows(sqlite3_stmt *update, double seconds, unsigned long *ret_rows)
{
    double end = now_s() + seconds;
    unsigned long row = 0;
    do {
        char title[32];
        snprintf(title, sizeof title, "Title %lu", row);
        sqlite3_bind_text(update, 1, title, -1, SQLITE_STATIC);
        int rc = sqlite3_step(update);
        if (rc != SQLITE_DONE)
            return rc;
        sqlite3_reset(update);
        row++;
    } while (now_s() < end);
    *ret_rows = row;
    return SQLITE_OK;
}

static int measure(sqlite3 *db, double seconds)
{
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE project (project_id TEXT PRIMARY KEY, title TEXT) WITHOUT ROWID;"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " INSERT INTO project SELECT printf('%08x-0000-4000-8000-%012x', i * 2654435761 & "
        "4294967295, i), 'A title' FROM n";
    static const char statement[] =
        "UPDATE project SET title = ?1 WHERE project_id = '9e3779b1-0000-4000-8000-000000000001'";
    sqlite3_stmt *update;
    if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, statement, -1, &update, NULL) != SQLITE_OK)
        return 1;
    unsigned long rows = 0;
    double begin = now_s();
    int rc = update_rows(update, seconds, &rows);
    double took = now_s() - begin;
    sqlite3_finalize(update);
    if (rc != SQLITE_OK || sqlite3_changes(db) != 1)
        return 1;
    printf("{\"per_s\": %.1f}\n", (double)rows / took);
    return 0;
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "usage: sqlite_update FILE SECONDS\n");
        return 2;
    }
    sqlite3 *db;
    if (sqlite3_open(argv[1], &db) != SQLITE_OK) {
        fprintf(stderr, "sqlite_update: cannot open %s\n", argv[1]);
        return 1;
    }
    int rc = measure(db, atof(argv[2]));
    if (rc != 0)
        fprintf(stderr, "sqlite_update: %s\n", sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc;
}
