// SPDX-License-Identifier: AGPL-3.0-or-later
// How much disk projects use, held against their quota. File systems seldom count by folder, so
// homes are measured: before and after what may fill them, at most as often as measuring is cheap.
// docs/decisions/disk.md tells the rules.
#ifndef SVC_DISK_H
#define SVC_DISK_H

#include "svc/svc.h"

struct disk *disk_new(void);
void disk_free(struct disk *disk);
// From now on changed homes are measured in the background, and those of running projects every
// `look_s` seconds; a project that goes beyond its hard quota is stopped. On the thread of
// svc->loop.
void disk_open(struct svc *svc, unsigned look_s);
// Ends that. On the same thread, before the store is closed.
void disk_close(struct svc *svc);

// What may still be written, in bytes; negative when the quota is exceeded. Measures the home when
// what is known is too old. On a worker: it walks the home. ERR_NOT_FOUND if there is no such
// project.
int disk_room(struct svc *svc, struct db_session *session, const struct uuid *project_id,
              int64_t *ret_room, struct err *err) MUST_USE;
// The error of a write that the quota does not allow: ERR_NO_SPACE with sys_errno EDQUOT.
int disk_refuse(const struct uuid *project_id, struct err *err) MUST_USE;
// How many files may still be made, as far as it is known; after disk_room. Any thread.
uint64_t disk_files_room(struct svc *svc, const struct uuid *project_id);
// Something was written, or may have been. Any thread.
void disk_changed(struct svc *svc, const struct uuid *project_id);

// Counts `bytes` that are about to be written if the quota allows them; else disk_refuse. On a
// worker. Is followed by disk_settle, which tells whether they were. Any thread.
int disk_reserve(struct svc *svc, const struct uuid *project_id, int64_t bytes,
                 struct err *err) MUST_USE;
void disk_settle(struct svc *svc, const struct uuid *project_id, int64_t bytes, bool written);
// Counts what was written, negative: removed. Any thread.
void disk_wrote(struct svc *svc, const struct uuid *project_id, int64_t bytes);

// Beyond what size no file may grow. False if nothing is known of the project. Any thread, quick.
bool disk_file_size_max(struct svc *svc, const struct uuid *project_id,
                        uint64_t *ret_size) MUST_USE;
// Finds out what can be found out quickly. On a worker. ERR_NOT_FOUND if there is no such project.
int disk_learn(struct svc *svc, const struct uuid *project_id, struct err *err) MUST_USE;
// Bytes in use as far as it is known, -1: it is not. Any thread.
int64_t disk_used(struct svc *svc, const struct uuid *project_id);
// A project is about to be started: measures what is not known. One that is beyond its hard quota
// already may run as long as it does not grow. On a worker.
int disk_starting(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                  struct err *err) MUST_USE;

#endif
