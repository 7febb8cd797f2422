// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent: PID 1 of a project's sandbox. It carries out what hubs ask over its socket (commands,
// files) and reaps every orphan.
//
//   main.c        the loop: socket, SIGCHLD, deadlines, shutdown
//   conn.c        connections of hubs, frames in and out, bounded buffers
//   exec.c        the streams: pipes, results, when the reply is due
//   supervisor.c  the process per command that starts it and waits for it
//   file.c        the process per file operation
//   kernel.c      requests to the kernel bridge, and the process that it is
//   jobs.c        commands that no stream waits for, and who looks at them
//   usage.c       what these use
//   kill.c        ending whole process trees
//   proc.c        reading /proc
//
// One thread. Everything lives in the tables of one struct agent in zeroed static memory, whose
// pages cost nothing before they are used; what may be large (a frame that comes in, a long text of
// what was executed) is mapped while it is needed. Each stream has a slot in shared memory, by
// which its process tells its result.
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/frame.h"
#include "proto/job.h"

#define AGENT_CONN_MAX   16
#define AGENT_EXEC_MAX   4096
#define AGENT_SPARES_MAX 4
#define JOB_JOBS_MAX     100
// Processes and threads of a sandbox: a fork bomb shall not use up those of the host and its user.
#define AGENT_PROCESSES_MAX 8192
// Descriptors that came in and whose frame is not complete yet.
#define AGENT_CONN_FDS_MAX 4
// The text that says what was executed: longer ones are cut.
#define AGENT_RAN_MAX    (32u * 1024)
#define AGENT_RAN_INLINE 112
// A connection's unsent bytes: the rest of one frame, as nothing is sent while there are any.
#define AGENT_OUT_MAX    (sizeof(struct frame_header) + FRAME_OUTPUT_MAX)
#define AGENT_SCRIPT_MAX 64

enum agent_result {
    RESULT_NONE,        // the process ended without telling
    RESULT_WAITED,      // value: wait status of the command
    RESULT_NOT_STARTED, // value: errno
    RESULT_FILE_DONE,   // size
    RESULT_FILE_FAILED, // value: errno, syscall, size
};

// Written by the stream's process, `result` last; read by the agent.
struct agent_slot {
    _Atomic uint32_t result;
    uint32_t reusable;   // the supervisor waits for another command
    uint32_t announce;   // set by the agent: it wants to be told of `pid`, by SIGUSR1
    _Atomic int32_t pid; // of the command, once it runs
    int32_t value;
    uint64_t size;
    char syscall[16];
};

struct agent_conn {
    int fd; // -1: free
    uint8_t *in;
    size_t in_size, in_capacity;
    int fds[AGENT_CONN_FDS_MAX];
    unsigned fds_count;
    uint8_t *out;
    size_t out_at, out_size;
    struct exec *blocked_first, *blocked_last; // streams that wait until the socket takes more
    bool jobs_due;                             // it is still to be told how many jobs run
    bool ended;                                // to be closed once nobody uses it any more
};

enum exec_kind {
    EXEC_FREE,
    EXEC_COMMAND,
    EXEC_FILE_READ,
    EXEC_FILE_WRITE,
    EXEC_KERNEL, // a request to the kernel bridge
    EXEC_BRIDGE, // the bridge itself; no stream of a hub's
    EXEC_LOOK,   // at a job
};

// What a look waits for.
enum look_wait { LOOK_NOW, LOOK_START, LOOK_END };

struct exec {
    uint8_t kind;
    bool blocked;  // in conn's list
    bool draining; // no more is awaited from the pipes than what they hold now
    bool known;    // outcome and value are final
    bool replied;
    bool killing;
    uint8_t kill_empty_passes;
    bool kill_in_pass;
    uint32_t kill_found;
    uint32_t stream;
    struct agent_conn *conn; // NULL: its hub is gone
    pid_t pid;               // supervisor or file process, 0 once it is gone or has become a spare
    int job_fd;              // the supervisor's, -1: none
    int stdin_fd;            // never written
    int out_fd[2];           // -1: closed
    int request_fd[2];    // of EXEC_KERNEL, until the bridge has them: request, end of its answer
    uint32_t drain_left;  // bytes
    uint64_t deadline_ms; // UINT64_MAX: none
    uint32_t heap_at;     // place in agent.heap, UINT32_MAX: none
    uint32_t outcome;
    int32_t value;
    uint64_t size;
    struct exec *next; // free list, conn's blocked list, or those that wait for the bridge
    char *ran;         // ran_inline, or mapped
    uint32_t ran_size;
    bool script; // ran is "bash FILE"
    // Of EXEC_LOOK; of EXEC_COMMAND the job that it runs for, NULL: it is a hub's stream.
    struct job *job;
    uint8_t look_waits;
    bool look_begun;       // the state is sent
    uint32_t look_kept[2]; // bytes of both streams that are to be sent
    size_t look_at;        // behind the state
    char ran_inline[AGENT_RAN_INLINE];
};

// A way through the processes.
struct proc_scan {
    int dir; // of /proc, -1: none
    long dents_at, dents_size;
    char dents[2048] __attribute__((aligned(8)));
};

struct kill_scan {
    struct proc_scan proc; // while a pass goes on
    uint16_t *owner;       // by pid: index + 1 of the exec whose tree it belongs to
    uint32_t active;       // execs with `killing`
    uint32_t pause_ms;
    uint64_t next_ms; // when the next pass starts
};

struct job_usage {
    uint64_t next_ms; // when the next sample is due
    uint64_t interval_ms;
    uint64_t base_ticks; // processor time of the supervisor before
    uint64_t cpu_ms;     // so far
    uint64_t ticks, pages;
    bool in_pass, met; // it is looked at; its supervisor was there
    uint32_t samples_count;
    struct job_sample samples[JOB_SAMPLES_MAX];
};

// A command that goes on by itself (proto/job.h).
struct job {
    uint8_t *bytes; // NULL: free. The note, what was executed, both streams
    size_t mapped;
    struct exec *exec; // NULL: it has ended
    unsigned looks;    // at it, which wait or are being answered
    char id[JOB_ID_SIZE];
    uint32_t note_size, ran_size, output_max;
    uint32_t kept[2]; // bytes of each stream
    uint64_t total[2];
    bool full[2]; // no more is kept of it
    uint32_t outcome;
    int32_t value;
    pid_t pid;        // once it has ended
    int64_t start_ms; // since 1970
    uint64_t began_ms, ended_ms, look_ms;
    struct job_usage usage;
};

struct jobs {
    struct job all[JOB_JOBS_MAX];
    unsigned count;    // places taken
    size_t size;       // bytes that they keep
    uint32_t running;  // how many
    uint32_t starting; // looks that wait for a start
};

struct usage_scan {
    struct proc_scan proc; // while a pass goes on
    uint8_t *owner;        // by pid
    uint64_t began_ms, rest_ms;
};

// The process behind all requests of kernels, while it runs.
struct bridge {
    struct exec *exec;         // its supervisor; NULL: there is none, or it is being ended
    int fd;                    // what it is given requests by
    bool full;                 // it takes no more at present
    struct exec *first, *last; // requests that it has not taken yet
};

// A supervisor without a command.
struct spare {
    pid_t pid;
    int job_fd; // what it reads commands from
};

struct agent {
    int epoll_fd, listen_fd, signal_fd, proc_fd;
    int kernel_fd;          // the bridge's program, -1: there is none
    uint32_t processes_max; // of commands together
    struct agent_conn conns[AGENT_CONN_MAX];
    struct exec execs[AGENT_EXEC_MAX];
    struct agent_slot *slots; // shared, one per exec
    uint32_t execs_used;      // all behind were never used
    struct exec *execs_free;
    struct spare spares[AGENT_SPARES_MAX];
    unsigned spares_count;
    uint32_t heap[AGENT_EXEC_MAX]; // execs with a deadline, the earliest first
    uint32_t heap_size;
    uint32_t scripts; // counts, for file names
    struct bridge bridge;
    struct kill_scan scan;
    struct jobs jobs;
    struct usage_scan usage;
    uint64_t shutdown_ms; // 0: running; else when the grace ends
    bool killed;          // that is over, and the last answers are sent
    uint8_t scratch[AGENT_OUT_MAX];
};

// What an epoll event belongs to: kind in the high half, index (and stream of an exec) in the low.
enum agent_event {
    EVENT_LISTEN,
    EVENT_SIGNAL,
    EVENT_CONN,
    EVENT_STDOUT,
    EVENT_STDERR,
    EVENT_BRIDGE,
};
bool agent_watch(struct agent *a, int fd, uint32_t events, enum agent_event kind, uint32_t index);
uint64_t agent_now_ms(void);
void agent_begin_shutdown(struct agent *a, uint32_t grace_ms);

// conn.c
void conn_accept(struct agent *a);
void conn_event(struct agent *a, struct agent_conn *conn, uint32_t events);
// True when a frame can be sent now. The frame of `size` bytes lies in `bytes`, header included.
bool conn_can_send(const struct agent_conn *conn);
void conn_send(struct agent *a, struct agent_conn *conn, const uint8_t *bytes, size_t size);
void conn_block(struct agent_conn *conn, struct exec *exec); // exec_service when it can send again
void conns_tell_jobs(struct agent *a);                       // how many run

// exec.c. False: the payload is malformed.
// There is one more byte behind the payload. `job` that it runs for, or NULL.
bool exec_command(struct agent *a, struct agent_conn *conn, uint32_t stream, struct job *job,
                  uint8_t *payload, size_t size);
// Takes content_fd (-1: none came).
bool exec_file(struct agent *a, struct agent_conn *conn, uint32_t stream, const uint8_t *payload,
               size_t size, int content_fd);
void exec_kill(struct agent *a, struct agent_conn *conn, uint32_t stream);
void exec_conn_ended(struct agent *a, struct agent_conn *conn);
void exec_readable(struct agent *a, struct exec *exec, unsigned stream);
void exec_service(struct agent *a, struct exec *exec); // goes on after having been blocked
void exec_reaped(struct agent *a, pid_t pid, int status);
void exec_spares_end(struct agent *a);
bool exec_unanswered(const struct agent *a); // some stream, or what was said is not sent yet
void exec_deadlines(struct agent *a, uint64_t now_ms);
uint64_t exec_next_deadline(const struct agent *a);

// For kernel.c and jobs.c. A place in the table, NULL if there is none left.
struct exec *exec_new(struct agent *a, enum exec_kind kind, struct agent_conn *conn,
                      uint32_t stream);
void exec_refuse_without_place(struct agent *a, struct agent_conn *conn, uint32_t stream,
                               enum exec_outcome outcome);
void exec_watch(struct agent *a, struct exec *exec);
// What comes of it is known, unless it was before, and nothing more is read: replies when that can
// be sent. Then it may be free.
void exec_end(struct agent *a, struct exec *exec, enum exec_outcome outcome, int value);
void exec_free(struct agent *a, struct exec *exec);
void exec_close(int *fd); // which becomes -1

// kernel.c
void kernel_request(struct agent *a, struct agent_conn *conn, uint32_t stream,
                    const uint8_t *payload, size_t size);
// Of a request whose socket is at its end.
enum exec_outcome kernel_outcome(struct agent *a, int *ret_value);
void kernel_drop(struct agent *a, struct exec *exec); // nobody waits for the answer any more
void bridge_event(struct agent *a, uint32_t events);
void bridge_reaped(struct agent *a, struct exec *exec);

// jobs.c. There is one more byte behind the payload; false: it is malformed.
bool job_request(struct agent *a, struct agent_conn *conn, uint32_t stream, uint8_t *payload,
                 size_t size);
// Its command is about to be started; has written something; has ended, or never began.
void job_began(struct agent *a, struct job *job, struct exec *exec);
void job_keep(struct agent *a, struct job *job, unsigned stream, const uint8_t *bytes, size_t size);
void job_ended(struct agent *a, struct job *job, enum exec_outcome outcome, int value);
void jobs_started(struct agent *a); // some supervisor says that its command runs
void job_look_serve(struct agent *a, struct exec *look); // sends what the connection takes
void job_look_ended(struct agent *a, struct exec *look);
uint64_t jobs_next_ms(const struct agent *a); // UINT64_MAX: nothing to do
void jobs_tick(struct agent *a, uint64_t now_ms);

// usage.c
void usage_begin(const struct agent *a, struct job *job);
uint64_t usage_next_ms(const struct agent *a);
void usage_tick(struct agent *a, uint64_t now_ms);

// supervisor.c and file.c: the processes. `fds` are standard input, output and error.
struct command_job {
    uint8_t *payload; // of FRAME_EXEC, checked; one more byte behind it
    size_t size;
    char *script_path; // NULL: no script
};
_Noreturn void supervisor_run(struct agent *a, struct agent_slot *slot,
                              const struct command_job *job, const int fds[3]);
// Carries out what supervisor_give writes to the other end of job_fd, a SOCK_SEQPACKET socket.
_Noreturn void supervisor_serve(struct agent *a, int job_fd);
#define SUPERVISOR_GIVE_MAX (32u * 1024) // bytes of a payload that can be given
bool supervisor_give(int fd, uint32_t slot, const struct command_job *job, const int fds[3]);
// Runs the kernel bridge, which gets requests by fd.
_Noreturn void supervisor_run_bridge(struct agent *a, struct agent_slot *slot, int fd);
_Noreturn void file_run_read(struct agent_slot *slot, const char *path, uint64_t size_max,
                             int out_fd);
_Noreturn void file_run_write(struct agent_slot *slot, const char *path, int content_fd);

// kill.c
void kill_begin(struct agent *a, struct exec *exec);
void kill_end(struct agent *a, struct exec *exec);
void kill_tick(struct agent *a, uint64_t now_ms);
uint64_t kill_next_ms(const struct agent *a); // UINT64_MAX: nothing to do

// proc.c
#define PROC_PID_LIMIT (4u * 1024 * 1024) // the kernel's own
struct proc_stat {
    char state;
    uint32_t parent;
    uint64_t cpu_ticks; // of it and of those of its children that have ended
    uint64_t resident_pages;
};
bool proc_scan_begin(const struct agent *a, struct proc_scan *scan);
uint32_t proc_scan_next(struct proc_scan *scan); // a process's number, 0 at the end
void proc_scan_end(struct proc_scan *scan);
// Zeroes for each number there may be, or NULL; to be unmapped.
void *proc_map_pids(size_t size_each);
// False if there is no such process.
bool proc_stat_read(const struct agent *a, uint32_t pid, struct proc_stat *ret_stat);

// text.c: decimal digits of `value` without NUL, and random letters; both return the end.
char *text_put_number(char *out, uint64_t value);
char *text_put_random(char *out, unsigned count);

#endif
