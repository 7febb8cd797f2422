// SPDX-License-Identifier: AGPL-3.0-or-later
// What the files of the copies share: the rows (copy_rows.c), one copy's run (copy_run.c), the
// thread (copies.c).
#ifndef SVC_COPIES_INTERNAL_H
#define SVC_COPIES_INTERNAL_H

#include <sys/queue.h>

#include "base/map.h"
#include "svc/copies.h"

#define COPY_SEAT_SIZE 128
#define COPY_HUB_SIZE  (COPY_SEAT_SIZE + UUID_LEN)
// Six times as long as it is renewed in.
#define COPY_LEASE_MS INT64_C(120000)
#define COPY_GIVEN_UP "the copy was interrupted again and again, and has been given up"

// ---- Rows: all but copy_row_dispose in a transaction ----

// What a copy is to do. Strings are heap.
struct copy_row {
    struct uuid id, account_id, source_project_id, target_project_id;
    char *source_path, *target_path, *exclude; // the last may be NULL
    unsigned flags;
    uint32_t timeout_s, bandwidth;
    bool public;
    int attempts;     // this one included
    int64_t until_ms; // when the claim ends unless it is renewed
};
void copy_row_dispose(struct copy_row *row);

// As copy_submit has it; a direct one is claimed by the hub.
int copy_row_insert(struct db_session *txn, const struct copy_request *request, const char *hub,
                    struct err *err) MUST_USE;

enum copy_claim_result { CLAIM_NONE, CLAIM_TAKEN, CLAIM_REFUSED };
struct copy_claim {
    const char *hub;
    struct uuid after; // in: whose turn it was last; out: whose it is
    struct uuid full;  // in: who has no turn, "": nobody
    // out. Refused: it has ended with an error, since the right to it is gone.
    enum copy_claim_result result;
    struct copy_row row;
    struct err refusal;
};
// Takes the first ready copy of the account behind the last.
int copy_row_claim(struct db_session *txn, struct copy_claim *claim, struct err *err) MUST_USE;

// These two leave alone what another has claimed meanwhile; then *ret_own is false. `hub`: who has
// claimed it, NULL: nobody. `error`: NULL for a success.
int copy_row_finish(struct db_session *txn, const struct uuid *id, const char *hub,
                    const char *error, bool *ret_own, struct err *err) MUST_USE;
// Not this time: another start. `counted`: this one was a try.
int copy_row_release(struct db_session *txn, const struct uuid *id, const char *hub, bool counted,
                     bool *ret_own, struct err *err) MUST_USE;

struct copy_tending {
    const char *seat, *hub; // what others have claimed in the seat is free: they are gone
    // out
    struct uuid *own; // what the hub has claimed; heap
    size_t own_count;
    int64_t until_ms; // when that ends
    int64_t next_ms;  // when a scheduled copy is due, INT64_MAX: none is waiting
    bool more;        // there is more to do at once
};
// What is due becomes ready, what dead hubs ran becomes ready again, what this one runs stays its,
// what is old goes.
int copy_rows_tend(struct db_session *txn, struct copy_tending *tending, struct err *err) MUST_USE;

// ---- The thread ----

struct copies {
    struct svc *svc;
    struct loop loop;
    pthread_t thread;
    char seat[COPY_SEAT_SIZE], hub[COPY_HUB_SIZE]; // the second is this process's alone
    unsigned at_once, running;                     // runs, and slots that are taken for one
    struct uuid *accounts;                         // of runs, as far as it is known whose a slot is
    unsigned accounts_count;
    TAILQ_HEAD(, copy_run) runs;
    unsigned busy; // writes under way, runs not counted
    bool closing, ended;
    bool backlog;        // there may be ready rows
    unsigned inserted;   // so many rows became ready
    unsigned claimed_at; // `inserted` when the claim under way began
    bool claiming, tending;
    struct map waiting; // copy id -> struct copy_request
    struct copy_claim claim;
    struct db_write claim_write;
    struct copy_tending tend;
    struct db_write tend_write;
    int64_t tend_at_ms;
    int64_t last_time_ms;
    uv_timer_t timer, leases;
    struct db_subscription notices;
    bool looking; // for ends of copies that others ran
    struct loop_message shut_message, close_message;
};

// copy_run.c: runs it in a slot that is taken; takes what is in the row. copy_run_ended follows.
void copy_run_start(struct copies *copies, struct copy_row *row);
// Those that were there when a tending began are to be among what it found to be this hub's.
void copy_runs_mark(struct copies *copies);
void copy_runs_check(struct copies *copies, const struct copy_tending *tending);
// Ends those whose lease is about to end: another hub begins them anew then.
void copy_runs_end_late(struct copies *copies);
// copies.c: the slot is free again. `err`: how it ended for who waits, NULL: it succeeded;
// `released`: it will run again.
void copy_run_ended(struct copies *copies, const struct copy_row *row, bool released,
                    const struct err *err);
// Answers who waits here for the copy, whichever hub ran it; NULL: it succeeded.
void copy_ended(struct copies *copies, const struct uuid *id, const struct err *err);
void copies_not_busy(struct copies *copies);

// copy_ends.c: on the thread of the copies.
void copies_watch(struct copies *copies);
void copies_unwatch(struct copies *copies);
// As if all rows had changed.
void copies_look_at_all(struct copies *copies);

#endif
