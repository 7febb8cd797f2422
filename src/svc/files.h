// SPDX-License-Identifier: AGPL-3.0-or-later
// Text files of projects (api-v1 3.10, 3.11).
//
// What lies in the home the hub reads and writes itself, without starting the project: every path
// is resolved by the kernel with the home as its bound. What a path or a link leads to outside the
// home exists only in the sandbox, so the agent is asked for it.
#ifndef SVC_FILES_H
#define SVC_FILES_H

#include "runner/projects.h"
#include "svc/svc.h"

struct text_file {
    // in; strings are the caller's until `done`
    struct uuid project_id;
    const char *path; // relative to the home, or absolute inside the project
    bool write;
    bool keep; // write: leaves a file alone that is there, and what is outside the home
    const char *content;
    size_t content_size;
    const char *owner; // read: who takes turns with others, or NULL
    // Read: before so many bytes are kept, perhaps more than once; an error is the file's. On a
    // worker or on the thread of `loop`. NULL: any number may be.
    int (*hold)(struct text_file *file, size_t size, struct err *err);
    struct loop *loop;
    void (*done)(struct text_file *file);
    // out. A system call that failed gives rc < 0 with err.sys_errno set, its name and the whole
    // path.
    int rc;
    struct err err;
    char syscall[32];
    struct buf full_path; // NUL-terminated
    struct buf data;      // read: the content, valid UTF-8
    // the service's
    struct svc *svc;
    bool outside;
    int64_t growth; // of the file, on the disk
    struct work work;
    struct file_call call;
};

// Reads a file of at most 10 MB, as UTF-8 with invalid sequences replaced; ERR_TOO_LARGE with the
// contract's text.
void text_file_read(struct svc *svc, struct text_file *file);
// Replaces or makes a file, and the folders above it; durable when `done` is called.
void text_file_write(struct svc *svc, struct text_file *file);
void text_file_dispose(struct text_file *file);

#endif
