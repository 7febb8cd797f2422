// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/limits.h"

static bool is_folder(const char *name)
{
    struct stat st;
    if (!*name || *name == '.' || strchr(name, '/') || strlen(name) > LIMIT_IMAGE_NAME)
        return false;
    auto_free char *path = mem_printf("images/%s", name);
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool image_exists(const char *image)
{
    return !strcmp(image, IMAGE_DEFAULT) || is_folder(image);
}

// Keeps what is an image, and puts the default one in its place among them.
static void arrange(struct folder_names *names)
{
    const char **items = mem_alloc((names->count + 1) * sizeof *items);
    size_t count = 0;
    bool placed = false;
    for (size_t i = 0; i < names->count; i++) {
        if (!placed && strcmp(names->items[i], IMAGE_DEFAULT) >= 0) {
            items[count++] = IMAGE_DEFAULT;
            placed = true;
        }
        if (strcmp(names->items[i], IMAGE_DEFAULT) != 0 && is_folder(names->items[i]))
            items[count++] = names->items[i];
    }
    if (!placed)
        items[count++] = IMAGE_DEFAULT;
    free(names->items);
    names->items = items;
    names->count = count;
}

int images_list(struct folder_names *ret_names, struct err *err)
{
    auto_fd int fd = open("images", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? folder_names_read(fd, LIMIT_IMAGES, ret_names) : -errno;
    if (rc == -ENOENT) {
        *ret_names = (struct folder_names){0};
        rc = 0;
    }
    if (rc)
        return err_set_errno(err, ERR_INTERNAL, -rc, "the images cannot be listed");
    arrange(ret_names);
    return 0;
}
