// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include <sodium.h>
#include <string.h>

#include "jupyter/items.h"
#include "jupyter/language.h"
#include "jupyter/message.h"

#define FRAME(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

static struct message_key_text key_of(char c)
{
    struct message_key_text key = {{0}};
    memset(key.text, c, sizeof key.text - 1);
    return key;
}

// ---- Wire ----

static void signature_is_hmac_sha256(void **state)
{
    (void)state;
    const struct frame parts[] = {FRAME("{\"a\":1}"), FRAME("{}"), FRAME("{}"), FRAME("{\"b\":2}")};
    const struct message_key_text key = key_of('k');
    char hex[65];
    message_sign(parts, &key, hex);
    assert_string_equal(hex, "3d751ea56b420899fcb0a632e99054598609360d3a9c3f059af253fa3882b301");
}

static void keys_differ(void **state)
{
    (void)state;
    const struct message_key_text a = message_key_new(), b = message_key_new();
    assert_int_equal(strlen(a.text), 64);
    assert_string_not_equal(a.text, b.text);
}

static void message_is_read_and_verified(void **state)
{
    (void)state;
    const struct message_key_text key = key_of('k'), other = key_of('o');
    char hex[65];
    struct frame frames[] = {FRAME("id"),
                             FRAME("<IDS|MSG>"),
                             {hex, 64},
                             FRAME("{\"msg_type\":\"stream\",\"msg_id\":\"m\"}"),
                             FRAME("{\"msg_id\":\"p\"}"),
                             FRAME("{}"),
                             FRAME("{\"name\":\"stdout\"}"),
                             FRAME("buffer")};
    message_sign(frames + 3, &key, hex);
    struct message message;
    assert_true(message_read(frames, 8, &message));
    assert_string_equal(message.type, "stream");
    assert_string_equal(message.parent_id, "p");
    assert_ptr_equal(message.content, &frames[6]);
    assert_true(message_verify(&message, &key));
    assert_false(message_verify(&message, &other));
    for (size_t i = 3; i < 7; i++) { // every part is signed
        const struct frame before = frames[i];
        frames[i] = (struct frame)FRAME("{ }");
        assert_false(message_verify(&message, &key));
        frames[i] = before;
    }
    frames[2].size = 63;
    assert_false(message_verify(&message, &key));
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    const struct frame frames[] = {
        FRAME("<IDS|MSG>"), FRAME(""),   FRAME("{\"msg_type\":\"stream\"}"),
        FRAME("{}"),        FRAME("{}"), FRAME("{}")};
    struct message message;
    assert_true(message_read(frames, 6, &message));
    assert_string_equal(message.parent_id, "");
    for (size_t count = 0; count < 6; count++)
        assert_false(message_read(frames, count, &message));
    assert_false(message_read(frames + 1, 5, &message));
    static const struct frame headers[] = {
        FRAME(""),
        FRAME("[]"),
        FRAME("{}"),
        FRAME("{\"msg_type\":1}"),
        FRAME("{\"msg_type\":\"\"}"),
        FRAME("{\"msg_type\":\"0123456789012345678901234567890123456789012345678\"}"),
        FRAME("{\"msg_type\":\"x\"} ."),
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct frame copy[ARRAY_LEN(frames)];
        memcpy(copy, frames, sizeof copy);
        copy[2] = headers[i];
        assert_false(message_read(copy, 6, &message));
    }
}

static void check_content(const char *text, size_t size, const char *expected)
{
    const struct frame frame = {text, size};
    const struct message message = {.content = &frame};
    auto_json cJSON *content = message_content(&message);
    if (expected)
        assert_string_equal(json_get_str(content, "t"), expected);
    else
        assert_null(content);
}

static void content_is_mended(void **state)
{
    (void)state;
    static const struct {
        struct frame text;
        const char *expected;
    } cases[] = {
        {FRAME("{\"t\":\"plain\"}"), "plain"},
        {FRAME("{\"t\":\"a\\u0000b\"}"), "a\xef\xbf\xbd"
                                         "b"},
        {FRAME("{\"t\":\"\\\\u0000\\u0000\"}"), "\\u0000\xef\xbf\xbd"},
        {FRAME("{\"t\":\"a\xff\"}"), "a\xef\xbf\xbd"},
        {FRAME("{\"t\":\"\\ud83d\\ude00\"}"), "\xf0\x9f\x98\x80"},
        {FRAME("{\"t\":\"\\ud83d\\ude00\\ud83d\"}"), "\xf0\x9f\x98\x80\xef\xbf\xbd"},
        {FRAME("{\"t\":\"\\ude00\\ud83d!\"}"), "\xef\xbf\xbd\xef\xbf\xbd!"},
        {FRAME("{\"t\":\"\\ud83d\\ud83d\\ude00\"}"), "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {FRAME("{\"t\":\"\\uZZZZ\"}"), NULL},
        {FRAME("{\"t\":\"\\u00"), NULL},
        {FRAME("{\"t\":\"\\"), NULL},
        {FRAME("[\"t\"]"), NULL},
        {FRAME(""), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_content(cases[i].text.data, cases[i].text.size, cases[i].expected);
}

// ---- Items ----

static void add(struct items *items, const char *type, const char *content)
{
    const struct frame frame = {content, strlen(content)};
    struct message message = {.content = &frame};
    assert_true(strlen(type) < sizeof message.type);
    memcpy(message.type, type, strlen(type) + 1);
    items_add(items, &message);
}

static void check_items(struct items *items, const char *expected)
{
    auto_buf struct buf out = {0};
    items_finish(items);
    items_write(items, &out);
    assert_string_equal(buf_cstr(&out), expected);
    items_dispose(items);
}

static void items_are_contents(void **state)
{
    (void)state;
    static const struct {
        const char *type, *content, *expected;
    } cases[] = {
        {"stream", "{\"name\":\"stdout\",\"text\":\"x\"}",
         "[{\"name\":\"stdout\",\"text\":\"x\"}]"},
        {"stream", "{\"name\":\"stdout\"}", "[]"},
        {"stream", "{\"name\":\"stdout\",\"text\":[\"x\"]}", "[]"},
        {"execute_result", "{\"data\":{\"a\":1},\"metadata\":{},\"execution_count\":3}",
         "[{\"data\":{\"a\":1}}]"},
        {"display_data",
         "{\"data\":{\"a\":1},\"metadata\":{\"m\":{}},\"transient\":{\"display_id\":\"d\"}}",
         "[{\"data\":{\"a\":1},\"metadata\":{\"m\":{}},\"transient\":{\"display_id\":\"d\"}}]"},
        {"update_display_data", "{\"data\":{\"a\":1}}", "[{\"data\":{\"a\":1}}]"},
        {"display_data", "{\"data\":{}}", "[]"},
        {"display_data", "{\"data\":[]}", "[]"},
        {"error", "{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[],\"execution_count\":1}",
         "[{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[]}]"},
        {"error", "{\"ename\":\"E\",\"evalue\":\"v\"}", "[]"},
        {"execute_reply", "{\"status\":\"ok\",\"payload\":[1],\"user_expressions\":{\"a\":1}}",
         "[]"},
        {"execute_reply",
         "{\"status\":\"error\",\"ename\":\"E\",\"evalue\":\"\",\"traceback\":[\"t\"],\"x\":1}",
         "[{\"ename\":\"E\",\"evalue\":\"\",\"traceback\":[\"t\"]}]"},
        {"status", "{\"execution_state\":\"busy\"}", "[]"},
        {"execute_input", "{\"code\":\"1\",\"execution_count\":1}", "[]"},
        {"comm_open", "{\"data\":{\"a\":1}}", "[]"},
        {"clear_output", "{\"wait\":true}", "[]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct items items;
        items_init(&items, 1000, 1000);
        add(&items, cases[i].type, cases[i].content);
        check_items(&items, cases[i].expected);
    }
}

static void limit_is_exact_and_told_once(void **state)
{
    (void)state;
    struct items items;
    static const char ten[] = "{\"data\":{\"a\":1}}"; // 16 characters
    static const char error[] = "{\"ename\":\"E\",\"evalue\":\"\",\"traceback\":[]}";
    items_init(&items, 32, 1000);
    for (int i = 0; i < 5; i++)
        add(&items, "display_data", ten);
    add(&items, "error", error);
    add(&items, "display_data", ten);
    check_items(
        &items,
        "[{\"data\":{\"a\":1}},{\"data\":{\"a\":1}},"
        "{\"name\":\"stdout\",\"output_type\":\"stream\",\"text\":\"Output truncated since it "
        "exceeded the cell output limit of 32 characters\"},"
        "{\"ename\":\"E\",\"evalue\":\"\",\"traceback\":[]}]");
    items_init(&items, 1000, 31);
    add(&items, "display_data", ten);
    add(&items, "display_data", ten);
    check_items(
        &items,
        "[{\"data\":{\"a\":1}},"
        "{\"name\":\"stdout\",\"output_type\":\"stream\",\"text\":\"Output truncated since it "
        "exceeded the global output limit of 31 characters\"}]");
}

static void clearing_drops_all(void **state)
{
    (void)state;
    struct items items;
    items_init(&items, 20, 1000);
    add(&items, "display_data", "{\"data\":{\"a\":1}}");
    add(&items, "display_data", "{\"data\":{\"a\":2}}");
    add(&items, "clear_output", "{}");
    add(&items, "display_data", "{\"data\":{\"a\":3}}");
    check_items(&items, "[{\"data\":{\"a\":3}}]");
}

static void full_items_want_errors_only(void **state)
{
    (void)state;
    struct items items;
    items_init(&items, 0, 0);
    assert_true(items_want(&items, "stream", 100));
    assert_false(items_want(&items, "status", 100));
    items_overflow(&items);
    items_overflow(&items);
    assert_false(items_want(&items, "stream", 100));
    assert_true(items_want(&items, "error", 100));
    assert_true(items_want(&items, "clear_output", 100));
    assert_false(items_want(&items, "error", SIZE_MAX));
    items_dispose(&items);
}

// ---- Languages ----

static void check_chdir(const char *language, const char *path, const char *expected)
{
    auto_buf struct buf code = {0};
    assert_int_equal(language_write_chdir(&code, language, path), expected != NULL);
    assert_string_equal(buf_cstr(&code), expected ? expected : "");
}

static void paths_are_quoted(void **state)
{
    (void)state;
    check_chdir("Python", "/a\"b\\c\nd", "__import__('os').chdir(\"/a\\\"b\\\\c\\012d\")");
    check_chdir("R", "/a'b", "setwd(\"/a'b\")");
    check_chdir("julia", "/$a", "cd(\"/\\$a\")");
    check_chdir("octave", "/it's", "cd('/it''s');");
    check_chdir("bash", "/it's $a", "cd -- '/it'\\''s $a'");
    check_chdir("C++17", "/a", "#include <unistd.h>\nchdir(\"/a\");");
    check_chdir("sparql", "/a", "");
    check_chdir("ruby", "/a", NULL);
    check_chdir("", "/a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature_is_hmac_sha256),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(message_is_read_and_verified),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(content_is_mended),
        cmocka_unit_test(items_are_contents),
        cmocka_unit_test(limit_is_exact_and_told_once),
        cmocka_unit_test(clearing_drops_all),
        cmocka_unit_test(full_items_want_errors_only),
        cmocka_unit_test(paths_are_quoted),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
