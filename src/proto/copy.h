// SPDX-License-Identifier: AGPL-3.0-or-later
// How the agent is started to copy instead of to serve, in a sandbox that sees two homes:
//
//   cohub-agent --copy FLAGS TIMEOUT ROOM FILES BANDWIDTH EXCLUDE SOURCE TARGET
//
// FLAGS as copy_flags, TIMEOUT in seconds without any transfer, ROOM the bytes by which the
// target's files may grow, FILES how many may be made, BANDWIDTH in KB a second; numbers are
// decimal, and 0 is no timeout but the longest and no bound of the bandwidth. EXCLUDE has patterns
// of what is not copied, as rsync has them, one a line. SOURCE and TARGET are absolute; a slash at
// the end of TARGET makes it a folder. The exit status is rsync's, or one of these; what went wrong
// is on standard error, in at most COPY_TEXT_MAX bytes.
#ifndef PROTO_COPY_H
#define PROTO_COPY_H

#define COPY_TEXT_MAX 440
// Seconds without any transfer after which a copy is ended at the latest; this and the next are
// one. It is the longest that a sound copy may be still: an fsync of a large file on a slow disk,
// or the deletion of a folder with a million files.
#define COPY_STILL_MAX      300
#define COPY_STILL_MAX_TEXT "300"
#define COPY_LEADS_OUT      "the target path leads out of the project" // what is said of such a TARGET
#define COPY_PATTERNS_MAX   100
#define COPY_EXCLUDE_MAX    4000 // bytes of EXCLUDE

enum copy_flags {
    COPY_OVERWRITE_NEWER = 1,
    COPY_DELETE_MISSING = 2,
    COPY_BACKUP = 4,
    COPY_EXCLUDE_HISTORY = 8,
    COPY_FLAGS = 15, // all of them
};

enum copy_exit {
    COPY_EXIT_FAILED = 120,  // the target's folder cannot be made, or rsync not be run
    COPY_EXIT_NO_ROOM = 122, // the target would grow by more than ROOM or FILES; it may have grown
                             // by some of that, as the source grew while it was copied
};

#endif
