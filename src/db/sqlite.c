// SPDX-License-Identifier: AGPL-3.0-or-later
// The store in a SQLite file: opening, sessions, and the numbers of the topics.
//
// The file is in WAL mode with synchronous=FULL, so that a commit is on disk when it returns and
// readers never wait for the writer. Every session is a connection of its own with a small cache,
// and the file is not mapped: with 100,000 accounts that would save a quarter of a lookup, but cost
// tens of MB, and turn a read error of the disk into a signal.
//
// The topics' numbers lie in the file PATH-epochs, which all processes map.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "db/migrations.h"
#include "db/sqlite_internal.h"

#define SHARED_SIZE ((size_t)4096)

_Static_assert(sizeof(struct sqlite_shared) <= SHARED_SIZE, "the file's size stays");
_Static_assert(DB_TOPIC_COUNT <= ARRAY_LEN(((struct sqlite_shared *)NULL)->epochs),
               "a number each");

// temp_store: a statement's scratch space is never a file, which might have no place to go.
#define SETTINGS                                                                                   \
    "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"                   \
    "PRAGMA journal_size_limit=8388608;"
static const char reader_settings[] = SETTINGS "PRAGMA cache_size=-8192; PRAGMA query_only=ON";
static const char writer_settings[] = SETTINGS "PRAGMA cache_size=-2048";

// ---- Sessions ----

static int open_handle(const char *path, sqlite3 **ret_handle)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, ret_handle, flags, sqlite_vfs_name());
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*ret_handle, SQLITE_BUSY_MS);
    if (rc == SQLITE_OK)
        rc = sqlite_add_string_agg(*ret_handle);
    return rc;
}

int sqlite_session_new(struct sqlite_db *db, bool read_only, struct sqlite_session **ret_session,
                       struct err *err)
{
    struct sqlite_session *session = mem_zalloc(sizeof *session);
    db_session_init(&session->base, &db->base);
    int rc = open_handle(db->path, &session->handle);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(session->handle, read_only ? reader_settings : writer_settings, NULL,
                          NULL, NULL);
    if (rc != SQLITE_OK) {
        rc = sqlite_error(&db->base, session->handle, rc, err);
        sqlite_session_free(session);
        return rc;
    }
    *ret_session = session;
    return 0;
}

void sqlite_session_free(struct sqlite_session *session)
{
    sqlite_stmts_free(session);
    int rc = sqlite3_close(session->handle);
    assert(rc == SQLITE_OK);
    db_session_dispose(&session->base);
    free(session);
}

static int session_open(struct db *db, struct db_session **ret_session, struct err *err)
{
    struct sqlite_session *session;
    int rc = sqlite_session_new(CONTAINER(db, struct sqlite_db, base), true, &session, err);
    if (!rc)
        *ret_session = &session->base;
    return rc;
}

static void session_close(struct db_session *session)
{
    sqlite_session_free(CONTAINER(session, struct sqlite_session, base));
}

// ---- Opening ----

// Names that SQLite would not take for a file's.
static bool is_special(const char *path)
{
    return !*path || !strcmp(path, ":memory:") || !strncmp(path, "file:", 5);
}

// The file must exist before SQLite opens it, which would give it the mode that the umask leaves.
// It is made without opening it: closing any descriptor of a database drops the locks that other
// sessions of this process hold on it.
static int make_file(const char *path, struct err *err)
{
    if (!mknod(path, S_IFREG | 0600, 0))
        return 0;
    struct stat st;
    if (errno != EEXIST || lstat(path, &st))
        return err_set_errno(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, errno,
                             "Cannot create the database %s.", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a file.", path);
    return 0;
}

// The whole number that a statement gives, without touching the database.
static int probe(sqlite3 *handle, const char *sql, int *ret_value)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *ret_value = sqlite3_column_int(stmt, 0);
    return sqlite3_finalize(stmt);
}

// Only a new file, or one with our tables.
static int check_is_ours(struct sqlite_db *db, sqlite3 *handle, struct err *err)
{
    int tables = 0, ours = 0;
    int rc = probe(handle, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc == SQLITE_OK && tables)
        rc = probe(handle, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'",
                   &ours);
    if (rc == SQLITE_NOTADB)
        return err_set(err, ERR_INVALID, "%s is not a database.", db->path);
    if (rc != SQLITE_OK)
        return sqlite_error(&db->base, handle, rc, err);
    if (tables && !ours)
        return err_set(err, ERR_INVALID, "%s is a database of another program.", db->path);
    return 0;
}

static int on_journal_mode(void *arg, int columns UNUSED, char **values, char **names UNUSED)
{
    *(bool *)arg = !strcmp(values[0], "wal");
    return 0;
}

// SQLite does not always wait by itself while another process does the same.
static int use_wal(struct sqlite_db *db, sqlite3 *handle, struct err *err)
{
    bool is_wal = false;
    uint64_t start = clock_monotonic_us();
    int rc;
    while ((rc = sqlite3_exec(handle, "PRAGMA journal_mode=WAL", on_journal_mode, &is_wal, NULL),
            (rc & 0xff) == SQLITE_BUSY) &&
           clock_monotonic_us() - start < SQLITE_BUSY_MS * 1000ull)
        usleep(2000);
    if (rc != SQLITE_OK)
        return sqlite_error(&db->base, handle, rc, err);
    if (!is_wal)
        return err_set(err, ERR_INVALID,
                       "%s lies on a file system that cannot hold a database in WAL mode.",
                       db->path);
    return 0;
}

static int prepare_file(struct sqlite_db *db, struct err *err)
{
    int rc = make_file(db->path, err);
    if (rc)
        return rc;
    sqlite3 *handle = NULL;
    rc = open_handle(db->path, &handle);
    if (rc != SQLITE_OK)
        rc = sqlite_error(&db->base, handle, rc, err);
    else
        rc = check_is_ours(db, handle, err);
    if (!rc)
        rc = use_wal(db, handle, err);
    sqlite3_close(handle);
    return rc;
}

// Made by root, it goes to the owner of the database, as SQLite's own files do.
static int open_epochs(const struct sqlite_db *db, const char *path, int *ret_fd)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    auto_fd int fd = open(path, flags | O_CREAT | O_EXCL, 0600);
    bool is_new = fd >= 0;
    if (!is_new && errno == EEXIST)
        fd = open(path, flags);
    if (fd < 0)
        return errno;
    struct stat st;
    if (is_new && !geteuid() && (stat(db->path, &st) || fchown(fd, st.st_uid, st.st_gid)))
        return errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

// The space is allocated now: a page of a mapped file that the disk has no room for would kill the
// process when it is written.
static int map_epochs(struct sqlite_db *db, struct err *err)
{
    auto_free char *path = mem_printf("%s-epochs", db->path);
    auto_fd int fd = -1;
    int rc = open_epochs(db, path, &fd);
    if (!rc)
        rc = posix_fallocate(fd, 0, SHARED_SIZE);
    if (!rc) {
        void *map = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        rc = map == MAP_FAILED ? errno : 0;
        if (!rc) {
            db->shared = map;
            db->base.epochs = db->shared->epochs;
        }
    }
    if (rc)
        return err_set_errno(err, rc == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, rc, "Cannot open %s.",
                             path);
    return 0;
}

static void sqlite_close(struct db *base)
{
    struct sqlite_db *db = CONTAINER(base, struct sqlite_db, base);
    sqlite_watch_stop(db);
    if (db->writing)
        sqlite_writer_stop(db);
    if (db->shared)
        munmap(db->shared, SHARED_SIZE);
    db_dispose(&db->base);
    free(db->path);
    free(db);
}

static int sqlite_open(const char *location, struct db **ret_db, struct err *err)
{
    if (is_special(location))
        return err_set(err, ERR_INVALID, "Expected sqlite:PATH with the path of a file.");
    struct sqlite_db *db = mem_zalloc(sizeof *db);
    auto_db struct db *base = &db->base;
    db_init(base, &db_backend_sqlite);
    db->path = mem_strdup(location);
    int rc = prepare_file(db, err);
    if (!rc)
        rc = map_epochs(db, err);
    if (!rc)
        rc = sqlite_writer_start(db, err);
    if (rc)
        return rc;
    // A process that died between a commit and its notice has left the others with old copies.
    sqlite_publish(db, &(struct db_changes){.topics = DB_TOPICS_ALL, .unnamed = DB_TOPICS_ALL});
    *ret_db = TAKE_PTR(base);
    return 0;
}

static const struct db_stmt table_exists = {
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1"};

static const struct db_stmt columns = {
    "SELECT m.name, p.name, CASE p.type WHEN 'INTEGER' THEN 'i' WHEN 'REAL' THEN 'r' WHEN 'BLOB'"
    " THEN 'b' ELSE 't' END, p.pk, 0 FROM sqlite_schema m, pragma_table_info(m.name) p"
    " WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_'"
    " AND m.name <> 'schema_migrations' ORDER BY m.name, p.name"};
static const struct db_stmt references = {
    "SELECT m.name, f.\"table\" FROM sqlite_schema m, pragma_foreign_key_list(m.name) f"
    " WHERE m.type = 'table'"};
static const struct db_stmt counter_get = {"SELECT max(seq) FROM sqlite_sequence WHERE name = $1"};

const struct db_backend db_backend_sqlite = {
    .scheme = "sqlite",
    .migrations = db_migrations_sqlite,
    .migrations_count = &db_migrations_sqlite_count,
    .table_exists = &table_exists,
    .columns = &columns,
    .references = &references,
    .counter_get = &counter_get,
    .open = sqlite_open,
    .close = sqlite_close,
    .session_open = session_open,
    .session_close = session_close,
    .query = sqlite_query,
    .rows_next = sqlite_rows_next,
    .rows_null = sqlite_rows_null,
    .rows_int = sqlite_rows_int,
    .rows_real = sqlite_rows_real,
    .rows_text = sqlite_rows_text,
    .rows_size = sqlite_rows_size,
    .rows_close = sqlite_rows_close,
    .exec = sqlite_exec,
    .forget = sqlite_forget,
    .script = sqlite_script,
    .write = sqlite_write,
    .watch = sqlite_watch,
};
