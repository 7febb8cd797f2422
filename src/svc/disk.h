// SPDX-License-Identifier: AGPL-3.0-or-later
// How much disk projects use, held against their quota. File systems seldom count by folder, so
// homes are measured: before and after what may fill them, at most as often as measuring is cheap.
#ifndef SVC_DISK_H
#define SVC_DISK_H

#include "svc/svc.h"

struct disk *disk_new(void);
void disk_free(struct disk *disk);

// What may still be written, in bytes; negative when the quota is exceeded. Measures the home when
// what is known is too old. On a worker: it walks the home. ERR_NOT_FOUND if there is no such
// project.
int disk_room(struct svc *svc, struct db_session *session, const struct uuid *project_id,
              int64_t *ret_room, struct err *err) MUST_USE;
// The error of a write that the quota does not allow: ERR_NO_SPACE with sys_errno EDQUOT.
int disk_refuse(const struct uuid *project_id, struct err *err) MUST_USE;
// Something was written, or may have been. Any thread.
void disk_changed(struct svc *svc, const struct uuid *project_id);

#endif
