// SPDX-License-Identifier: AGPL-3.0-or-later
// Copying between two homes (proto/copy.h): what a run of the agent with --copy consists of.
#ifndef AGENT_COPY_H
#define AGENT_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "proto/copy.h"

#define COPY_RULES_MAX      2
#define COPY_TEMPORARY_SIZE 80

struct copy {
    unsigned flags;
    const char *timeout, *bandwidth;
    const char *patterns[COPY_PATTERNS_MAX]; // of the caller
    unsigned patterns_count;
    uint64_t room;               // bytes
    uint64_t files;              // that may be made
    const char *source, *target; // as rsync is given them, without the slash of folders
    bool folder;                 // the source is one, or a link to one
    bool made_folders;           // above the target
    bool has_temporary;
    char temporary[COPY_TEMPORARY_SIZE]; // where rsync writes first
    struct stat source_stat;
    uint64_t largest;     // bytes of the largest file that is to be written
    uint64_t written_max; // bytes that rsync may write in all, its messages included
    // Of copies into or out of a folder that the other end lies in.
    const char *rules[COPY_RULES_MAX];
    unsigned rules_count;
};

// Does what the arguments say, as the whole of a process's life; returns its exit status.
int copy_main(int argc, char **argv);

// copy_room.c: what the target would grow by; sets what rsync may write.
enum copy_fit { COPY_FITS, COPY_TOO_LARGE, COPY_PATH_TOO_LONG };
enum copy_fit copy_fits(struct copy *copy);
// copy_watch.c: waits until rsync, which leads a group of processes and writes to the pipe
// `output`, has ended; it is not reaped. Has it end when it must not go on.
enum copy_watched {
    COPY_WATCHED_WELL,
    COPY_WATCHED_STILL, // for long, nothing was transferred
    COPY_WATCHED_GREW,  // more was written than there is room for
};
enum copy_watched copy_watch(const struct copy *copy, pid_t pid, int output);
// After one that had to end was reaped: waits for the others of its group, for a moment.
void copy_watch_rest(pid_t pid);
// copy_temporary.c: makes the folder and removes what earlier copies have left. False when the home
// cannot be written to.
bool copy_temporary_make(const char *home, char path[COPY_TEMPORARY_SIZE]);
void copy_temporary_remove(const char *path);
// Patterns of names that are never copied, NULL behind the last; a pattern with a slash is matched
// with the two last names of a path below the copied folder.
extern const char *const copy_excluded[];
#define COPY_HISTORY "*.sage-history"

#endif
