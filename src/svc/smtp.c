// SPDX-License-Identifier: AGPL-3.0-or-later
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "svc/mail_internal.h"

#define CONNECT_TIMEOUT_S 20L
#define ANSWER_TIMEOUT_S  60L // for the server to answer one command
#define TOTAL_TIMEOUT_S   180L
#define REPLY_SIZE        300
#define SOCKETS_MAX       (4 * LIMIT_MAIL_AT_ONCE) // several addresses of a server are tried at once
#define ABORT_MS          1000

struct smtp_transfer {
    struct smtp *smtp;
    CURL *curl;
    struct curl_slist *recipients;
    struct smtp_delivery *delivery;
    struct buf wire; // the message with lines that end in CRLF
    size_t read;
    char command[8];        // the last that was sent; never more of it, as it may be a password
    char reply[REPLY_SIZE]; // the last line that the server sent
    bool over;              // we said QUIT; what follows tells nothing of the message
    char problem[CURL_ERROR_SIZE];
};

struct smtp {
    struct mailer_config config;
    char *sender;
    CURLM *multi;
    bool aborting;
    curl_socket_t sockets[SOCKETS_MAX]; // that are open; CURL_SOCKET_BAD: a free place
    struct smtp_transfer *transfers[LIMIT_MAIL_AT_ONCE];
};

// ---- The server's view ----

static void copy_word(const char *data, size_t size, char *out, size_t out_size)
{
    size_t used = 0;
    while (used < size && used + 1 < out_size && isalpha((unsigned char)data[used])) {
        out[used] = data[used];
        used++;
    }
    out[used] = '\0';
}

// Printable ASCII of a line; a server may send anything.
static void copy_line(const char *data, size_t size, char *out, size_t out_size)
{
    size_t used = 0;
    while (size && (data[size - 1] == '\n' || data[size - 1] == '\r'))
        size--;
    for (; used < size && used + 1 < out_size; used++)
        out[used] = (char)(data[used] >= ' ' && data[used] <= '~' ? data[used] : '?');
    out[used] = '\0';
}

static int on_debug(CURL *curl UNUSED, curl_infotype type, char *data, size_t size, void *ctx)
{
    struct smtp_transfer *transfer = ctx;
    if (type == CURLINFO_HEADER_OUT && size > 4 && !memcmp(data, "QUIT", 4))
        transfer->over = true;
    if (transfer->over)
        return 0;
    if (type == CURLINFO_HEADER_OUT)
        copy_word(data, size, transfer->command, sizeof transfer->command);
    else if (type == CURLINFO_HEADER_IN)
        copy_line(data, size, transfer->reply, sizeof transfer->reply);
    return 0;
}

static size_t on_read(char *out, size_t size, size_t count, void *ctx)
{
    struct smtp_transfer *transfer = ctx;
    size_t left = transfer->wire.size - transfer->read, room = size * count;
    size_t some = left < room ? left : room;
    memcpy(out, transfer->wire.data + transfer->read, some);
    transfer->read += some;
    return some;
}

// ---- Ending at once ----
//
// libcurl ends a message that is taken from it as if it were complete, and waits for the server's
// answer to QUIT. So what is under way is made to fail instead, and the sockets are shut.

static int on_progress(void *ctx, curl_off_t down_total UNUSED, curl_off_t down UNUSED,
                       curl_off_t up_total UNUSED, curl_off_t up UNUSED)
{
    return ((struct smtp_transfer *)ctx)->smtp->aborting;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose UNUSED,
                               struct curl_sockaddr *address)
{
    struct smtp *smtp = ctx;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (smtp->sockets[i] != CURL_SOCKET_BAD)
            continue;
        smtp->sockets[i] =
            socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
        return smtp->sockets[i];
    }
    return CURL_SOCKET_BAD;
}

static int on_socket_close(void *ctx, curl_socket_t fd)
{
    struct smtp *smtp = ctx;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (smtp->sockets[i] == fd)
            smtp->sockets[i] = CURL_SOCKET_BAD;
    }
    return close(fd);
}

// ---- One transfer ----

static void to_wire(const struct buf *message, struct buf *out)
{
    const char *text = message->data, *end = text + message->size;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        buf_append(out, text, (size_t)((newline ? newline : end) - text));
        buf_append_str(out, "\r\n");
        text = newline ? newline + 1 : end;
    }
}

static void set_security(CURL *curl, const struct mailer_config *config)
{
    long level = !strcmp(config->starttls, "off")       ? CURLUSESSL_NONE
                 : !strcmp(config->starttls, "require") ? CURLUSESSL_ALL
                                                        : CURLUSESSL_TRY;
    curl_easy_setopt(curl, CURLOPT_USE_SSL, level);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (*config->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, config->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (*config->username) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, config->username);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, config->password);
    }
}

static CURL *new_handle(const struct mailer_config *config)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return NULL;
    curl_easy_setopt(curl, CURLOPT_URL, config->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); // whatever the environment says
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, ANSWER_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TOTAL_TIMEOUT_S);
    set_security(curl, config);
    return curl;
}

static void transfer_free(struct smtp_transfer *transfer)
{
    curl_easy_cleanup(transfer->curl);
    curl_slist_free_all(transfer->recipients);
    buf_dispose(&transfer->wire);
    free(transfer);
}

static struct smtp_transfer *transfer_new(struct smtp *smtp, struct smtp_delivery *delivery)
{
    struct smtp_transfer *transfer = mem_zalloc(sizeof *transfer);
    transfer->smtp = smtp;
    transfer->delivery = delivery;
    transfer->recipients = curl_slist_append(NULL, delivery->to);
    transfer->curl = new_handle(&smtp->config);
    to_wire(delivery->message, &transfer->wire);
    CURL *curl = transfer->curl;
    assert(curl && transfer->recipients); // memory is out otherwise
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, smtp->sender);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, transfer->recipients);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->problem);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, smtp);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, on_socket_close);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, smtp);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    return transfer;
}

// A server that refuses a recipient, or a message once it has it, will do so again. What it refuses
// before that may be the fault of our settings, or of its.
static bool is_permanent(const struct smtp_transfer *transfer)
{
    bool of_this_mail =
        !strcasecmp(transfer->command, "RCPT") || !strcasecmp(transfer->command, "DATA");
    return of_this_mail && transfer->reply[0] == '5';
}

static void judge(struct smtp_transfer *transfer, CURLcode code)
{
    struct smtp_delivery *delivery = transfer->delivery;
    delivery->accepted = code == CURLE_OK;
    if (delivery->accepted)
        return;
    const char *problem = transfer->problem[0] ? transfer->problem : curl_easy_strerror(code);
    bool refused = strchr("45", transfer->reply[0]) && transfer->reply[0];
    delivery->permanent = code != CURLE_OPERATION_TIMEDOUT && is_permanent(transfer);
    snprintf(delivery->why, sizeof delivery->why, "%.90s%s%s", problem, refused ? ": " : "",
             refused ? transfer->reply : "");
}

// ---- All of them ----

int smtp_open(const struct mailer_config *config, const char *sender, struct smtp **ret_smtp,
              struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return err_internal(err, "libcurl cannot be used");
    CURLM *multi = curl_multi_init();
    if (!multi)
        return err_internal(err, "libcurl cannot be used");
    struct smtp *smtp = mem_zalloc(sizeof *smtp);
    smtp->config = *config;
    smtp->sender = mem_strdup(sender);
    smtp->multi = multi;
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        smtp->sockets[i] = CURL_SOCKET_BAD;
    *ret_smtp = smtp;
    return 0;
}

static void drop(struct smtp *smtp, struct smtp_transfer **slot)
{
    curl_multi_remove_handle(smtp->multi, (*slot)->curl);
    transfer_free(*slot);
    *slot = NULL;
}

void smtp_abort(struct smtp *smtp)
{
    uint64_t deadline = clock_monotonic_us() + ABORT_MS * 1000;
    int running = 1;
    smtp->aborting = true;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (smtp->sockets[i] != CURL_SOCKET_BAD)
            shutdown(smtp->sockets[i], SHUT_RDWR);
    }
    while (running && clock_monotonic_us() < deadline) {
        curl_multi_perform(smtp->multi, &running);
        if (running)
            curl_multi_poll(smtp->multi, NULL, 0, 10, NULL);
    }
}

void smtp_close(struct smtp *smtp)
{
    for (size_t i = 0; i < LIMIT_MAIL_AT_ONCE; i++) {
        if (smtp->transfers[i])
            drop(smtp, &smtp->transfers[i]);
    }
    curl_multi_cleanup(smtp->multi);
    curl_global_cleanup();
    free(smtp->sender);
    free(smtp);
}

void smtp_send(struct smtp *smtp, struct smtp_delivery *delivery)
{
    size_t slot = 0;
    while (smtp->transfers[slot])
        slot++;
    assert(slot < LIMIT_MAIL_AT_ONCE);
    smtp->transfers[slot] = transfer_new(smtp, delivery);
    CURLMcode code = curl_multi_add_handle(smtp->multi, smtp->transfers[slot]->curl);
    assert(code == CURLM_OK);
}

static struct smtp_delivery *take_done(struct smtp *smtp)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(smtp->multi, &left);
    if (!message || message->msg != CURLMSG_DONE)
        return NULL;
    for (size_t i = 0; i < LIMIT_MAIL_AT_ONCE; i++) {
        struct smtp_transfer *transfer = smtp->transfers[i];
        if (!transfer || transfer->curl != message->easy_handle)
            continue;
        judge(transfer, message->data.result);
        struct smtp_delivery *delivery = transfer->delivery;
        drop(smtp, &smtp->transfers[i]);
        return delivery;
    }
    return NULL;
}

struct smtp_delivery *smtp_step(struct smtp *smtp, int wake_fd, int timeout_ms)
{
    int running;
    curl_multi_perform(smtp->multi, &running);
    struct smtp_delivery *done = take_done(smtp);
    if (done)
        return done;
    struct curl_waitfd wake = {.fd = wake_fd, .events = CURL_WAIT_POLLIN};
    curl_multi_poll(smtp->multi, &wake, 1, timeout_ms, NULL);
    curl_multi_perform(smtp->multi, &running);
    return take_done(smtp);
}

int mail_probe(const struct mailer_config *config, struct err *err)
{
    char problem[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : new_handle(config);
    if (!curl)
        return err_internal(err, "libcurl cannot be used");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "NOOP");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, CONNECT_TIMEOUT_S);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return code == CURLE_OK
               ? 0
               : err_set(err, ERR_UNAVAILABLE, "%s", *problem ? problem : curl_easy_strerror(code));
}
