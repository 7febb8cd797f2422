// SPDX-License-Identifier: AGPL-3.0-or-later
#include "server/seat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"

// How long the hub before, which may be ending, is waited for.
#define PREDECESSOR_MS UINT64_C(5000)
#define LOOK_AGAIN_US  20000

// 1: taken, *ret_fd holds it; 0: another has it; negative: it cannot be had.
static int try_seat(unsigned number, int *ret_fd, struct err *err)
{
    char path[32];
    snprintf(path, sizeof path, "run/hub-%u", number);
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "%s cannot be made in the data folder: %s",
                             path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = TAKE_FD(fd);
        return 1;
    }
    return errno == EWOULDBLOCK ? 0
                                : err_set_errno(err, ERR_INTERNAL, errno, "%s cannot be locked: %s",
                                                path, strerror(errno));
}

static int take_only(struct seat *ret_seat, struct err *err)
{
    const uint64_t since_us = clock_monotonic_us();
    int fd, rc;
    while (!(rc = try_seat(1, &fd, err)) && clock_monotonic_us() - since_us < PREDECESSOR_MS * 1000)
        usleep(LOOK_AGAIN_US);
    if (!rc)
        return err_set(err, ERR_CONFLICT,
                       "another hub serves this data folder, or it is being migrated; several hubs "
                       "need one PostgreSQL database");
    if (rc > 0)
        *ret_seat = (struct seat){.number = 1, .alone = true};
    return rc < 0 ? rc : 0;
}

static int take_any(struct seat *ret_seat, struct err *err)
{
    struct seat seat = {.alone = true};
    for (unsigned number = 1; number <= LIMIT_HUBS; number++) {
        int fd, rc = try_seat(number, &fd, err);
        if (rc < 0)
            return rc;
        if (rc && !seat.number)
            seat.number = number;
        else if (rc)
            fd_close(&fd);
        else
            seat.alone = false;
    }
    if (!seat.number)
        return err_set(err, ERR_CONFLICT,
                       "%d hubs serve this data folder, which is as many as may, or it is being "
                       "migrated",
                       LIMIT_HUBS);
    *ret_seat = seat;
    return 0;
}

int seat_take(bool shared, struct seat *ret_seat, struct err *err)
{
    return shared ? take_any(ret_seat, err) : take_only(ret_seat, err);
}

int seat_take_all(struct err *err)
{
    for (unsigned number = 1; number <= LIMIT_HUBS; number++) {
        int fd, rc = try_seat(number, &fd, err);
        if (!rc)
            rc = err_set(err, ERR_CONFLICT, "a hub serves the data folder; stop it first");
        if (rc < 0)
            return rc;
    }
    return 0;
}
