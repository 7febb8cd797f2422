// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/svc.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "query/query.h"
#include "svc/disk.h"
#include "svc/exec.h"
#include "svc/tables/tables.h"

// A secret that was made just now does not belong to keys that are there.
static int warn_of_void_keys(struct db *db, struct err *err)
{
    static const struct db_stmt count = {"SELECT count(*) FROM api_keys"};
    auto_session struct db_session *session = NULL;
    int64_t keys = 0;
    int rc = db_session_open(db, &session, err);
    if (!rc)
        rc = db_query_int(session, &count, DB_NO_ARGS, &keys, err);
    if (!rc && keys)
        log_event(LOG_WARNING, "secret_key_lost", LOG_INT("void_api_keys", keys),
                  LOG_TEXT("what", "there was no secret.key; a new one was made, and the API keys "
                                   "of before are void"));
    return rc;
}

int svc_init(struct svc *svc, struct db *db, const struct site *site, struct err *err)
{
    if (sodium_init() < 0)
        return err_internal(err, "libsodium cannot be used");
    *svc = (struct svc){.db = db, .site = *site, .configured = *site};
    bool made;
    int rc = secret_load(&svc->secret, &made, err);
    if (!rc && made)
        rc = warn_of_void_keys(db, err);
    if (rc)
        return rc;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned cores = online > 1 ? (unsigned)online : 1;
    work_gate_init(&svc->parsing, cores);
    work_gate_init(&svc->hashing, cores);
    svc->hashing.owner_max = LIMIT_HASHES_WAITING;
    work_gate_init(&svc->rendering, cores);
    work_gate_init(&svc->publishing, cores);
    svc->publishing.owner_max = LIMIT_PUBLIC_WAITING;
    work_gate_init(&svc->reading, 2 * cores);       // the disk takes some of the time
    const unsigned several = cores > 1 ? cores : 2; // so that a project can leave a place to others
    work_gate_init(&svc->homes, several);
    svc->homes.owner_running = several - 1;
    svc->homes.owner_max = LIMIT_HOME_WAITING;
    work_gate_init(&svc->removing, 2); // each may take long, and holds a worker
    svc->removing.owner_running = 1;
    svc->removing.owner_max = LIMIT_HOME_WAITING;
    work_gate_init(&svc->saving, 1);
    svc->saving.owner_max = LIMIT_SAVES_WAITING;
    work_gate_init(&svc->querying, cores);
    svc->querying.owner_max = LIMIT_QUERY_WAITING;
    work_gate_init(&svc->searching, 1);
    svc->searching.owner_max = LIMIT_SEARCHES_WAITING;
    sessions_init(&svc->sessions, db);
    svc->schema = query_schema_new(query_tables);
    throttle_init(&svc->edited);
    throttle_init(&svc->touched);
    throttle_init(&svc->active);
    throttle_init(&svc->read);
    throttle_init(&svc->keys);
    svc->aggregator = aggregator_new();
    svc->disk = disk_new();
    return 0;
}

void svc_dispose(struct svc *svc)
{
    query_schema_free(svc->schema);
    sessions_dispose(&svc->sessions);
    aggregator_free(svc->aggregator);
    disk_free(svc->disk);
    throttle_dispose(&svc->edited);
    throttle_dispose(&svc->touched);
    throttle_dispose(&svc->active);
    throttle_dispose(&svc->read);
    throttle_dispose(&svc->keys);
    secret_dispose(&svc->secret);
    while (svc->site_texts) {
        struct site_text *text = svc->site_texts;
        svc->site_texts = text->next;
        free(text);
    }
}

static void on_written(struct db_write *write)
{
    if (write->rc)
        log_err(LOG_WARNING, "write_failed", &write->err);
    free(write);
}

void svc_write_later(struct svc *svc, db_txn_fn *fn, const void *arg, size_t arg_size)
{
    struct db_write *write = mem_zalloc(sizeof *write + arg_size);
    memcpy(write + 1, arg, arg_size);
    write->loop = svc->loop;
    write->fn = fn;
    write->arg = write + 1;
    write->done = on_written;
    write->in_order = true;
    db_write_async(svc->db, write);
}
