// SPDX-License-Identifier: AGPL-3.0-or-later
// The result of an execution: what the kernel said, as items, within limits (hub-rpc 7.3, 7.4).
//
// Sizes are counted as JavaScript counts a text's length, over the JSON text of each item. The item
// that goes beyond a limit is replaced by a notice, and what follows is left out, but for errors,
// which are the reason why somebody looks at the result.
#ifndef JUPYTER_ITEMS_H
#define JUPYTER_ITEMS_H

#include "jupyter/message.h"

struct items {
    struct buf json; // "[ITEM,ITEM", or empty
    size_t cell_max, total_max;
    size_t length;       // of the items, as the limits count
    size_t errors_bytes; // of errors behind the notice
    bool full;           // the notice is there
    bool has_error;
    struct buf reply_error; // what the reply says went wrong, as an item
};

void items_init(struct items *items, size_t cell_max, size_t total_max);
void items_dispose(struct items *items);

// Whether a message of that type and size of content would add anything: what does not need not be
// verified or read.
bool items_want(const struct items *items, const char *type, size_t content_size);
// Adds what a message of a cell says. Types that are no output, and malformed ones, add nothing.
void items_add(struct items *items, const struct message *message);
// The cell is done: adds the error that its reply told of, unless an item has done so.
void items_finish(struct items *items);
// An item of text, whatever the limits.
void items_add_text(struct items *items, const char *name, const char *text);
// The notice: output was lost because there was too much of it.
void items_overflow(struct items *items);
// Appends the items as a JSON array.
void items_write(const struct items *items, struct buf *out);

#endif
