// SPDX-License-Identifier: AGPL-3.0-or-later
// Jupyter kernels of a project (hub-rpc section 7): which there are, running code, which run. The
// project's kernel bridge does the work (proto/kernel.h); here is what a caller may ask of it, and
// the check of what it says, as nothing that comes from a project is trusted.
#ifndef SVC_JUPYTER_H
#define SVC_JUPYTER_H

#include "base/json.h"
#include "runner/projects.h"
#include "svc/svc.h"

enum jupyter_op {
    JUPYTER_KERNELS, // array of kernels (7.1)
    JUPYTER_LIST,    // array of those that run (6.5)
    JUPYTER_STOP,    // {"success"} (6.6)
    JUPYTER_LOGO,    // {"filename","base64"} or null
    JUPYTER_EXECUTE, // array of items (7.3)
};

// Code to execute. Strings are the caller's until `done`.
struct jupyter_code {
    const char *input;
    const char *const *history;
    size_t history_count;
    const char *path;    // relative to the home; NULL: a fresh folder
    double timeout_s;    // how long the caller waits, 0: it does not say; more time than usual
    const cJSON *limits; // of the caller (7.4), NULL: none
    const cJSON *pool;   // {size, timeout_s} (7.5), NULL: as usual
};

struct jupyter_request {
    // in; strings are the caller's until `done`
    struct uuid project_id;
    enum jupyter_op op;
    const char *kernel; // LOGO, EXECUTE
    int64_t pid;        // STOP
    struct jupyter_code code;
    uint32_t answer_ms; // longest wait for the project, 0: as long as what is asked may take
    struct loop *loop;
    void (*done)(struct jupyter_request *request);
    // out
    int rc; // negative: it could not be asked, or has not answered
    struct err err;
    bool failed;        // the project says in `error` why not, in the contract's words without
    struct buf error;   // "Error: " before them
    const char *result; // JSON text, else
    size_t result_size;
    // the service's
    struct svc *svc;
    struct ask_call ask;
    struct jupyter_memory *memory;
    struct buf request;
    int64_t cell_ms;
    bool died;
    struct work work;
};
// Starts the project if needed. `done` runs on the thread of `loop`, perhaps before this returns.
void jupyter_run(struct svc *svc, struct jupyter_request *request);
void jupyter_request_dispose(struct jupyter_request *request);

// ---- What the bridge answers (jupyter_reply.c) ----

struct jupyter_reply {
    bool failed;
    bool died;          // the kernel ended by itself
    struct buf error;   // if it failed; heap
    const char *result; // JSON text of the form that belongs to `op`, in the reply, else
    size_t result_size;
};
// ERR_UNAVAILABLE when the bridge has ended without a whole answer, ERR_INTERNAL when that is none.
int jupyter_reply_read(enum jupyter_op op, const struct buf *text, struct jupyter_reply *ret_reply,
                       struct err *err) MUST_USE;

#endif
