// SPDX-License-Identifier: AGPL-3.0-or-later
// Copies between projects (api-v1 section 5).
//
// Every copy is a row of copy_paths before anything happens, and its end is there before anybody
// hears of it. A thread of its own looks after them: so many run at once, accounts take turns, and
// the copies of one run in the order in which they were asked for. What was running when a hub died
// is run again. docs/decisions/copies.md tells the rules.
#ifndef SVC_COPIES_H
#define SVC_COPIES_H

#include "base/json.h"
#include "runner/projects.h"
#include "svc/svc.h"

// At most `at_once` run. Begins with what an earlier hub has left. Sets svc->copies.
int copies_open(struct svc *svc, unsigned at_once, struct err *err) MUST_USE;
// Nothing more begins, and whoever waits for a copy's end is told so. Before projects_shut.
void copies_shut(struct svc *svc);
// No copy is asked for any more; those under way have been given up. Before projects_close.
void copies_close(struct svc *svc);

struct copy_request {
    // in; strings are the caller's until `done`
    struct uuid account_id; // who has the right to it: checked by the caller, and again when it
                            // starts
    struct uuid source_project_id, target_project_id;
    const char *source_path, *target_path; // target: NULL or "": as the source
    unsigned flags;                        // runner_copy_flags
    uint32_t timeout_s;                    // without any transfer; 0: none
    uint32_t bandwidth;                    // KB a second; 0: any
    const char *exclude; // patterns of what is not copied as rsync has them, one a line; NULL: none
    bool public;         // the right to the source is that its path is public
    bool scheduled;
    int64_t scheduled_ms;
    bool wait; // for its end, else for its being noted
    struct loop *loop;
    void (*done)(struct copy_request *request);
    // out: ERR_INVALID for a path that leads out, ERR_RATE_LIMITED when too many wait, ERR_NO_SPACE
    // for the quota; with `wait` also what the copy failed of
    int rc;
    struct err err;
    struct uuid copy_id;
    // the service's
    struct copies *copies;
    int64_t time_ms;
    bool direct;  // it starts at once
    bool here;    // this hub runs it
    bool changed; // its row did, and it may have ended
    struct db_write write;
    struct loop_message message;
};
// Has it begin at a time, and not be waited for: a date as text, or milliseconds since 1970.
// ERR_INVALID for anything else.
int copy_schedule(struct copy_request *request, const cJSON *when, struct err *err) MUST_USE;
// Once `done` is called, the copy is noted durably or refused. Any thread.
void copy_submit(struct svc *svc, struct copy_request *request);

// What the error of a copy that failed is about, for callers with words of their own.
enum copy_failure {
    COPY_FAILED_OTHERWISE,
    COPY_FAILED_NO_SOURCE,
    COPY_FAILED_TARGET_OUTSIDE, // a link leads out of the project
    COPY_FAILED_RSYNC,          // the error is what rsync said
};
enum copy_failure copy_failure_of(const struct err *err);

// A path of a copy made relative to the home, without "." and "..". ERR_INVALID with the contract's
// text.
enum copy_end { COPY_SOURCE, COPY_TARGET };
int copy_path_resolve(enum copy_end end, const struct uuid *project_id, const char *path,
                      struct buf *out, struct err *err) MUST_USE;

// ---- Looking at them (api-v1 5.5, 5.6) ----

struct copy_ends {
    struct uuid source_project_id, target_project_id;
    bool deletable; // it was scheduled and has not finished
};
// 1: there is such a copy, 0: there is none, or negative. `ret_json` (may be NULL) gets the
// contract's object.
int copy_get(struct db_session *session, const char *copy_id, struct copy_ends *ret_ends,
             struct buf *ret_json, struct err *err) MUST_USE;

enum copy_state { COPY_PENDING, COPY_FINISHED, COPY_FAILED, COPY_STATES };
struct copy_filter {
    const struct uuid *source_project_id, *target_project_id; // NULL: any, but not both
    const char *source_path;                                  // NULL: any
    enum copy_state state;
    int64_t limit, offset;
};
// Appends an array, the newest first.
int copy_list(struct db_session *session, const struct copy_filter *filter, struct buf *out,
              struct err *err) MUST_USE;
// In a transaction: removes a scheduled copy that has not finished. ERR_NOT_FOUND.
int copy_delete(struct db_session *txn, const char *copy_id, struct err *err) MUST_USE;

#endif
