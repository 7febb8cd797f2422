// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/kernel_internal.h"

#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

// What is read at once: a kernel that never stops writing must not keep the others waiting.
#define READ_MAX ((size_t)256 * 1024)

static void keep(struct kernel *k, const char *bytes, size_t size)
{
    if (k->stderr_size + size > sizeof k->stderr_tail) {
        const size_t kept = k->stderr_size < KERNEL_STDERR_MAX ? k->stderr_size : KERNEL_STDERR_MAX;
        memmove(k->stderr_tail, k->stderr_tail + k->stderr_size - kept, kept);
        k->stderr_size = kept;
    }
    memcpy(k->stderr_tail + k->stderr_size, bytes, size);
    k->stderr_size += size;
}

void kernel_stderr_read(struct kernel *k)
{
    char bytes[KERNEL_STDERR_MAX];
    for (size_t all = 0; all < READ_MAX && k->stderr_fd >= 0;) {
        const ssize_t got = read(k->stderr_fd, bytes, sizeof bytes);
        if (got == 0)
            fd_close(&k->stderr_fd);
        if (got <= 0)
            return;
        keep(k, bytes, (size_t)got);
        all += (size_t)got;
    }
}

void kernel_stderr_write(const struct kernel *k, struct buf *out)
{
    size_t size = k->stderr_size;
    const char *text = k->stderr_tail;
    if (size > KERNEL_STDERR_MAX) { // whole lines, if there are any
        text += size - KERNEL_STDERR_MAX;
        size = KERNEL_STDERR_MAX;
        const char *line = memchr(text, '\n', size);
        const size_t skip = line ? (size_t)(line - text) + 1 : 0;
        text += skip;
        size -= skip;
    }
    while (size && text_is_space(text[size - 1]))
        size--;
    if (!size)
        return;
    buf_append_str(out, "\n...\n");
    utf8_append_lossy(out, text, size);
}
