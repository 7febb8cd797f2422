// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub migrate: moves all that is in one database into another (db/copy.h). The data folder stays
// where it is and serves with either, so no hub may run on it meanwhile.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "db/copy.h"
#include "server/seat.h"

#define BAR_WIDTH 30

// ---- What is told meanwhile, on standard error ----

static void draw_bar(const char *table, int64_t rows, int64_t total, bool checking)
{
    const int filled = total ? (int)(rows * BAR_WIDTH / total) : BAR_WIDTH;
    fprintf(stderr, "\r\033[K%s [%.*s%.*s] %lld of %lld %s", checking ? "compared" : "copied",
            filled, "##############################", BAR_WIDTH - filled,
            "..............................", (long long)rows, (long long)total, table);
    fflush(stderr);
}

static void on_progress(void *ctx UNUSED, const char *table, int64_t rows, int64_t total,
                        bool checking)
{
    if (isatty(STDERR_FILENO))
        draw_bar(table, rows, total, checking);
    else if (rows >= total)
        fprintf(stderr, "%s %lld rows of %s\n", checking ? "compared" : "copied", (long long)rows,
                table);
}

// ---- The databases ----

// As cli_settle_database.
static char *settle(const char *url)
{
    char cwd[PATH_MAX];
    if (text_has_prefix(url, "sqlite:") && url[7] != '/' && getcwd(cwd, sizeof cwd))
        return mem_printf("sqlite:%s/%s", cwd, url + 7);
    return mem_strdup(url);
}

// Opening makes a database that is not there.
static int check_source(const char *url, struct err *err)
{
    struct stat st;
    return text_has_prefix(url, "sqlite:") && stat(url + 7, &st)
               ? err_set_errno(err, ERR_NOT_FOUND, errno, "the database %s cannot be read: %s",
                               url + 7, strerror(errno))
               : 0;
}

static int open_both(struct db_copy *copy, const char *from, const char *to, struct err *err)
{
    int rc = check_source(from, err);
    if (!rc && !strcmp(from, to))
        rc = err_set(err, ERR_INVALID, "--from and --to are the same database");
    if (!rc)
        rc = db_open(from, &copy->source, err);
    return rc ? rc : db_open_target(to, &copy->target, err);
}

static int enter(struct cli *cli, struct err *err)
{
    struct cli_store store;
    int rc = cli_store_enter(cli, false, &store, err);
    if (!rc)
        rc = data_drop_privileges(&store.owner, err);
    if (!rc)
        rc = data_make_folders(err);
    return rc ? rc : seat_take_all(err);
}

// ---- The report, on standard output ----

static void write_table(struct buf *out, const struct db_copy_table *table)
{
    json_begin_object(out);
    json_member_str(out, "table", table->name);
    json_member_int(out, "rows", table->rows);
    json_member_int(out, "copied", table->copied);
    json_member_str(out, "sum", table->sum);
    json_end_object(out);
}

static void write_report(struct buf *out, const struct db_copy *copy, int64_t took_ms)
{
    int64_t rows = 0;
    json_begin_object(out);
    json_member_bool(out, "continued", copy->continued);
    json_key(out, "tables");
    json_begin_array(out);
    for (size_t i = 0; i < copy->tables_count; i++) {
        write_table(out, &copy->tables[i]);
        rows += copy->tables[i].rows;
    }
    json_end_array(out);
    json_member_int(out, "rows", rows);
    json_member_int(out, "milliseconds", took_ms);
    json_end_object(out);
}

int cli_migrate(struct cli *cli)
{
    const char *from = cli_get(cli, "from"), *to = cli_get(cli, "to");
    auto_free char *settled_from = from ? settle(from) : NULL, *settled_to = to ? settle(to) : NULL;
    auto_db struct db *source = NULL, *target = NULL;
    auto_buf struct buf out = {0};
    struct db_copy copy = {.progress = on_progress};
    const int64_t began_ms = clock_now_ms();
    struct err err;
    if (!to) {
        fputs("cohub migrate: missing --to URL; see cohub migrate --help\n", stderr);
        return CLI_USAGE;
    }
    int rc = enter(cli, &err);
    if (!rc)
        rc = open_both(&copy, from ? settled_from : config_text(&cli->config, CONFIG_DATABASE_URL),
                       settled_to, &err);
    source = copy.source;
    target = copy.target;
    if (!rc)
        rc = db_copy(&copy, &err);
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (!rc)
        write_report(&out, &copy, clock_now_ms() - began_ms);
    db_copy_dispose(&copy);
    return rc ? cli_fail(&err) : cli_print(&out);
}
