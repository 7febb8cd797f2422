// SPDX-License-Identifier: AGPL-3.0-or-later
#include "db/copy.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "db/backend.h"
#include "db/catalogue.h"
#include "db/query.h"

// Rows of a page, and of a transaction; bytes beyond which a transaction has fewer.
#define PAGE_ROWS   2000
#define BATCH_BYTES ((size_t)4 << 20)
#define CHANGED                                                                                    \
    "the source has changed since the run that this one continues; begin again with an empty "     \
    "target"

_Static_assert(DB_COPY_SUM_LEN == 2 * crypto_generichash_BYTES, "in hexadecimal digits");

struct copying {
    struct db_copy *copy;
    struct db_session *source, *target;
    struct db_catalogue tables;
};

// ---- Statements ----

static void append_names(struct buf *sql, const struct db_table *table, bool key)
{
    const int count = key ? table->key_count : table->columns_count;
    for (int i = 0; i < count; i++)
        buf_printf(sql, "%s\"%s\"", i ? ", " : "", table->columns[key ? table->key[i] : i].name);
}

static void append_places(struct buf *sql, int first, int count)
{
    buf_append_char(sql, '(');
    for (int i = 0; i < count; i++)
        buf_printf(sql, "%s$%d", i ? ", " : "", first + i);
    buf_append_char(sql, ')');
}

// The rows behind a key, or the first.
static void write_select(struct buf *sql, const struct db_table *table, bool behind)
{
    buf_append_str(sql, "SELECT ");
    append_names(sql, table, false);
    buf_printf(sql, " FROM \"%s\"", table->name);
    if (behind) {
        buf_append_str(sql, " WHERE (");
        append_names(sql, table, true);
        buf_append_str(sql, ") > ");
        append_places(sql, 1, table->key_count);
    }
    buf_append_str(sql, " ORDER BY ");
    append_names(sql, table, true);
    buf_printf(sql, " LIMIT %d", PAGE_ROWS);
}

static void write_insert(struct buf *sql, const struct db_table *table, int rows)
{
    buf_printf(sql, "INSERT INTO \"%s\" (", table->name);
    append_names(sql, table, false);
    buf_append_str(sql, ") VALUES ");
    for (int i = 0; i < rows; i++) {
        buf_append_str(sql, i ? ", " : "");
        append_places(sql, 1 + i * table->columns_count, table->columns_count);
    }
}

// The keys of the table from the last.
static void write_last(struct buf *sql, const struct db_table *table)
{
    buf_append_str(sql, "SELECT ");
    append_names(sql, table, true);
    buf_printf(sql, " FROM \"%s\" ORDER BY ", table->name);
    for (int i = 0; i < table->key_count; i++)
        buf_printf(sql, "%s\"%s\" DESC", i ? ", " : "", table->columns[table->key[i]].name);
    buf_append_str(sql, " LIMIT 1");
}

static int count_rows(struct db_session *session, const char *table, int64_t *ret_rows,
                      struct err *err)
{
    auto_free char *sql = mem_printf("SELECT count(*) FROM \"%s\"", table);
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_text(session, sql, DB_NO_ARGS, &rows, err);
    if (!rc)
        rc = db_rows_next(rows, err);
    if (rc > 0)
        *ret_rows = db_rows_int(rows, 0);
    return rc < 0 ? rc : 0;
}

// ---- Values that are kept ----

// Values point into `bytes` only once all are there, as it moves when it grows: `text` is an
// offset until then.
struct kept {
    struct db_value *values;
    size_t count, room;
    struct buf bytes;
};

static void kept_dispose(struct kept *kept)
{
    free(kept->values);
    buf_dispose(&kept->bytes);
}
#define auto_kept CLEANUP(kept_dispose)

static void keep(struct kept *kept, struct db_rows *rows, int column, char type)
{
    if (kept->count == kept->room) {
        kept->room = kept->room ? 2 * kept->room : 256;
        kept->values = mem_realloc(kept->values, kept->room * sizeof kept->values[0]);
    }
    struct db_value *value = &kept->values[kept->count++];
    if (db_rows_null(rows, column)) {
        *value = DB_NULL;
    } else if (type == 'i') {
        *value = DB_INT(db_rows_int(rows, column));
    } else if (type == 'r') {
        *value = DB_REAL(db_rows_real(rows, column));
    } else {
        size_t size = db_rows_size(rows, column);
        *value = (struct db_value){.type = type == 't' ? DB_TYPE_TEXT : DB_TYPE_BYTES,
                                   .integer = (int64_t)kept->bytes.size,
                                   .size = size};
        buf_append(&kept->bytes, size ? db_rows_text(rows, column) : "", size);
        buf_append_char(&kept->bytes, '\0');
    }
}

static void settle(struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++) {
        struct db_value *value = &kept->values[i];
        if (value->type == DB_TYPE_TEXT || value->type == DB_TYPE_BYTES)
            value->text = kept->bytes.data + value->integer;
    }
}

static void forget(struct kept *kept)
{
    kept->count = 0;
    kept->bytes.size = 0;
}

static void keep_key(struct kept *key, const struct db_table *table, struct db_rows *rows,
                     bool is_whole_row)
{
    forget(key);
    for (int i = 0; i < table->key_count; i++)
        keep(key, rows, is_whole_row ? table->key[i] : i, table->columns[table->key[i]].type);
    settle(key);
}

// ---- Pages ----

typedef int row_fn(void *ctx, const struct db_table *table, struct db_rows *rows, struct err *err);

// Gives all rows behind `key`, or all if it is empty, page for page: a statement may only take so
// long.
static int for_each_row(struct db_session *session, const struct db_table *table, struct kept *key,
                        row_fn *each, int (*after_page)(void *ctx, struct err *err), void *ctx,
                        struct err *err)
{
    int count = PAGE_ROWS, rc = 0;
    while (!rc && count == PAGE_ROWS) {
        auto_buf struct buf sql = {0};
        auto_rows struct db_rows *rows = NULL;
        write_select(&sql, table, key->count);
        rc = db_query_text(session, buf_cstr(&sql), key->values, key->count, &rows, err);
        for (count = 0; !rc && (rc = db_rows_next(rows, err)) > 0; count++) {
            rc = each(ctx, table, rows, err);
            if (count == PAGE_ROWS - 1)
                keep_key(key, table, rows, true);
        }
        if (!rc && after_page)
            rc = after_page(ctx, err);
    }
    return rc;
}

// ---- Inserting ----

struct filling {
    struct copying *copying;
    const struct db_table *table;
    struct db_copy_table *result;
    int64_t total;
    struct kept batch;
};

static int insert_rows(struct db_session *txn, const struct filling *filling, size_t first,
                       int rows, struct err *err)
{
    auto_buf struct buf sql = {0};
    write_insert(&sql, filling->table, rows);
    return db_exec_text(txn, buf_cstr(&sql), &filling->batch.values[first],
                        (size_t)(rows * filling->table->columns_count), NULL, err);
}

static int insert_batch(struct db_session *txn, void *arg, struct err *err)
{
    const struct filling *filling = arg;
    const int columns = filling->table->columns_count, at_once = DB_ARGS_MAX / columns;
    size_t left = filling->batch.count / (size_t)columns, at = 0;
    int rc = 0;
    while (!rc && left) {
        const int rows = left >= (size_t)at_once ? at_once : 1;
        rc = insert_rows(txn, filling, at, rows, err);
        at += (size_t)(rows * columns);
        left -= (size_t)rows;
    }
    return rc;
}

static int flush(void *ctx, struct err *err)
{
    struct filling *filling = ctx;
    struct db_copy *copy = filling->copying->copy;
    struct db_copy_table *result = filling->result;
    const int64_t rows = (int64_t)filling->batch.count / filling->table->columns_count;
    if (!rows)
        return 0;
    settle(&filling->batch);
    int rc = db_write(copy->target, insert_batch, filling, err);
    forget(&filling->batch);
    if (rc)
        return rc;
    result->copied += rows;
    result->rows += rows;
    if (copy->progress)
        copy->progress(copy->ctx, result->name, result->rows, filling->total, false);
    return 0;
}

static int take_row(void *ctx, const struct db_table *table, struct db_rows *rows, struct err *err)
{
    struct filling *filling = ctx;
    for (int i = 0; i < table->columns_count; i++)
        keep(&filling->batch, rows, i, table->columns[i].type);
    return filling->batch.bytes.size < BATCH_BYTES ? 0 : flush(filling, err);
}

static int find_last(struct db_session *session, const struct db_table *table, struct kept *ret_key,
                     struct err *err)
{
    auto_buf struct buf sql = {0};
    auto_rows struct db_rows *rows = NULL;
    write_last(&sql, table);
    int rc = db_query_text(session, buf_cstr(&sql), DB_NO_ARGS, &rows, err);
    if (!rc && (rc = db_rows_next(rows, err)) > 0)
        keep_key(ret_key, table, rows, false);
    return rc < 0 ? rc : 0;
}

static int fill(struct copying *c, const struct db_table *table, struct db_copy_table *result,
                struct err *err)
{
    struct filling filling = {.copying = c, .table = table, .result = result};
    auto_kept struct kept last = {0};
    int rc = count_rows(c->source, table->name, &filling.total, err);
    if (!rc)
        rc = count_rows(c->target, table->name, &result->rows, err);
    if (!rc)
        rc = find_last(c->target, table, &last, err);
    if (!rc)
        rc = for_each_row(c->source, table, &last, take_row, flush, &filling, err);
    kept_dispose(&filling.batch);
    return rc;
}

// ---- Numbers that come next ----

struct numbering {
    const struct db_stmt *stmt;
    const char *table;
    int64_t last;
};

static int set_last(struct db_session *txn, void *arg, struct err *err)
{
    const struct numbering *numbering = arg;
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, numbering->stmt,
                          DB_ARGS(DB_TEXT(numbering->table), DB_INT(numbering->last)), &rows, err);
    return rc < 0 ? rc : 0;
}

// The target goes on counting where the source was, also if the last rows are gone.
static int go_on_counting(struct copying *c, const struct db_table *table, struct err *err)
{
    struct numbering numbering = {.stmt = c->copy->target->backend->counter_set,
                                  .table = table->name};
    auto_kept struct kept last = {0};
    if (!table->columns[table->key[0]].counted)
        return 0;
    int rc = db_query_int(c->source, c->copy->source->backend->counter_get,
                          DB_ARGS(DB_TEXT(table->name)), &numbering.last, err);
    if (!rc)
        rc = find_last(c->source, table, &last, err);
    if (!rc && last.count && last.values[0].integer > numbering.last)
        numbering.last = last.values[0].integer;
    return rc || !numbering.last ? rc : db_write(c->copy->target, set_last, &numbering, err);
}

// ---- Comparing ----

struct summing {
    crypto_generichash_state state;
    struct buf value; // the last one
    int64_t rows;
};

static void write_value(struct buf *out, struct db_rows *rows, int column, char type)
{
    const size_t size = type == 't' || type == 'b' ? db_rows_size(rows, column) : 0;
    const char *bytes = size ? db_rows_text(rows, column) : "";
    out->size = 0;
    if (type == 'i')
        buf_printf(out, "%lld", (long long)db_rows_int(rows, column));
    else if (type == 'r')
        buf_printf(out, "%.17g", db_rows_real(rows, column));
    else if (type == 't')
        db_text_append(out, bytes, size);
    else
        buf_append(out, bytes, size);
}

static void sum_value(struct summing *summing, struct db_rows *rows, int column, char type)
{
    const bool null = db_rows_null(rows, column);
    if (!null)
        write_value(&summing->value, rows, column, type);
    const int64_t size = null ? -1 : (int64_t)summing->value.size;
    crypto_generichash_update(&summing->state, (const unsigned char *)&size, sizeof size);
    if (size > 0)
        crypto_generichash_update(&summing->state, (const unsigned char *)summing->value.data,
                                  (unsigned long long)size);
}

static int sum_row(void *ctx, const struct db_table *table, struct db_rows *rows,
                   struct err *err UNUSED)
{
    struct summing *summing = ctx;
    for (int i = 0; i < table->columns_count; i++)
        sum_value(summing, rows, i, table->columns[i].type);
    summing->rows++;
    return 0;
}

static int sum(struct db_session *session, const struct db_table *table, int64_t *ret_rows,
               char ret_sum[DB_COPY_SUM_LEN + 1], struct err *err)
{
    unsigned char hash[crypto_generichash_BYTES];
    struct summing summing = {0};
    auto_kept struct kept key = {0};
    crypto_generichash_init(&summing.state, NULL, 0, sizeof hash);
    int rc = for_each_row(session, table, &key, sum_row, NULL, &summing, err);
    buf_dispose(&summing.value);
    if (rc)
        return rc;
    crypto_generichash_final(&summing.state, hash, sizeof hash);
    sodium_bin2hex(ret_sum, DB_COPY_SUM_LEN + 1, hash, sizeof hash);
    *ret_rows = summing.rows;
    return 0;
}

static int compare(struct copying *c, const struct db_table *table, struct db_copy_table *result,
                   struct err *err)
{
    char other[DB_COPY_SUM_LEN + 1];
    int64_t rows;
    int rc = sum(c->source, table, &rows, other, err);
    if (!rc)
        rc = sum(c->target, table, &result->rows, result->sum, err);
    if (rc)
        return rc;
    if (rows != result->rows || strcmp(other, result->sum))
        return err_set(err, ERR_CONFLICT, "%s: %s (%lld rows there, %lld here)", table->name,
                       c->copy->continued ? CHANGED : "the copy is not what was copied",
                       (long long)rows, (long long)result->rows);
    if (c->copy->progress)
        c->copy->progress(c->copy->ctx, table->name, rows, rows, true);
    return 0;
}

// ---- The note of the run ----

static const struct db_stmt create_note = {"CREATE TABLE " DB_COPY_NOTE
                                           " (source TEXT NOT NULL PRIMARY KEY)"};
static const struct db_stmt insert_note = {"INSERT INTO " DB_COPY_NOTE " (source) VALUES ($1)"};
static const struct db_stmt select_note = {"SELECT source FROM " DB_COPY_NOTE};
static const struct db_stmt drop_note = {"DROP TABLE " DB_COPY_NOTE};

// When its tables were made tells a database from all others.
static int read_name(struct db_session *source, struct buf *out, struct err *err)
{
    static const struct db_stmt find = {"SELECT applied FROM schema_migrations WHERE number = 1"};
    int64_t made;
    int rc = db_query_int(source, &find, DB_NO_ARGS, &made, err);
    if (!rc)
        buf_printf(out, "%lld", (long long)made);
    return rc;
}

static int write_note(struct db_session *txn, void *arg, struct err *err)
{
    int rc = db_exec(txn, &create_note, DB_NO_ARGS, NULL, err);
    return rc ? rc : db_exec(txn, &insert_note, DB_ARGS(DB_TEXT(arg)), NULL, err);
}

static int remove_note(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    return db_exec(txn, &drop_note, DB_NO_ARGS, NULL, err);
}

static int check_empty(struct copying *c, struct err *err)
{
    for (size_t i = 0; i < c->tables.count; i++) {
        int64_t rows;
        int rc = count_rows(c->target, c->tables.tables[i].name, &rows, err);
        if (rc)
            return rc;
        if (rows)
            return err_set(err, ERR_CONFLICT, "the target holds data already (%lld rows in %s)",
                           (long long)rows, c->tables.tables[i].name);
    }
    return 0;
}

static int check_note(struct copying *c, const char *name, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(c->target, &select_note, DB_NO_ARGS, &rows, err);
    if (rc < 0)
        return rc;
    c->copy->continued = true;
    return rc && !strcmp(db_rows_text(rows, 0), name)
               ? 0
               : err_set(err, ERR_CONFLICT,
                         "the target holds what was copied from another database");
}

// ---- All of it ----

// Takes the note out of the target's tables. True: it was there.
static bool take_note(struct db_catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (strcmp(catalogue->tables[i].name, DB_COPY_NOTE))
            continue;
        struct db_table note = catalogue->tables[i];
        catalogue->count--;
        memmove(&catalogue->tables[i], &catalogue->tables[i + 1],
                (catalogue->count - i) * sizeof note);
        struct db_catalogue only = {.tables = mem_alloc(sizeof note), .count = 1};
        only.tables[0] = note;
        db_catalogue_dispose(&only);
        return true;
    }
    return false;
}

// The target's are to be set.
static void take_counters(struct db_catalogue *tables, const struct db_catalogue *target)
{
    for (size_t i = 0; i < tables->count; i++) {
        for (int j = 0; j < tables->tables[i].columns_count; j++)
            tables->tables[i].columns[j].counted = target->tables[i].columns[j].counted;
    }
}

static int allow_time(struct copying *c, struct err *err)
{
    const struct db_stmt *stmt = c->copy->source->backend->read_long;
    auto_rows struct db_rows *rows = NULL;
    int rc = stmt ? db_query_row(c->source, stmt, DB_NO_ARGS, &rows, err) : 0;
    return rc < 0 ? rc : 0;
}

static int begin(struct copying *c, struct err *err)
{
    auto_catalogue struct db_catalogue target = {0};
    auto_buf struct buf name = {0};
    int rc = allow_time(c, err);
    if (!rc)
        rc = db_catalogue_read(c->source, &c->tables, err);
    if (!rc)
        rc = db_catalogue_read(c->target, &target, err);
    if (rc)
        return rc;
    const bool noted = take_note(&target);
    rc = db_catalogue_compare(&c->tables, &target, err);
    if (!rc)
        take_counters(&c->tables, &target);
    if (!rc)
        rc = db_catalogue_sort(&c->tables, c->source, err);
    if (!rc)
        rc = read_name(c->source, &name, err);
    if (!rc)
        rc = noted ? check_note(c, buf_cstr(&name), err) : check_empty(c, err);
    return rc || noted ? rc : db_write(c->copy->target, write_note, buf_cstr(&name), err);
}

static int for_each_table(struct copying *c,
                          int (*each)(struct copying *c, const struct db_table *table,
                                      struct db_copy_table *result, struct err *err),
                          struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < c->tables.count && !rc; i++)
        rc = each(c, &c->tables.tables[i], &c->copy->tables[i], err);
    return rc;
}

static int fill_and_count(struct copying *c, const struct db_table *table,
                          struct db_copy_table *result, struct err *err)
{
    int rc = fill(c, table, result, err);
    return rc ? rc : go_on_counting(c, table, err);
}

static int run(struct copying *c, struct err *err)
{
    struct db_copy *copy = c->copy;
    int rc = begin(c, err);
    if (rc)
        return rc;
    copy->tables_count = c->tables.count;
    copy->tables = mem_zalloc(copy->tables_count * sizeof copy->tables[0]);
    for (size_t i = 0; i < copy->tables_count; i++)
        copy->tables[i].name = mem_strdup(c->tables.tables[i].name);
    rc = for_each_table(c, fill_and_count, err);
    if (!rc)
        rc = for_each_table(c, compare, err);
    return rc ? rc : db_write(copy->target, remove_note, NULL, err);
}

int db_copy(struct db_copy *copy, struct err *err)
{
    auto_session struct db_session *source = NULL, *target = NULL;
    struct copying c = {.copy = copy};
    copy->tables = NULL;
    copy->tables_count = 0;
    copy->continued = false;
    int rc = sodium_init() < 0 ? err_internal(err, "libsodium cannot be used") : 0;
    if (!rc)
        rc = db_session_open(copy->source, &source, err);
    if (!rc)
        rc = db_session_open(copy->target, &target, err);
    if (!rc)
        rc = db_read_begin(source, err);
    if (rc)
        return rc;
    c.source = source;
    c.target = target;
    rc = run(&c, err);
    db_read_end(source);
    db_catalogue_dispose(&c.tables);
    return rc;
}

void db_copy_dispose(struct db_copy *copy)
{
    for (size_t i = 0; i < copy->tables_count; i++)
        free(copy->tables[i].name);
    free(copy->tables);
}
