// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct {
    const char *name;
    int http_status;
} err_codes[] = {
    [ERR_INVALID] = {"invalid", 400},         [ERR_UNAUTHORIZED] = {"unauthorized", 400},
    [ERR_FORBIDDEN] = {"forbidden", 403},     [ERR_NOT_FOUND] = {"not_found", 404},
    [ERR_CONFLICT] = {"conflict", 409},       [ERR_TOO_LARGE] = {"too_large", 413},
    [ERR_UNSUPPORTED] = {"unsupported", 415}, [ERR_RATE_LIMITED] = {"rate_limited", 429},
    [ERR_TIMEOUT] = {"timeout", 408},         [ERR_UNAVAILABLE] = {"unavailable", 503},
    [ERR_NO_MEMORY] = {"no_memory", 503},     [ERR_NO_SPACE] = {"no_space", 507},
    [ERR_INTERNAL] = {"internal", 500},
};

static void set_message(struct err *err, enum err_code code, int sys_errno, const char *fmt,
                        va_list args) PRINTF_LIKE(4, 0);
static void set_message(struct err *err, enum err_code code, int sys_errno, const char *fmt,
                        va_list args)
{
    err->code = code;
    err->sys_errno = sys_errno;
    char text[sizeof err->message + 1]; // one more: the last character may have been cut
    vsnprintf(text, sizeof text, fmt, args);
    utf8_copy(err->message, sizeof err->message, text);
    err->detail[0] = '\0';
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        set_message(err, code, 0, fmt, args);
        va_end(args);
    }
    return -(int)code;
}

int err_set_errno(struct err *err, enum err_code code, int sys_errno, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        set_message(err, code, sys_errno, fmt, args);
        va_end(args);
        if (!strstr(err->message, strerror(sys_errno)))
            snprintf(err->detail, sizeof err->detail, "%s", strerror(sys_errno));
    }
    return -(int)code;
}

int err_detail(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -ERR_INTERNAL;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->detail, sizeof err->detail, fmt, args);
    va_end(args);
    return -(int)err->code;
}

int err_internal(struct err *err, const char *fmt, ...)
{
    if (err) {
        err->code = ERR_INTERNAL;
        err->sys_errno = 0;
        snprintf(err->message, sizeof err->message, "internal error");
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->detail, sizeof err->detail, fmt, args);
        va_end(args);
    }
    return -ERR_INTERNAL;
}

const char *err_code_name(enum err_code code)
{
    return err_codes[code].name;
}

int err_http_status(enum err_code code)
{
    return err_codes[code].http_status;
}

const char *err_errno_name(int sys_errno)
{
    const char *name = strerrorname_np(sys_errno);
    return name ? name : "EUNKNOWN";
}

void err_errno_text(int sys_errno, char out[ERR_ERRNO_TEXT_SIZE])
{
    const char *text = strerrordesc_np(sys_errno);
    snprintf(out, ERR_ERRNO_TEXT_SIZE, "%s", text ? text : "unknown error");
    if (out[0] >= 'A' && out[0] <= 'Z')
        out[0] = (char)(out[0] - 'A' + 'a');
}
