// SPDX-License-Identifier: AGPL-3.0-or-later
// What projects can run in: the host's own system, which is called "default", and the systems in
// images/ of the data folder.
#ifndef SVC_IMAGES_H
#define SVC_IMAGES_H

#include "base/err.h"
#include "svc/folder_names.h"

#define IMAGE_DEFAULT "default"

// True for an image that projects can be started with.
bool image_exists(const char *image);
// The names of all, in the order of their bytes.
int images_list(struct folder_names *ret_names, struct err *err) MUST_USE;

#endif
