// SPDX-License-Identifier: AGPL-3.0-or-later
#include "db/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/backend.h"

static void table_dispose(struct db_table *table)
{
    for (int i = 0; i < table->columns_count; i++)
        free(table->columns[i].name);
    free(table->name);
}

void db_catalogue_dispose(struct db_catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->count; i++)
        table_dispose(&catalogue->tables[i]);
    free(catalogue->tables);
    *catalogue = (struct db_catalogue){0};
}

// ---- Reading ----

static struct db_table *table_add(struct db_catalogue *catalogue, const char *name)
{
    size_t count = catalogue->count;
    if (count && !strcmp(catalogue->tables[count - 1].name, name))
        return &catalogue->tables[count - 1];
    catalogue->tables = mem_realloc(catalogue->tables, (count + 1) * sizeof catalogue->tables[0]);
    catalogue->tables[count] = (struct db_table){.name = mem_strdup(name)};
    catalogue->count++;
    return &catalogue->tables[count];
}

// The columns are table, column, type, place in the key, whether the database counts it.
static int take_column(struct db_catalogue *catalogue, struct db_rows *rows, struct err *err)
{
    struct db_table *table = table_add(catalogue, db_rows_text(rows, 0));
    if (table->columns_count == DB_COLUMNS_MAX)
        return err_internal(err, "%s has more than %d columns", table->name, DB_COLUMNS_MAX);
    const int key = (int)db_rows_int(rows, 3), column = table->columns_count++;
    table->columns[column] = (struct db_column){.name = mem_strdup(db_rows_text(rows, 1)),
                                                .type = db_rows_text(rows, 2)[0],
                                                .key = key,
                                                .counted = db_rows_int(rows, 4)};
    if (key > 0 && key <= DB_COLUMNS_MAX) {
        table->key[key - 1] = column;
        table->key_count++;
    }
    return 0;
}

int db_catalogue_read(struct db_session *session, struct db_catalogue *ret_catalogue,
                      struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    auto_catalogue struct db_catalogue catalogue = {0};
    int rc = db_query(session, session->db->backend->columns, DB_NO_ARGS, &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) > 0)
        rc = take_column(&catalogue, rows, err);
    for (size_t i = 0; !rc && i < catalogue.count; i++) {
        if (!catalogue.tables[i].key_count)
            rc = err_internal(err, "%s has no primary key", catalogue.tables[i].name);
    }
    if (rc)
        return rc;
    *ret_catalogue = catalogue;
    catalogue = (struct db_catalogue){0};
    return 0;
}

// ---- Comparing ----

static bool same_table(const struct db_table *a, const struct db_table *b)
{
    bool same = !strcmp(a->name, b->name) && a->columns_count == b->columns_count;
    for (int i = 0; same && i < a->columns_count; i++)
        same = !strcmp(a->columns[i].name, b->columns[i].name) &&
               a->columns[i].type == b->columns[i].type && a->columns[i].key == b->columns[i].key;
    return same;
}

int db_catalogue_compare(const struct db_catalogue *a, const struct db_catalogue *b,
                         struct err *err)
{
    for (size_t i = 0; i < a->count || i < b->count; i++) {
        if (i >= a->count || i >= b->count || !same_table(&a->tables[i], &b->tables[i]))
            return err_set(err, ERR_CONFLICT,
                           "the two databases do not have the same tables: they differ at %s",
                           i < a->count ? a->tables[i].name : b->tables[i].name);
    }
    return 0;
}

// ---- Order ----

struct reference {
    char *from, *to;
};

struct references {
    struct reference *list;
    size_t count;
};

static void references_dispose(struct references *references)
{
    for (size_t i = 0; i < references->count; i++) {
        free(references->list[i].from);
        free(references->list[i].to);
    }
    free(references->list);
}

static int read_references(struct db_session *session, struct references *references,
                           struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, session->db->backend->references, DB_NO_ARGS, &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) > 0) {
        references->list =
            mem_realloc(references->list, (references->count + 1) * sizeof references->list[0]);
        references->list[references->count++] = (struct reference){
            mem_strdup(db_rows_text(rows, 0)), mem_strdup(db_rows_text(rows, 1))};
        rc = 0;
    }
    return rc;
}

// Whether all that the table refers to stands before `done`.
static bool is_ready(const struct db_catalogue *catalogue, size_t done, const char *name,
                     const struct references *references)
{
    for (size_t i = 0; i < references->count; i++) {
        const struct reference *reference = &references->list[i];
        bool found = strcmp(reference->from, name) || !strcmp(reference->to, name);
        for (size_t j = 0; !found && j < done; j++)
            found = !strcmp(catalogue->tables[j].name, reference->to);
        if (!found)
            return false;
    }
    return true;
}

static int sort(struct db_catalogue *catalogue, const struct references *references,
                struct err *err)
{
    for (size_t done = 0; done < catalogue->count; done++) {
        size_t next = done;
        while (next < catalogue->count &&
               !is_ready(catalogue, done, catalogue->tables[next].name, references))
            next++;
        if (next == catalogue->count)
            return err_internal(err, "tables refer to each other in a circle");
        struct db_table table = catalogue->tables[next];
        memmove(&catalogue->tables[done + 1], &catalogue->tables[done],
                (next - done) * sizeof table);
        catalogue->tables[done] = table;
    }
    return 0;
}

int db_catalogue_sort(struct db_catalogue *catalogue, struct db_session *session, struct err *err)
{
    struct references references = {0};
    int rc = read_references(session, &references, err);
    if (!rc)
        rc = sort(catalogue, &references, err);
    references_dispose(&references);
    return rc;
}
