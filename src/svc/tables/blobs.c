// SPDX-License-Identifier: AGPL-3.0-or-later
// blobs (user-query 12.10): bytes under an id that is made of them. Whoever knows the id may read
// them, so it works as a key; the same bytes are kept once.
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/sha1.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/tables/tables.h"

// Between two notes of a blob's being read.
#define READ_INTERVAL_MS 60000

enum { ID, BLOB, PROJECT_ID, ACCOUNT_ID };

static const struct query_column columns[] = {
    [ID] = {.name = "id", .type = QUERY_UUID},
    [BLOB] = {.name = "blob", .type = QUERY_BYTES},
    [PROJECT_ID] = {.name = "project_id", .type = QUERY_UUID},
    [ACCOUNT_ID] = {.name = "account_id", .type = QUERY_UUID},
};

// ---- Reading ----

static const struct query_get_field get_fields[] = {{.name = "id"}, {.name = "blob"}};

static int check_id(struct query_get *get, struct err *err)
{
    const cJSON *id = query_given(get->pattern, "id");
    if (!id)
        return err_set(err, ERR_INVALID, "id must be specified");
    return query_uuid_read(id, NULL) ? 0 : err_set(err, ERR_INVALID, "uuid is invalid");
}

static int note_read(struct db_session *txn, void *id, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE blobs SET count = count + 1, last_active = $2 WHERE id = $1"};
    const struct uuid *blob = id;
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(blob->text), DB_INT(clock_now_ms())), NULL, err);
}

static void mark_read(struct svc *svc, const struct uuid *id)
{
    if (throttle_pass(&svc->read, id->text, READ_INTERVAL_MS))
        svc_write_later(svc, note_read, id, sizeof *id);
}

// Appends the member `blob`; nothing if there is no such blob.
static int write_blob(struct db_session *session, const struct query_get *get,
                      const struct uuid *id, struct buf *out, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT blob FROM blobs WHERE id = $1 AND (expire IS NULL OR expire > $2)"};
    auto_rows struct db_rows *rows = NULL;
    int rc =
        db_query_row(session, &find, DB_ARGS(DB_TEXT(id->text), DB_INT(get->now_ms)), &rows, err);
    if (rc != 1)
        return rc;
    json_key(out, "blob");
    query_value_write(&columns[BLOB], rows, 0, out);
    mark_read(get->ctx, id);
    return 0;
}

static int read_blob(struct db_session *session, struct query_get *get, struct buf *out,
                     struct err *err)
{
    struct uuid id = {0};
    int rc = 0;
    (void)query_uuid_read(json_get(get->pattern, "id"), &id);
    if (get->list)
        json_begin_array(out);
    json_begin_object(out);
    json_member_str(out, "id", id.text);
    if (json_get(get->pattern, "blob"))
        rc = write_blob(session, get, &id, out, err);
    json_end_object(out);
    if (get->list)
        json_end_array(out);
    return rc;
}

static const struct query_get_block get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(get_fields),
    .check = check_id,
    .compute = read_blob,
};

// ---- Writing ----

static const struct query_set_field set_fields[] = {
    {.name = "id"},
    {.name = "blob"},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "ttl"},
    {.name = "account_id", .rule = QUERY_ACCOUNT_ID},
};

struct blob {
    struct uuid id;
    struct db_value bytes;
    struct db_value expire; // null: never
};

// The digits of the SHA-1, from left to right, in the form of a UUID of version 4.
static void make_id(const struct db_value *bytes, struct uuid *ret_id)
{
    static const char form[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    char digits[SHA1_TEXT_SIZE];
    const char *next = digits;
    sha1_text(bytes->text, bytes->size, digits);
    for (size_t i = 0; i < sizeof form; i++)
        ret_id->text[i] = form[i] == 'x' || form[i] == 'y' ? *next++ : form[i];
    char *variant = &ret_id->text[strcspn(form, "y")];
    *variant = "89ab"[(*variant <= '9' ? *variant - '0' : *variant - 'a' + 10) % 4];
}

static int read_ttl(const struct query_set *set, struct db_value *ret_expire, struct err *err)
{
    static const struct query_column column = {.type = QUERY_NUMBER};
    const cJSON *ttl = query_given(set->pattern, "ttl");
    struct db_value seconds;
    *ret_expire = DB_NULL;
    if (!ttl)
        return 0;
    int rc = query_value_read(&column, ttl, set->arena, &seconds, err);
    if (rc)
        return rc;
    double s = seconds.type == DB_TYPE_INT ? (double)seconds.integer : seconds.real;
    if (s < 0 || s > (double)LIMIT_BLOB_TTL)
        return err_set(err, ERR_INVALID, "ttl must be a number of seconds from 0 to %lld",
                       (long long)LIMIT_BLOB_TTL);
    if (s > 0)
        *ret_expire = DB_INT(set->now_ms + (int64_t)(s * 1000));
    return 0;
}

static int read_given(const struct query_set *set, struct blob *ret_blob, struct err *err)
{
    const cJSON *given = json_get(set->pattern, "id");
    int rc = query_value_read(&columns[BLOB], json_get(set->pattern, "blob"), set->arena,
                              &ret_blob->bytes, err);
    if (rc)
        return rc;
    if (ret_blob->bytes.size > LIMIT_BLOB)
        return err_set(err, ERR_TOO_LARGE, "blob must have at most %d bytes", LIMIT_BLOB);
    make_id(&ret_blob->bytes, &ret_blob->id);
    struct uuid id;
    if (!query_uuid_read(given, &id) || !uuid_equal(&id, &ret_blob->id))
        return err_set(err, ERR_INVALID,
                       "the sha1 uuid (='%s') of the blob must equal the given uuid (='%.100s')",
                       ret_blob->id.text, query_value_text(given, set->arena));
    return read_ttl(set, &ret_blob->expire, err);
}

static int drop_if_expired(struct db_session *txn, const struct query_set *set,
                           const struct blob *blob, struct err *err)
{
    static const struct db_stmt drop = {"DELETE FROM blobs WHERE id = $1 AND expire <= $2"};
    return db_exec(txn, &drop, DB_ARGS(DB_TEXT(blob->id.text), DB_INT(set->now_ms)), NULL, err);
}

// Storing again only ever prolongs. *ret_kept: it is there already.
static int prolong(struct db_session *txn, const struct blob *blob, int64_t *ret_kept,
                   struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM blobs WHERE id = $1"};
    static const struct db_stmt update = {"UPDATE blobs SET expire = $2 WHERE id = $1"
                                          " AND (expire < $2 OR $3 = 1) AND expire IS NOT NULL"};
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(blob->id.text)), ret_kept, err);
    if (rc || !*ret_kept)
        return rc;
    return db_exec(
        txn, &update,
        DB_ARGS(DB_TEXT(blob->id.text), blob->expire, DB_INT(blob->expire.type == DB_TYPE_NULL)),
        NULL, err);
}

static int check_room(struct db_session *txn, const struct query_set *set, const struct blob *blob,
                      struct err *err)
{
    static const struct db_stmt sum = {
        "SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &sum, DB_ARGS(DB_TEXT(set->caller.account_id.text)), &rows, err);
    if (rc < 0)
        return rc;
    if (db_rows_int(rows, 0) >= LIMIT_BLOBS)
        return err_set(err, ERR_TOO_LARGE, "an account can store at most %d blobs", LIMIT_BLOBS);
    if (db_rows_int(rows, 1) + (int64_t)blob->bytes.size > LIMIT_BLOBS_SIZE)
        return err_set(err, ERR_TOO_LARGE,
                       "the blobs of an account can have at most %lld bytes together",
                       (long long)LIMIT_BLOBS_SIZE);
    return 0;
}

static int add_blob(struct db_session *txn, const struct query_set *set, const struct blob *blob,
                    struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO blobs (id, blob, size, project_id, account_id, created, expire)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING"};
    int rc = check_room(txn, set, blob, err);
    if (rc)
        return rc;
    return db_exec(txn, &add,
                   DB_ARGS(DB_TEXT(blob->id.text), blob->bytes, DB_INT(blob->bytes.size),
                           DB_TEXT(json_get_str(set->pattern, "project_id")),
                           DB_TEXT(set->caller.account_id.text), DB_INT(set->now_ms), blob->expire),
                   NULL, err);
}

static int write_it(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct blob blob;
    int64_t kept = 0;
    int rc = read_given(set, &blob, err);
    if (!rc)
        rc = drop_if_expired(txn, set, &blob, err);
    if (!rc)
        rc = prolong(txn, &blob, &kept, err);
    return rc || kept ? rc : add_blob(txn, set, &blob, err);
}

static const struct query_set_block set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"id", "blob", "project_id"},
    .instead = write_it,
};

const struct query_table table_blobs = {
    .name = "blobs",
    .text = "Bytes, by an id that is made of them: the hexadecimal digits of their SHA-1, put into "
            "the places x of xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx from left to right, y being the "
            "next digit modulo 4, plus 8. Who knows the id may read them. They are kept `ttl` "
            "seconds, for ever if that is 0 or left out.",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};
