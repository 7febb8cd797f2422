// SPDX-License-Identifier: AGPL-3.0-or-later
// Where things really lie. A link below a public path may lead to what is not public; what counts
// is the place that it leads to.
#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "base/limits.h"
#include "svc/home.h"
#include "svc/public_files_internal.h"

void public_home_enter(const struct public_request *request, struct public_home *ret_home)
{
    *ret_home = (struct public_home){.request = request, .fd = home_open(&request->project_id)};
}

void public_home_leave(struct public_home *home)
{
    fd_close(&home->fd);
    public_list_dispose(&home->places);
}

int public_home_fail_outside(const struct public_home *home, struct err *err)
{
    const struct public_request *r = home->request;
    return err_set(err, ERR_INVALID,
                   "path (=%.300s) must be contained in project path /projects/%s", r->path,
                   r->project_id.text);
}

static void find_places(struct public_home *home)
{
    const struct public_list *list = &home->request->list;
    char name[LIMIT_PATH];
    home->places_known = true;
    for (size_t i = 0; i < list->count; i++) {
        auto_fd int fd = home_open_beneath(home->fd, list->items[i].path, O_PATH);
        const char *place = fd >= 0 ? home_place(home->fd, fd, name) : NULL;
        if (place)
            public_list_add(&home->places, place);
    }
}

bool public_home_is_public(struct public_home *home, int fd)
{
    char name[LIMIT_PATH];
    const char *place = home_place(home->fd, fd, name);
    if (!place)
        return false;
    if (public_list_has_below(&home->request->list, place))
        return true;
    if (!home->places_known)
        find_places(home);
    return public_list_has_below(&home->places, place);
}

static bool is_place_public(const struct public_request *request)
{
    struct public_home home;
    public_home_enter(request, &home);
    auto_fd int fd = home.fd >= 0 ? home_open_beneath(home.fd, request->path, O_PATH) : -ENOENT;
    bool exists = fd >= 0;
    bool is_public = exists ? public_list_has_below(&request->list, request->path) &&
                                  public_home_is_public(&home, fd)
                            : fd == -ENOENT || fd == -ENOTDIR;
    public_home_leave(&home);
    return is_public;
}

int public_place_check(struct db_session *session, const struct uuid *project_id, const char *path,
                       bool *ret_public, struct err *err)
{
    struct public_request request = {.project_id = *project_id, .path = path};
    int rc = public_list_load(session, project_id, &request.list, err);
    if (rc)
        return rc;
    *ret_public = public_list_has(&request.list, path) && is_place_public(&request);
    public_list_dispose(&request.list);
    return 0;
}
