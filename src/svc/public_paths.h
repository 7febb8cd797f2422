// SPDX-License-Identifier: AGPL-3.0-or-later
// Public paths (api-v1 section 6): what anybody may list, read and copy.
#ifndef SVC_PUBLIC_PATHS_H
#define SVC_PUBLIC_PATHS_H

#include "base/mem.h"
#include "base/sha1.h"
#include "svc/svc.h"

// ---- Asking ----

// Where the path with this id is: its project, and the path, which is the arena's. ERR_NOT_FOUND,
// also of one that is disabled.
int public_path_find(struct db_session *session, const char *id, struct arena *arena,
                     struct uuid *ret_project_id, const char **ret_path, struct err *err) MUST_USE;
// Whether a path, relative to the home, is public by the rules of 6.1.
int public_path_check(struct db_session *session, const struct uuid *project_id, const char *path,
                      bool *ret_public, struct err *err) MUST_USE;

// The paths of a project that are public, for several questions, each of which goes through them.
struct public_list_item {
    char *path; // without slashes at its end
    size_t size;
};
struct public_list {
    struct public_list_item *items;
    size_t count, room;
};
int public_list_load(struct db_session *session, const struct uuid *project_id,
                     struct public_list *ret_list, struct err *err) MUST_USE;
void public_list_dispose(struct public_list *list);
// Takes a path into the list: its bytes are copied.
void public_list_add(struct public_list *list, const char *path);
// Public by the rules of 6.1. What is longer than any path is not.
bool public_list_has(const struct public_list *list, const char *path);
// Public without the rule for archives: what a file must be for itself.
bool public_list_has_below(const struct public_list *list, const char *path);
// Whether the very path is in the list, which public_list_sort must have seen: for the many in a
// folder that is not public itself.
void public_list_sort(struct public_list *list);
bool public_list_finds(const struct public_list *list, const char *path);

// ---- Publishing (6.2) ----

struct public_path {
    struct uuid project_id;
    const char *path;                  // relative to the home; slashes at its end are dropped
    const char *description, *license; // NULL: left as they are
    bool disabled, unlisted;
};
// In a transaction: adds or changes the record. ERR_INVALID for a path that leads out of the home,
// ERR_NOT_FOUND if there is no such project, ERR_TOO_LARGE if it has too many.
int public_path_set(struct db_session *txn, const struct public_path *path,
                    struct err *err) MUST_USE;
// In a transaction. ERR_NOT_FOUND if it is not public.
int public_path_disable(struct db_session *txn, const struct uuid *project_id, const char *path,
                        struct err *err) MUST_USE;

// What public_path_set asks of a path, and of how many a project has now, for who writes the record
// in another way. The bytes of a path that a record has: without slashes at its end.
int public_path_valid(const char *path, struct err *err) MUST_USE;
int public_path_room(struct db_session *txn, const struct uuid *project_id,
                     struct err *err) MUST_USE;
size_t public_path_size(const char *path);

// The id of the record: SHA-1 of project id and path, hexadecimal.
void public_path_id(const struct uuid *project_id, const char *path, char out[SHA1_TEXT_SIZE]);

// One record, and a JSON array of all of a project, for the command line. ERR_NOT_FOUND.
int public_path_show(struct db_session *session, const struct uuid *project_id, const char *path,
                     struct buf *out, struct err *err) MUST_USE;
int public_path_list(struct db_session *session, const struct uuid *project_id, struct buf *out,
                     struct err *err) MUST_USE;

#endif
