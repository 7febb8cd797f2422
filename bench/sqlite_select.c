// SPDX-License-Identifier: AGPL-3.0-or-later
// The bare time of reading the projects of an ACCOUNT, each with its users, from a hub's FILE: a
// prepared statement whose columns are all looked at, COUNT times; prints the median in
// microseconds, and how many projects there are, as JSON.
//
//   sqlite_select FILE ACCOUNT COUNT
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

// *ret_projects counts the rows whose project is another than that of the row before.
static int read_rows(sqlite3_stmt *select, size_t *ret_bytes, int *ret_projects)
{
    char last[64] = "";
    int rc;
    *ret_projects = 0;
    while ((rc = sqlite3_step(select)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(select, 0);
        if (strcmp(last, id) != 0)
            ++*ret_projects;
        snprintf(last, sizeof last, "%s", id);
        for (int i = 0; i < sqlite3_column_count(select); i++) {
            if (sqlite3_column_text(select, i))
                *ret_bytes += (size_t)sqlite3_column_bytes(select, i);
        }
    }
    sqlite3_reset(select);
    return rc == SQLITE_DONE ? 0 : 1;
}

static int measure(sqlite3 *db, const char *account, size_t count)
{
    static const char statement[] =
        "SELECT p.project_id, p.title, p.description, p.last_edited, u.account_id, u.\"group\","
        " u.hide, u.upgrades, u.ssh_keys FROM project_users m"
        " JOIN projects p ON p.project_id = m.project_id"
        " JOIN project_users u ON u.project_id = p.project_id"
        " WHERE m.account_id = ?1 AND m.\"group\" IN ('owner', 'collaborator')";
    sqlite3_stmt *select;
    double *times = calloc(count, sizeof *times);
    size_t bytes = 0;
    int rc = 0, projects = 0;
    if (!times || sqlite3_prepare_v2(db, statement, -1, &select, NULL) != SQLITE_OK) {
        free(times);
        return 1;
    }
    sqlite3_bind_text(select, 1, account, -1, SQLITE_STATIC);
    for (size_t i = 0; i < count && !rc; i++) {
        double begin = now_us();
        rc = read_rows(select, &bytes, &projects);
        times[i] = now_us() - begin;
    }
    qsort(times, count, sizeof *times, compare);
    printf("{\"median_us\": %.1f, \"projects\": %d, \"bytes\": %zu}\n", times[count / 2], projects,
           bytes / count);
    sqlite3_finalize(select);
    free(times);
    return rc;
}

int main(int argc, char *argv[])
{
    size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (count == 0) {
        fprintf(stderr, "usage: sqlite_select FILE ACCOUNT COUNT\n");
        return 2;
    }
    sqlite3 *db;
    if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        fprintf(stderr, "sqlite_select: cannot open %s\n", argv[1]);
        return 1;
    }
    int rc = measure(db, argv[2], count);
    if (rc != 0)
        fprintf(stderr, "sqlite_select: %s\n", sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc;
}
