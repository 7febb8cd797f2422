// SPDX-License-Identifier: AGPL-3.0-or-later
// What hub and kernel bridge say to each other.
//
// The bridge (src/jupyter) is a process in the project's sandbox that starts Jupyter kernels and
// speaks their protocol. The agent starts it when the first FRAME_KERNEL comes, and again after it
// has ended. Its payload is a request: a JSON object in UTF-8. The agent does not read it: it sends
// the bridge one message over a SOCK_SEQPACKET socket for each request, with one byte and two
// descriptors: a sealed memory file that holds the request, and a socket for its answer, whose
// other end the agent reads like the output of a command. The answer is one JSON object, at most
// KERNEL_REPLY_MAX bytes, after which the bridge closes the socket. A socket whose other end is
// closed is a request that nobody waits for any more: it is given up. An answer that is no whole
// object means that the bridge has ended.
//
// Requests, by their member "op":
//
//   {"op":"kernels"}             the kernels that can be started (hub-rpc 7.1)
//   {"op":"list"}                those that run (6.5); besides, "state": "starting", "idle", "busy"
//   {"op":"stop","pid":N}        ends one of these (6.6)
//   {"op":"logo","kernel":K}     {"filename","base64"} of its image, null without one
//   {"op":"execute","kernel":K,"input":TEXT,"history":[TEXT, …],"path":TEXT,
//    "pool":{"size":N,"idle_ms":N},
//    "limits":{"cell_ms":N,"total_ms":N,"cell_output":N,"output":N},
//    "ulimits":{"files":N,"file_bytes":N,"cpu_s":N,"memory_bytes":N}}
//                                runs code in a fresh kernel (7.2 to 7.5)
//
// "history", "path" ("" is the home), "total_ms" and every one of "ulimits" may be left out. The
// answer is {"result":VALUE}, or {"error":TEXT} in the contract's words without "Error: " before
// them, to which {"died":true} is added where a kernel has ended by itself while it ran code.
#ifndef PROTO_KERNEL_H
#define PROTO_KERNEL_H

#include <stddef.h>

#define KERNEL_REPLY_MAX ((size_t)32 * 1024 * 1024)
// Requests under way at once; more wait in the bridge.
#define KERNEL_CALLS_MAX 16

// In a sandbox with another system than the host's there is the host's own loader, which runs the
// bridge with the host's libraries. It finds the program by a descriptor that stays open; so does
// what the bridge starts of itself.
#define KERNEL_LIBRARIES  "/run/cohub/lib"
#define KERNEL_LOADER     "/run/cohub/loader"
#define KERNEL_PROGRAM    "/proc/self/fd/4"
#define KERNEL_PROGRAM_FD 4
// The arguments ahead of the program's own.
#define KERNEL_LOADER_ARGS                                                                         \
    KERNEL_LOADER, "--inhibit-cache", "--library-path", KERNEL_LIBRARIES, KERNEL_PROGRAM

#endif
