// SPDX-License-Identifier: AGPL-3.0-or-later
// The kernels that are installed: folders with a kernel.json (hub-rpc 7.1).
//
// They are read anew whenever they are asked for, as somebody may just have installed one. What is
// no sound specification is passed over.
#ifndef JUPYTER_SPECS_H
#define JUPYTER_SPECS_H

#include "base/json.h"

struct spec {
    char *name; // of the folder, in lower case
    char *resource_dir;
    unsigned char digest[32]; // of kernel.json
    cJSON *json;              // as kernel.json has it; argv is an array of at least one text
};

struct specs {
    struct spec *list;
    size_t count;
    size_t size; // of their files, bytes
};

void spec_dispose(struct spec *spec);
// Those that are installed, by display_name; only the one of that name if `name` is not NULL.
void specs_read(const char *name, struct specs *ret_specs);
void specs_dispose(struct specs *specs);
#define auto_specs CLEANUP(specs_dispose)

const char *spec_language(const struct spec *spec); // "" if it does not say
bool spec_interrupts_by_message(const struct spec *spec);

// The list of them as the contract has it.
void specs_write(const struct specs *specs, struct buf *out);
// {"filename","base64"} of its image, or null.
void spec_write_logo(const struct spec *spec, struct buf *out);

#endif
