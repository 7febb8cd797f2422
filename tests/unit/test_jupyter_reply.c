// SPDX-License-Identifier: AGPL-3.0-or-later
// What a project's kernel bridge answers is taken for what a stranger says.
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "svc/jupyter.h"

static int read_reply(enum jupyter_op op, const char *text, struct jupyter_reply *ret_reply)
{
    auto_buf struct buf buf = {0};
    struct err err = {0};
    buf_append_str(&buf, text);
    *ret_reply = (struct jupyter_reply){0};
    const int rc = jupyter_reply_read(op, &buf, ret_reply, &err);
    if (ret_reply->result) // it is in the text that is about to go
        ret_reply->result = text + (ret_reply->result - buf.data);
    return rc;
}

static void assert_result(enum jupyter_op op, const char *value)
{
    auto_buf struct buf text = {0};
    struct jupyter_reply reply;
    buf_printf(&text, "{\"result\":%s}", value);
    if (read_reply(op, buf_cstr(&text), &reply))
        fail_msg("refused: %s", value);
    assert_false(reply.failed);
    assert_int_equal(reply.result_size, strlen(value));
    assert_memory_equal(reply.result, value, strlen(value));
}

static void assert_malformed(enum jupyter_op op, const char *text)
{
    struct jupyter_reply reply;
    if (read_reply(op, text, &reply) != -ERR_INTERNAL)
        fail_msg("taken: %s", text);
}

static void assert_malformed_result(enum jupyter_op op, const char *value)
{
    auto_buf struct buf text = {0};
    buf_printf(&text, "{\"result\":%s}", value);
    assert_malformed(op, buf_cstr(&text));
}

static void test_results_are_handed_on_as_they_came(void **state)
{
    (void)state;
    assert_result(JUPYTER_EXECUTE, "[]");
    assert_result(JUPYTER_EXECUTE, " [ {\"name\" : \"stdout\",\"text\":\"a\\u00e9\"} , {} ] ");
    assert_result(JUPYTER_EXECUTE, "[{\"data\":{\"x\":[1,[2,3],null,true]}}]");
    assert_result(JUPYTER_KERNELS,
                  "[{\"name\":\"a\",\"display_name\":\"A\",\"language\":\"l\",\"env\":{},"
                  "\"resource_dir\":\"/a\",\"argv\":[\"a\"]}]");
    assert_result(JUPYTER_LIST, "[{\"pid\":7,\"connectionFile\":\"/a\",\"kernel_name\":\"b\"}]");
    assert_result(JUPYTER_STOP, "{\"success\":true}");
    assert_result(JUPYTER_LOGO, "null");
    assert_result(JUPYTER_LOGO, "{\"filename\":\"a.png\",\"base64\":\"AA==\"}");
}

static void test_results_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const items[] = {"",
                                        "null",
                                        "{}",
                                        "[1]",
                                        "[{},]",
                                        "[[{}]]",
                                        "[{}][{}]",
                                        "[{\"a\":01}]",
                                        "[{}",
                                        "[{\"a\"}]",
                                        "[{\"a\":\"\xff\"}]",
                                        "[{}]}, {\"a\":[]"};
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        assert_malformed_result(JUPYTER_EXECUTE, items[i]);
    assert_malformed_result(JUPYTER_KERNELS, "[{\"name\":\"a\"}]");
    assert_malformed_result(JUPYTER_KERNELS,
                            "[{\"name\":\"a\",\"display_name\":\"A\",\"language\":\"l\",\"env\":{},"
                            "\"resource_dir\":\"/a\",\"argv\":[1]}]");
    assert_malformed_result(JUPYTER_LIST, "[{\"pid\":0,\"connectionFile\":\"/a\"}]");
    assert_malformed_result(JUPYTER_LIST, "[{\"pid\":1}]");
    assert_malformed_result(JUPYTER_LIST, "{\"pid\":1,\"connectionFile\":\"/a\"}");
    assert_malformed_result(JUPYTER_STOP, "{\"success\":1}");
    assert_malformed_result(JUPYTER_LOGO, "{\"filename\":\"a.png\"}");
}

static void test_errors(void **state)
{
    struct jupyter_reply reply;
    (void)state;
    assert_int_equal(read_reply(JUPYTER_EXECUTE, "{\"error\":\"so\",\"died\":true}", &reply), 0);
    assert_true(reply.failed && reply.died);
    assert_string_equal(buf_cstr(&reply.error), "so");
    buf_dispose(&reply.error);
    assert_int_equal(read_reply(JUPYTER_LIST, "{\"error\":\"so\"}", &reply), 0);
    assert_true(reply.failed && !reply.died);
    buf_dispose(&reply.error);
    assert_malformed(JUPYTER_LIST, "{\"error\":5}");
    assert_malformed(JUPYTER_LIST, "{}");
    assert_malformed(JUPYTER_LIST, "{\"eror\":\"so\"}");
    assert_malformed(JUPYTER_EXECUTE, "what is this}");
}

static void test_what_is_not_whole_means_that_the_bridge_has_ended(void **state)
{
    struct jupyter_reply reply;
    (void)state;
    static const char *const texts[] = {"", "{", "{\"result\":[{\"name\":\"stdo", "{\"result\":[]"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(read_reply(JUPYTER_EXECUTE, texts[i], &reply), -ERR_UNAVAILABLE);
}

static void test_deep_values_are_refused(void **state)
{
    auto_buf struct buf value = {0};
    (void)state;
    buf_append_str(&value, "[{\"a\":");
    for (int i = 0; i < 100000; i++)
        buf_append_char(&value, '[');
    for (int i = 0; i < 100000; i++)
        buf_append_char(&value, ']');
    buf_append_str(&value, "}]");
    assert_malformed_result(JUPYTER_EXECUTE, buf_cstr(&value));
}

static void test_many_values_are_taken(void **state)
{
    auto_buf struct buf value = {0};
    (void)state;
    buf_append_str(&value, "[{\"a\":[1");
    for (int i = 0; i < 1000000; i++)
        buf_append_str(&value, ",1");
    buf_append_str(&value, "]}]");
    assert_result(JUPYTER_EXECUTE, buf_cstr(&value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_handed_on_as_they_came),
        cmocka_unit_test(test_results_of_another_form_are_refused),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_what_is_not_whole_means_that_the_bridge_has_ended),
        cmocka_unit_test(test_deep_values_are_refused),
        cmocka_unit_test(test_many_values_are_taken),
    };
    return cmocka_run_group_tests_name("jupyter_reply", tests, NULL, NULL);
}
