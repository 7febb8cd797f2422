// SPDX-License-Identifier: AGPL-3.0-or-later
// What all services share: the store, the running projects, the site's settings. Services know no
// HTTP; API calls, RPC methods, pages and the command line are their callers.
#ifndef SVC_SVC_H
#define SVC_SVC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "db/db.h"
#include "loop/work.h"
#include "svc/quota.h"
#include "svc/secret.h"
#include "svc/sessions.h"
#include "svc/throttle.h"

struct projects;
struct aggregator;
struct copies;
struct disk;
struct mailer;
struct query_schema;

// What the configuration says, so that no setting does.
enum site_written {
    SITE_WRITTEN_NAME = 1,
    SITE_WRITTEN_HELP_EMAIL = 2,
    SITE_WRITTEN_ORGANIZATION = 4,
    SITE_WRITTEN_SIGN_UP = 8,
    SITE_WRITTEN_VERIFY_EMAIL = 16,
};

// What code that kernels run may use (hub-rpc 7.4, 7.5).
struct jupyter_site {
    unsigned pool, pool_idle_s;  // kernels in reserve of each kind in a project, and for how long
    unsigned cell_s, cell_max_s; // of a cell, and if the caller waits longer
    unsigned cpu_s;              // processor time of a kernel, 0: no limit
    unsigned memory_mb;          // address space of a kernel, 0: no limit
    unsigned answer_s;           // how long the hub's methods wait for the project
};

// What the site's owner has set; strings outlive the services. What is atomic may change while the
// server runs (svc/settings.h): who needs it twice the same copies it.
struct site {
    const char *_Atomic name;
    const char *url; // without a slash at its end; links in mail begin with it
    const char *_Atomic help_email;
    const char *_Atomic organization; // "" if not set
    const char *_Atomic mail_from;    // address
    const char *_Atomic sign_up;      // "open", "token" or "closed"
    int64_t sign_ups_per_half_hour;   // from one address
    _Atomic bool verify_email;
    bool reveal_accounts;  // forgot_password tells that there is no such account
    int64_t transition_ms; // longest start or stop of a project: the hub of a longer one is gone
    struct quota_site quotas;
    struct jupyter_site jupyter;
    unsigned written;                        // bits of enum site_written
    uint32_t quotas_written, maxima_written; // bits of enum upgrade, of quotas.base and .max
};

// A text that a setting has given, kept to the end.
struct site_text {
    struct site_text *next;
    char text[];
};

struct svc {
    struct db *db;
    struct projects *projects; // NULL where nothing can be run (most commands)
    struct loop *loop; // for what nobody waits for; outlives the store. NULL where there is none
    struct site site;
    struct site configured;       // without settings
    struct site_text *site_texts; // of those who load settings, one at a time
    struct secret secret;
    struct work_gate parsing;    // of large bodies, for clients who may be many
    struct work_gate hashing;    // a password hash takes 64 MB
    struct work_gate rendering;  // of large results, which take three times their size meanwhile
    struct work_gate reading;    // text files, which stay in memory until they are sent
    struct work_gate homes;      // what calls do to the files of homes
    struct work_gate removing;   // of whole folders in them, which takes long
    struct work_gate publishing; // what strangers ask for, who may be many
    struct work_gate saving;     // of projects to the disk, which is one
    struct work_gate querying;   // queries that may read much, and batches
    struct work_gate searching;  // what compares all names, for seconds where there are many
    struct sessions sessions;    // for workers
    struct query_schema *schema; // what user queries can reach
    struct throttle edited;      // projects marked as edited
    struct throttle touched;     // account and project pairs
    struct throttle active;      // accounts marked as active
    struct throttle read;        // blobs marked as read
    struct throttle keys;        // API keys marked as active
    struct aggregator *aggregator;
    struct disk *disk;
    struct mailer *mailer; // NULL where nothing is sent (commands)
    struct copies *copies; // NULL where nothing is copied
    unsigned seat; // of this hub among those on the data folder; one that is gone leaves its
                   // seat to another. 0 where there is none (commands)
    // Set on the thread of `loop`: nothing that goes on by itself begins anew.
    _Atomic bool closing;
    // Later: everybody has been answered, and what is made for them is for nobody.
    _Atomic bool drained;
};

// What is said to who lets too much wait at svc.querying.
#define SVC_QUERIES_WAIT_TEXT "too many of your queries are waiting; try again later"

// Who calls. An anonymous caller has no account.
struct caller {
    struct uuid account_id; // "" if anonymous
    bool anonymous;
    bool admin;
    bool gold; // may create more accounts
};

// Reads or makes secret.key in the working directory and sets up the rest. `projects` is set by the
// caller afterwards.
int svc_init(struct svc *svc, struct db *db, const struct site *site, struct err *err) MUST_USE;
void svc_dispose(struct svc *svc);

// A write whose outcome nobody waits for, such as a time of last use; a failure is logged. `arg` is
// copied. Any thread.
void svc_write_later(struct svc *svc, db_txn_fn *fn, const void *arg, size_t arg_size);

#endif
