// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub ticket …
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/cli.h"
#include "svc/mail.h"
#include "svc/support.h"

static int write_list(struct cli *cli UNUSED, struct cli_store *store, struct buf *out,
                      struct err *err)
{
    return ticket_list(store->session, &store->svc.site, out, err);
}

int cli_ticket_list(struct cli *cli)
{
    return cli_show(cli, write_list);
}

// Does something to one ticket, then shows it.
static int change_and_show(struct cli *cli, db_txn_fn *fn, struct ticket_answer *answer)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (!text_parse_int64(cli->words[0], 1, INT64_MAX, &answer->id)) {
        err_set(&err, ERR_INVALID, "%.100s is not the number of a support ticket", cli->words[0]);
        return cli_fail(&err);
    }
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    answer->svc = &store.svc;
    int rc = db_write(store.db, fn, answer, &err);
    // Where an SMTP server is set, the hub sends it.
    if (!rc && !*config_text(&cli->config, CONFIG_MAIL_URL))
        rc = mail_deliver_due(&store.svc, store.session, &err);
    if (!rc)
        rc = ticket_show(store.session, &store.svc.site, answer->id, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

// The answer, from the file that an option names or from standard input. Before the working
// directory changes.
static int read_text(const struct cli *cli, struct buf *out, struct err *err)
{
    const char *path = cli_get(cli, "text-file");
    bool input = !path || !strcmp(path, "-");
    auto_fd int fd = input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd_read_all(fd, LIMIT_TICKET_TEXT, out);
    if (rc)
        return err_set_errno(err, ERR_INVALID, -rc, "%s cannot be read: %s",
                             input ? "standard input" : path, strerror(-rc));
    if (!utf8_valid(out->data, out->size) || memchr(buf_cstr(out), '\0', out->size))
        return err_set(err, ERR_INVALID, "the answer is not UTF-8 text");
    return 0;
}

int cli_ticket_reply(struct cli *cli)
{
    auto_buf struct buf text = {0};
    struct err err;
    if (read_text(cli, &text, &err))
        return cli_fail(&err);
    struct ticket_answer answer = {.staff = true, .body = buf_cstr(&text)};
    return change_and_show(cli, ticket_answer, &answer);
}

static int close_ticket(struct db_session *txn, void *arg, struct err *err)
{
    return ticket_close(txn, ((struct ticket_answer *)arg)->id, err);
}

int cli_ticket_close(struct cli *cli)
{
    return change_and_show(cli, close_ticket, &(struct ticket_answer){0});
}
