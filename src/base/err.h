// SPDX-License-Identifier: AGPL-3.0-or-later
// Errors as values. A function that can fail returns 0 or a negative code and fills a caller's
// `struct err`: a code that the program acts on, a public text that a client may read and a private
// detail for the log. All of it lives in fixed buffers, so that reporting an error never allocates.
// Whoever answers the client logs it, once.
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#include "base/macros.h"

enum err_code {
    ERR_INVALID = 1,  // the caller's input is wrong
    ERR_UNAUTHORIZED, // no or wrong credentials
    ERR_FORBIDDEN,    // known caller, not allowed
    ERR_NOT_FOUND,    // no such thing
    ERR_CONFLICT,     // exists already, or changed meanwhile
    ERR_TOO_LARGE,    // over a size limit
    ERR_UNSUPPORTED,  // a form of input that is not understood
    ERR_RATE_LIMITED, // too often
    ERR_TIMEOUT,      // a deadline passed
    ERR_UNAVAILABLE,  // shutting down, out of capacity, a peer is gone
    ERR_NO_MEMORY,    // none left for this, or no more of it for this caller
    ERR_NO_SPACE,     // the disk is full
    ERR_INTERNAL,     // everything else; the detail says what
};

struct err {
    enum err_code code;
    int sys_errno; // the system's error number behind it, 0 if none
    char message[480];
    char detail[480];
};

// What ERR_UNAVAILABLE says of all that is not begun or not finished because the server ends.
#define ERR_CLOSING_TEXT "the server is shutting down"
// What ERR_NO_MEMORY says.
#define ERR_MEMORY_TEXT "the server has no memory left for this; try again later"

// Fills `err` (which may be NULL) with a public text; returns -code.
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
// As err_set, and keeps `sys_errno`; the system's text is the private detail, unless the public
// text has it.
int err_set_errno(struct err *err, enum err_code code, int sys_errno, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
// Sets the private detail of an error that has its public text already; returns -code.
int err_detail(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
// ERR_INTERNAL with the public text "internal error" and a private detail.
int err_internal(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

// The symbolic name of a code ("invalid") and the HTTP status that stands for it.
const char *err_code_name(enum err_code code);
int err_http_status(enum err_code code);
// The name of a system error number ("ENOENT"), or "EUNKNOWN".
const char *err_errno_name(int sys_errno);
// What it means, in lower case ("no such file or directory").
#define ERR_ERRNO_TEXT_SIZE 80
void err_errno_text(int sys_errno, char out[ERR_ERRNO_TEXT_SIZE]);

#endif
