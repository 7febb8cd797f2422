// SPDX-License-Identifier: AGPL-3.0-or-later
#include <gmime/gmime.h>
#include <pthread.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/mail_html.h"
#include "svc/mail_internal.h"

static void prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, g_mime_init);
}

static void unref(void *object)
{
    if (*(GObject **)object)
        g_object_unref(*(GObject **)object);
}
#define auto_object CLEANUP(unref)

// ---- Writing ----

// Quoted-printable where most of it can be read as it stands.
static GMimeContentEncoding encoding_of(const struct buf *text)
{
    size_t others = 0;
    for (size_t i = 0; i < text->size; i++)
        others += (unsigned char)text->data[i] >= 0x80;
    return others > text->size / 4 ? GMIME_CONTENT_ENCODING_BASE64
                                   : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
}

static void add_part(GMimeMultipart *whole, const char *subtype, const struct buf *text)
{
    auto_object GMimePart *part = g_mime_part_new_with_type("text", subtype);
    auto_object GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text->data, text->size);
    auto_object GMimeDataWrapper *content =
        g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
    g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", "utf-8");
    g_mime_part_set_content(part, content);
    g_mime_part_set_content_encoding(part, encoding_of(text));
    g_mime_multipart_add(whole, GMIME_OBJECT(part));
}

static void add_mailbox(GMimeMessage *message, GMimeAddressType type, const char *name,
                        const char *address)
{
    InternetAddressList *list = g_mime_message_get_addresses(message, type);
    auto_object InternetAddress *mailbox =
        internet_address_mailbox_new(name && *name ? name : NULL, address);
    internet_address_set_charset(mailbox, "utf-8");
    internet_address_list_add(list, mailbox);
}

static void add_headers(GMimeMessage *message, const struct svc *svc, const struct mail *mail,
                        const struct uuid *id)
{
    const char *from = mail->from ? mail->from : svc->site.mail_from, *at = strrchr(from, '@');
    auto_free char *message_id = mem_printf("%s@%s", id->text, at ? at + 1 : "localhost");
    GDateTime *now = g_date_time_new_now_utc();
    g_mime_message_set_date(message, now);
    g_date_time_unref(now);
    add_mailbox(message, GMIME_ADDRESS_TYPE_FROM,
                mail->from_name ? mail->from_name : svc->site.name, from);
    if (mail->reply_to)
        add_mailbox(message, GMIME_ADDRESS_TYPE_REPLY_TO, mail->reply_to_name, mail->reply_to);
    add_mailbox(message, GMIME_ADDRESS_TYPE_TO, NULL, mail->to);
    g_mime_message_set_subject(message, mail->subject, "utf-8");
    g_mime_message_set_message_id(message, message_id);
    g_mime_object_set_header(GMIME_OBJECT(message), "Auto-Submitted", "auto-generated", NULL);
    g_mime_object_set_header(GMIME_OBJECT(message), "X-Mail-Category", mail->category, NULL);
}

// Who sends it and whom to ask.
static void add_footer(const struct site *site, struct buf *html)
{
    auto_free char *mailto = mem_printf("mailto:%s", site->help_email);
    buf_append_str(html, "<hr>\n<p>");
    text_append_html(html, site->name);
    if (*site->organization) {
        buf_append_str(html, ", ");
        text_append_html(html, site->organization);
    }
    buf_append_str(html, "<br>\n");
    mail_html_link(html, site->url, site->url);
    buf_append_str(html, "<br>\nHelp: ");
    mail_html_link(html, mailto, site->help_email);
    buf_append_str(html, "</p>\n");
}

static void write_out(GMimeMessage *message, struct buf *out)
{
    auto_object GMimeStream *stream = g_mime_stream_mem_new();
    GMimeFormatOptions *format = g_mime_format_options_new();
    g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_UNIX);
    g_mime_object_write_to_stream(GMIME_OBJECT(message), format, stream);
    g_mime_format_options_free(format);
    const GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    buf_append(out, bytes->data, bytes->len);
}

int mail_message_write(const struct svc *svc, const struct mail *mail, const struct uuid *id,
                       struct buf *out, struct err *err)
{
    auto_buf struct buf html = {0}, text = {0};
    buf_append_str(&html, mail->html);
    buf_append_char(&html, '\n');
    add_footer(&svc->site, &html);
    int rc = mail_html_to_text(buf_cstr(&html), &text, err);
    if (rc)
        return rc;
    prepare();
    auto_object GMimeMessage *message = g_mime_message_new(TRUE);
    auto_object GMimeMultipart *parts = g_mime_multipart_new_with_subtype("alternative");
    add_headers(message, svc, mail, id);
    add_part(parts, "plain", &text);
    add_part(parts, "html", &html);
    g_mime_message_set_mime_part(message, GMIME_OBJECT(parts));
    write_out(message, out);
    return 0;
}

// ---- Reading ----

static GMimeMessage *parse(const char *text, size_t size)
{
    prepare();
    auto_object GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text, size);
    auto_object GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    return g_mime_parser_construct_message(parser, NULL);
}

static void member(struct buf *out, const char *name, const char *text)
{
    json_member_str(out, name, text ? text : "");
}

static void write_brief(GMimeMessage *message, struct buf *out)
{
    InternetAddressList *to = g_mime_message_get_addresses(message, GMIME_ADDRESS_TYPE_TO);
    InternetAddress *first =
        internet_address_list_length(to) ? internet_address_list_get_address(to, 0) : NULL;
    bool is_mailbox = first && INTERNET_ADDRESS_IS_MAILBOX(first);
    member(out, "to",
           is_mailbox ? internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(first)) : "");
    member(out, "subject", g_mime_message_get_subject(message));
}

void mail_message_brief(const char *message, size_t size, struct buf *out)
{
    auto_object GMimeMessage *parsed = parse(message, size);
    if (parsed)
        write_brief(parsed, out);
}

static void write_headers(GMimeMessage *message, struct buf *out)
{
    GMimeHeaderList *headers = g_mime_object_get_header_list(GMIME_OBJECT(message));
    json_key(out, "headers");
    json_begin_object(out);
    for (int i = 0; i < g_mime_header_list_get_count(headers); i++) {
        GMimeHeader *header = g_mime_header_list_get_header_at(headers, i);
        const char *name = g_mime_header_get_name(header);
        if (g_mime_header_list_get_header(headers, name) == header) // the first of its name
            member(out, name, g_mime_header_get_value(header));
    }
    json_end_object(out);
}

static void write_parts(GMimeMessage *message, struct buf *out)
{
    GMimeObject *whole = g_mime_message_get_mime_part(message);
    if (!GMIME_IS_MULTIPART(whole))
        return;
    for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(whole)); i++) {
        GMimeObject *part = g_mime_multipart_get_part(GMIME_MULTIPART(whole), i);
        if (!GMIME_IS_TEXT_PART(part))
            continue;
        char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(part));
        bool plain =
            g_mime_content_type_is_type(g_mime_object_get_content_type(part), "text", "plain");
        member(out, plain ? "text" : "html", text);
        g_free(text);
    }
}

void mail_message_whole(const char *message, size_t size, struct buf *out)
{
    auto_object GMimeMessage *parsed = parse(message, size);
    if (parsed) {
        write_brief(parsed, out);
        write_headers(parsed, out);
        write_parts(parsed, out);
    }
    json_key(out, "raw");
    json_strn(out, message, size);
}
