// SPDX-License-Identifier: AGPL-3.0-or-later
// Rows as they arrive. They come one by one and are not gathered, so that reading a long list takes
// no memory; but a connection does one thing at a time, so what has not arrived yet is taken in
// first when another statement begins while rows are open.
//
// Values come in their binary form.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/postgres_internal.h"

// The numbers of types, which PostgreSQL never changes.
enum type {
    TYPE_BOOL = 16,
    TYPE_BYTES = 17,
    TYPE_NAME = 19,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_VARCHAR = 1043,
    TYPE_NUMERIC = 1700,
    TYPE_VOID = 2278
};

// A number as text: longer than any 64-bit integer or shortest double.
#define NUMBER_SIZE 32

struct postgres_rows {
    struct db_rows base;
    struct postgres_conn *conn; // NULL: all has arrived
    PGresult **arrived;         // and is not the current one yet
    size_t arrived_first, arrived_count, arrived_room;
    PGresult *current;
    int row;                      // of the current one
    char (*numbers)[NUMBER_SIZE]; // of each column, once one is asked for as text
    struct err failure;           // comes after the rows that have arrived; code 0: none
};

static struct postgres_rows *rows_of(struct db_rows *rows)
{
    return CONTAINER(rows, struct postgres_rows, base);
}

// ---- Arriving ----

static bool is_known(Oid type)
{
    static const Oid known[] = {TYPE_BOOL,   TYPE_BYTES,   TYPE_NAME,    TYPE_INT8,
                                TYPE_INT2,   TYPE_INT4,    TYPE_TEXT,    TYPE_FLOAT4,
                                TYPE_FLOAT8, TYPE_VARCHAR, TYPE_NUMERIC, TYPE_VOID};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i] == type)
            return true;
    }
    return false;
}

static int check_types(const PGresult *result, struct err *err)
{
    for (int i = 0; i < PQnfields(result); i++) {
        if (!is_known(PQftype(result, i)))
            return err_internal(err, "column %s is of type %u", PQfname(result, i),
                                PQftype(result, i));
    }
    return 0;
}

static void append(struct postgres_rows *rows, PGresult *result)
{
    if (rows->arrived_first == rows->arrived_count)
        rows->arrived_first = rows->arrived_count = 0;
    if (rows->arrived_count == rows->arrived_room) {
        rows->arrived_room = rows->arrived_room ? 2 * rows->arrived_room : 4;
        rows->arrived = mem_realloc(rows->arrived, rows->arrived_room * sizeof(PGresult *));
    }
    rows->arrived[rows->arrived_count++] = result;
}

// Nothing arrives any more.
static void detach(struct postgres_rows *rows)
{
    rows->conn->streaming = NULL;
    rows->conn = NULL;
}

// The end of the statement: what comes after its last row.
static int settle(struct postgres_rows *rows, struct err *err)
{
    struct postgres_conn *conn = rows->conn;
    detach(rows);
    return postgres_finish(conn, postgres_deadline(), NULL, err);
}

static int arrive(struct postgres_rows *rows, struct err *err)
{
    auto_result PGresult *result = NULL;
    struct postgres_conn *conn = rows->conn;
    int rc = postgres_result(conn, postgres_deadline(), &result, err);
    if (rc) {
        detach(rows);
        if (conn->state != POSTGRES_LOST && postgres_finish(conn, postgres_deadline(), NULL, NULL))
            conn->state = POSTGRES_LOST;
        return rc;
    }
    if (result && PQntuples(result)) {
        append(rows, TAKE_PTR(result));
        return 0;
    }
    return settle(rows, err);
}

void postgres_rows_detach(struct postgres_rows *rows)
{
    while (rows->conn && !rows->failure.code)
        (void)arrive(rows, &rows->failure);
}

int postgres_rows_open(struct db_session *session, struct postgres_conn *conn,
                       struct db_rows **ret_rows, struct err *err)
{
    struct postgres_rows *rows = mem_zalloc(sizeof *rows);
    rows->base.session = session;
    rows->conn = conn;
    conn->streaming = rows;
    int rc = arrive(rows, err);
    if (!rc && rows->arrived_count)
        rc = check_types(rows->arrived[0], err);
    if (rc) {
        postgres_rows_close(&rows->base);
        return rc;
    }
    *ret_rows = &rows->base;
    return 0;
}

// ---- Going through them ----

static bool take_next(struct postgres_rows *rows)
{
    if (rows->arrived_first == rows->arrived_count)
        return false;
    PQclear(rows->current);
    rows->current = rows->arrived[rows->arrived_first++];
    rows->row = 0;
    return true;
}

int postgres_rows_next(struct db_rows *base, struct err *err)
{
    struct postgres_rows *rows = rows_of(base);
    if (rows->current && rows->row + 1 < PQntuples(rows->current)) {
        rows->row++;
        return 1;
    }
    if (take_next(rows))
        return 1;
    if (rows->failure.code) {
        if (err)
            *err = rows->failure;
        return -(int)rows->failure.code;
    }
    if (!rows->conn)
        return 0;
    int rc = arrive(rows, &rows->failure);
    if (rc && err)
        *err = rows->failure;
    return rc ? rc : take_next(rows);
}

void postgres_rows_close(struct db_rows *base)
{
    struct postgres_rows *rows = rows_of(base);
    while (rows->conn) {
        (void)arrive(rows, NULL);
        while (rows->arrived_first < rows->arrived_count)
            PQclear(rows->arrived[rows->arrived_first++]);
    }
    while (rows->arrived_first < rows->arrived_count)
        PQclear(rows->arrived[rows->arrived_first++]);
    PQclear(rows->current);
    free(rows->arrived);
    free(rows->numbers);
    free(rows);
}

// ---- Values ----

static bool is_type(const struct postgres_rows *rows, int column, enum type type)
{
    return PQftype(rows->current, column) == (Oid)type;
}

static const char *value(const struct postgres_rows *rows, int column)
{
    return PQgetvalue(rows->current, rows->row, column);
}

static uint16_t read16(const char *bytes)
{
    uint16_t number;
    memcpy(&number, bytes, sizeof number);
    return be16toh(number);
}

static uint32_t read32(const char *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return be32toh(number);
}

static uint64_t read64(const char *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return be64toh(number);
}

// Four 16-bit words (how many digits of base 10,000, the weight of the first, the sign, the scale),
// then the digits.
static double numeric(const char *bytes)
{
    int count = read16(bytes), weight = (int16_t)read16(bytes + 2);
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += read16(bytes + 8 + 2 * i) * pow(10000, weight - i);
    return read16(bytes + 4) == 0x4000 ? -sum : sum;
}

static bool is_integer(const struct postgres_rows *rows, int column)
{
    return is_type(rows, column, TYPE_INT8) || is_type(rows, column, TYPE_INT4) ||
           is_type(rows, column, TYPE_INT2) || is_type(rows, column, TYPE_BOOL);
}

static bool is_real(const struct postgres_rows *rows, int column)
{
    return is_type(rows, column, TYPE_FLOAT8) || is_type(rows, column, TYPE_FLOAT4) ||
           is_type(rows, column, TYPE_NUMERIC);
}

bool postgres_rows_null(struct db_rows *base, int column)
{
    struct postgres_rows *rows = rows_of(base);
    return PQgetisnull(rows->current, rows->row, column) || is_type(rows, column, TYPE_VOID);
}

static int64_t integer(const struct postgres_rows *rows, int column)
{
    const char *bytes = value(rows, column);
    switch (PQftype(rows->current, column)) {
    case TYPE_INT8:
        return (int64_t)read64(bytes);
    case TYPE_INT4:
        return (int32_t)read32(bytes);
    case TYPE_INT2:
        return (int16_t)read16(bytes);
    default:
        return *bytes;
    }
}

static double real(const struct postgres_rows *rows, int column)
{
    const char *bytes = value(rows, column);
    if (is_type(rows, column, TYPE_NUMERIC))
        return numeric(bytes);
    if (is_type(rows, column, TYPE_FLOAT8)) {
        uint64_t bits = read64(bytes);
        double number;
        memcpy(&number, &bits, sizeof number);
        return number;
    }
    uint32_t bits = read32(bytes);
    float number;
    memcpy(&number, &bits, sizeof number);
    return (double)number;
}

int64_t postgres_rows_int(struct db_rows *base, int column)
{
    struct postgres_rows *rows = rows_of(base);
    if (postgres_rows_null(base, column))
        return 0;
    if (is_integer(rows, column))
        return integer(rows, column);
    if (!is_real(rows, column))
        return strtoll(value(rows, column), NULL, 10);
    double number = real(rows, column);
    return number >= 0x1p63 ? INT64_MAX : number >= -0x1p63 ? (int64_t)number : INT64_MIN;
}

double postgres_rows_real(struct db_rows *base, int column)
{
    struct postgres_rows *rows = rows_of(base);
    if (postgres_rows_null(base, column))
        return 0;
    if (is_real(rows, column))
        return real(rows, column);
    return is_integer(rows, column) ? (double)integer(rows, column)
                                    : strtod(value(rows, column), NULL);
}

// A number, written into the column's place.
static const char *number_text(struct postgres_rows *rows, int column)
{
    if (!rows->numbers)
        rows->numbers = mem_alloc((size_t)PQnfields(rows->current) * sizeof *rows->numbers);
    char *out = rows->numbers[column];
    if (is_integer(rows, column))
        snprintf(out, NUMBER_SIZE, "%" PRId64, integer(rows, column));
    else
        snprintf(out, NUMBER_SIZE, "%.15g", real(rows, column));
    return out;
}

const char *postgres_rows_text(struct db_rows *base, int column)
{
    struct postgres_rows *rows = rows_of(base);
    if (postgres_rows_null(base, column))
        return NULL;
    if (is_integer(rows, column) || is_real(rows, column))
        return number_text(rows, column);
    return value(rows, column);
}

size_t postgres_rows_size(struct db_rows *base, int column)
{
    struct postgres_rows *rows = rows_of(base);
    if (postgres_rows_null(base, column))
        return 0;
    if (is_integer(rows, column) || is_real(rows, column))
        return strlen(number_text(rows, column));
    return (size_t)PQgetlength(rows->current, rows->row, column);
}
