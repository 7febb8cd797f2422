// SPDX-License-Identifier: AGPL-3.0-or-later
// Copying between two homes (proto/copy.h): what a run of the agent with --copy consists of.
#ifndef AGENT_COPY_H
#define AGENT_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/copy.h"

#define COPY_RULES_MAX      2
#define COPY_TEMPORARY_SIZE 80

struct copy {
    unsigned flags;
    const char *timeout;
    uint64_t room;               // UINT64_MAX: no limit
    const char *source, *target; // as rsync is given them, without the slash of folders
    bool folder;                 // the source is one, or a link to one
    bool made_folders;           // above the target
    bool has_temporary;
    char temporary[COPY_TEMPORARY_SIZE]; // where rsync writes first
    struct stat source_stat;
    uint64_t largest; // bytes of the largest file that is to be written
    // Of copies into or out of a folder that the other end lies in.
    const char *rules[COPY_RULES_MAX];
    unsigned rules_count;
};

// Does what the arguments say, as the whole of a process's life; returns its exit status.
int copy_main(int argc, char **argv);

// copy_room.c: true when the target does not grow by more than there is room for.
bool copy_fits(struct copy *copy);
// copy_temporary.c: makes the folder and removes what earlier copies have left. False when the home
// cannot be written to.
bool copy_temporary_make(const char *home, char path[COPY_TEMPORARY_SIZE]);
void copy_temporary_remove(const char *path);
// Patterns of names that are never copied, NULL behind the last; a pattern with a slash is matched
// with the two last names of a path.
extern const char *const copy_excluded[];
#define COPY_HISTORY "*.sage-history"

#endif
