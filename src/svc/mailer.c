// SPDX-License-Identifier: AGPL-3.0-or-later
// The mailer's thread: claims what is due, has it sent or puts it into the maildir, and writes down
// what became of it. A message is sent at least once; when the hub dies between the server's yes
// and the database's, it is sent again with the same Message-ID.
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "svc/mail_internal.h"

#define LOOK_MS       1000 // commands queue mail too, and do not wake anybody
#define STOP_GRACE_MS 3000
#define RENEW_MS      20000 // well before a claim runs out
#define IDLE_MS       60000 // connections and libcurl's memory are given back after it
#define PURGE_MS      CLOCK_HOUR_MS
#define RETRY_MAX_MS  (4 * CLOCK_HOUR_MS)
#define GIVE_UP_MS    (2 * CLOCK_DAY_MS)

struct sending {
    struct smtp_delivery delivery;
    struct outgoing mail;
    bool used;
};

struct mailer {
    struct svc *svc;
    struct mailer_config config;
    struct db_session *session;
    pthread_t thread;
    int wake_fd;
    atomic_bool stopping;
    struct smtp *smtp; // while something was sent lately
    struct sending sendings[LIMIT_MAIL_AT_ONCE];
    size_t sending;
    int64_t purged, last_sent, renewed;
};

// ---- What became of a message ----

// What comes back doubles with each attempt and varies, so that a server that was away is not asked
// by all at once.
static int64_t retry_delay_ms(const struct mailer *mailer, int64_t attempts)
{
    int64_t delay = mailer->config.retry_s * 1000;
    for (int64_t i = 0; i < attempts && delay < RETRY_MAX_MS; i++)
        delay *= 2;
    if (delay > RETRY_MAX_MS)
        delay = RETRY_MAX_MS;
    return delay * 3 / 4 + randombytes_uniform((uint32_t)(delay / 2 + 1));
}

static void note_failure(struct mailer *mailer, const struct outgoing *mail, const char *why,
                         bool permanent)
{
    struct err err;
    int64_t now = clock_now_ms();
    bool give_up = permanent || now - mail->created >= GIVE_UP_MS;
    int64_t retry_at = give_up ? 0 : now + retry_delay_ms(mailer, mail->attempts);
    log_event(LOG_WARNING, "mail_failed", LOG_TEXT("mail", mail->id.text),
              LOG_INT("attempt", mail->attempts + 1), LOG_TEXT("error", why),
              LOG_TEXT("next", give_up ? "given up" : "later"));
    if (outbox_failed(mailer->svc->db, mail, why, retry_at, &err))
        log_err(LOG_ERROR, "mail_state_failed", &err);
}

static void note_success(struct mailer *mailer, const struct outgoing *mail, bool by_smtp)
{
    struct err err;
    struct db *db = mailer->svc->db;
    log_event(LOG_INFO, "mail_sent", LOG_TEXT("mail", mail->id.text),
              LOG_TEXT("to", by_smtp ? "smtp" : "maildir"));
    if (by_smtp ? outbox_sent(db, mail, &err) : outbox_delivered(db, mail, &err))
        log_err(LOG_ERROR, "mail_state_failed", &err);
}

// ---- By SMTP ----

static void sending_end(struct mailer *mailer, struct sending *sending)
{
    outgoing_dispose(&sending->mail);
    sending->used = false;
    mailer->sending--;
}

static void sending_begin(struct mailer *mailer, struct outgoing *mail)
{
    struct sending *sending = mailer->sendings;
    while (sending->used)
        sending++;
    *sending = (struct sending){.mail = *mail, .used = true};
    sending->delivery =
        (struct smtp_delivery){.to = sending->mail.to, .message = &sending->mail.message};
    mailer->sending++;
    smtp_send(mailer->smtp, &sending->delivery);
}

static int open_smtp(struct mailer *mailer, struct err *err)
{
    return mailer->smtp
               ? 0
               : smtp_open(&mailer->config, mailer->svc->site.mail_from, &mailer->smtp, err);
}

static void send_due(struct mailer *mailer)
{
    struct outgoing due[LIMIT_MAIL_AT_ONCE];
    struct err err;
    size_t count = 0, room = LIMIT_MAIL_AT_ONCE - mailer->sending;
    if (!room)
        return;
    if (outbox_claim(mailer->svc->db, mailer->session, room, due, &count, &err) ||
        (count && open_smtp(mailer, &err)))
        log_err(LOG_ERROR, "mail_queue_failed", &err);
    for (size_t i = 0; i < count; i++) {
        if (mailer->smtp)
            sending_begin(mailer, &due[i]);
        else
            outgoing_dispose(&due[i]); // claimed until the claim runs out
    }
}

static void on_done(struct mailer *mailer, struct smtp_delivery *delivery)
{
    struct sending *sending = CONTAINER(delivery, struct sending, delivery);
    if (delivery->accepted)
        note_success(mailer, &sending->mail, true);
    else
        note_failure(mailer, &sending->mail, delivery->why, delivery->permanent);
    sending_end(mailer, sending);
    mailer->last_sent = clock_now_ms();
}

static void renew(struct mailer *mailer)
{
    struct err err;
    int64_t now = clock_now_ms();
    if (now - mailer->renewed < RENEW_MS)
        return;
    mailer->renewed = now;
    for (size_t i = 0; i < LIMIT_MAIL_AT_ONCE; i++) {
        if (mailer->sendings[i].used &&
            outbox_renew(mailer->svc->db, &mailer->sendings[i].mail, &err))
            log_err(LOG_ERROR, "mail_state_failed", &err);
    }
}

static void rest(struct mailer *mailer)
{
    if (!mailer->smtp || mailer->sending || clock_now_ms() - mailer->last_sent < IDLE_MS)
        return;
    smtp_close(mailer->smtp);
    mailer->smtp = NULL;
    malloc_trim(0);
}

// What is under way may end; the rest is for the next process.
static void finish_smtp(struct mailer *mailer)
{
    uint64_t deadline = clock_monotonic_us() + STOP_GRACE_MS * 1000;
    struct err err;
    while (mailer->sending && clock_monotonic_us() < deadline) {
        struct smtp_delivery *done = smtp_step(mailer->smtp, -1, 100);
        if (done)
            on_done(mailer, done);
    }
    if (mailer->smtp) {
        smtp_abort(mailer->smtp);
        smtp_close(mailer->smtp);
    }
    for (size_t i = 0; i < LIMIT_MAIL_AT_ONCE; i++) {
        if (!mailer->sendings[i].used)
            continue;
        if (outbox_release(mailer->svc->db, &mailer->sendings[i].mail, &err))
            log_err(LOG_ERROR, "mail_state_failed", &err);
        sending_end(mailer, &mailer->sendings[i]);
    }
}

// ---- Into the maildir ----

static void deliver_one(struct mailer *mailer, const struct outgoing *mail)
{
    struct err err;
    if (maildir_deliver(mail->id.text, mail->created, mail->message.data, mail->message.size, &err))
        note_failure(mailer, mail, err.message, false);
    else
        note_success(mailer, mail, false);
}

static int deliver_due(struct mailer *mailer, struct err *err)
{
    struct outgoing due[LIMIT_MAIL_AT_ONCE];
    size_t count = 0;
    int rc;
    do {
        rc = outbox_claim(mailer->svc->db, mailer->session, LIMIT_MAIL_AT_ONCE, due, &count, err);
        for (size_t i = 0; i < count; i++) {
            deliver_one(mailer, &due[i]);
            outgoing_dispose(&due[i]);
        }
    } while (!rc && count && !mailer->stopping);
    return rc;
}

int mail_deliver_due(const struct svc *svc, struct db_session *session, struct err *err)
{
    struct svc own = *svc;
    struct mailer mailer = {.svc = &own, .session = session, .config = {.retry_s = 60}};
    return deliver_due(&mailer, err);
}

// ---- The thread ----

static void purge(struct mailer *mailer)
{
    struct err err;
    int64_t now = clock_now_ms();
    if (now - mailer->purged < PURGE_MS)
        return;
    mailer->purged = now;
    if (outbox_purge(mailer->svc->db, &err))
        log_err(LOG_ERROR, "mail_queue_failed", &err);
}

static void sleep_until_woken(struct mailer *mailer)
{
    struct pollfd wake = {.fd = mailer->wake_fd, .events = POLLIN};
    if (!mailer->smtp) {
        poll(&wake, 1, LOOK_MS);
        return;
    }
    struct smtp_delivery *done = smtp_step(mailer->smtp, mailer->wake_fd, LOOK_MS);
    if (done)
        on_done(mailer, done);
}

static void look(struct mailer *mailer)
{
    struct err err;
    if (*mailer->config.url)
        send_due(mailer);
    else if (deliver_due(mailer, &err))
        log_err(LOG_ERROR, "mail_queue_failed", &err);
}

static void *mailer_main(void *arg)
{
    struct mailer *mailer = arg;
    eventfd_t woken;
    while (!mailer->stopping) {
        look(mailer);
        renew(mailer);
        purge(mailer);
        rest(mailer);
        sleep_until_woken(mailer);
        eventfd_read(mailer->wake_fd, &woken);
    }
    finish_smtp(mailer);
    return NULL;
}

int mailer_open(struct svc *svc, const struct mailer_config *config, struct mailer **ret_mailer,
                struct err *err)
{
    struct mailer *mailer = mem_zalloc(sizeof *mailer);
    mailer->svc = svc;
    mailer->config = *config;
    mailer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = mailer->wake_fd < 0
                 ? err_set_errno(err, ERR_INTERNAL, errno, "the mailer cannot start")
                 : db_session_open(svc->db, &mailer->session, err);
    if (!rc && thread_start(&mailer->thread, mailer_main, mailer))
        rc = err_internal(err, "the mailer's thread cannot start");
    if (rc) {
        db_session_close(mailer->session);
        fd_close(&mailer->wake_fd);
        free(mailer);
        return rc;
    }
    *ret_mailer = mailer;
    return 0;
}

void mailer_wake(struct mailer *mailer)
{
    eventfd_write(mailer->wake_fd, 1);
}

void mailer_close(struct mailer *mailer)
{
    if (!mailer)
        return;
    mailer->stopping = true;
    mailer_wake(mailer);
    pthread_join(mailer->thread, NULL);
    db_session_close(mailer->session);
    fd_close(&mailer->wake_fd);
    free(mailer);
}
