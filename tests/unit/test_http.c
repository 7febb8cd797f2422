// SPDX-License-Identifier: AGPL-3.0-or-later
// Addresses, networks and content codings.
#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "http/coding.h"
#include "http/listen.h"

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&s;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&s;
    s.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(
        inet_pton(s.ss_family, text,
                  s.ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr),
        1);
    return s;
}

static void test_networks(void **state UNUSED)
{
    static const struct {
        const char *list, *address;
        bool contained;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"10.0.0.0/8", "10.200.3.4", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"1.2.3.4, ::1", "::1", true},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"", "127.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_list list;
        struct err err;
        struct sockaddr_storage s = address(cases[i].address);
        assert_int_equal(net_list_parse(cases[i].list, &list, &err), 0);
        assert_int_equal(net_list_contains(&list, (struct sockaddr *)&s), cases[i].contained);
        net_list_dispose(&list);
    }
}

static void test_no_networks(void **state UNUSED)
{
    static const char *const wrong[] = {"x",        "1.2.3",      "1.2.3.4/33", "::1/129",
                                        "1.2.3.4/", "1.2.3.4/-1", "localhost"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct net_list list;
        struct err err;
        assert_int_equal(net_list_parse(wrong[i], &list, &err), -ERR_INVALID);
    }
}

static void test_client_behind_proxies(void **state UNUSED)
{
    static const struct {
        const char *peer, *forwarded, *client;
    } cases[] = {
        {"127.0.0.1", NULL, "127.0.0.1"},
        {"127.0.0.1", "9.9.9.9", "9.9.9.9"},
        {"127.0.0.1", "6.6.6.6, 9.9.9.9", "9.9.9.9"},           // the first is the client's claim
        {"127.0.0.1", "6.6.6.6, 9.9.9.9, 10.1.2.3", "9.9.9.9"}, // 10.1.2.3 is a proxy of ours
        {"8.8.8.8", "9.9.9.9", "8.8.8.8"},                      // no proxy of ours
        {"127.0.0.1", "nonsense", "127.0.0.1"},
        {"127.0.0.1", "9.9.9.9, nonsense", "127.0.0.1"},
        {"127.0.0.1", "2001:db8::1", "2001:db8::1"},
        {"127.0.0.1", ", ,", "127.0.0.1"},
    };
    struct net_list trusted;
    struct err err;
    assert_int_equal(net_list_parse("127.0.0.1 10.0.0.0/8", &trusted, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char client[ADDRESS_TEXT_SIZE];
        struct sockaddr_storage peer = address(cases[i].peer);
        address_client(&trusted, (struct sockaddr *)&peer, cases[i].forwarded, client);
        assert_string_equal(client, cases[i].client);
    }
    net_list_dispose(&trusted);
}

static void test_listening(void **state UNUSED)
{
    struct listener first, second;
    struct err err;
    char same[64];
    assert_int_equal(listener_open("127.0.0.1:0", 2, &first, &err), 0);
    assert_int_not_equal(first.port, 0);
    snprintf(same, sizeof same, "127.0.0.1:%u", first.port);
    assert_int_equal(listener_open(same, 2, &second, &err), -ERR_CONFLICT);
    listener_close(&first);
    static const char *const wrong[] = {"", "127.0.0.1", ":80", "127.0.0.1:99999", "127.0.0.1:x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(listener_open(wrong[i], 1, &second, &err), -ERR_INVALID);
}

// ---- Codings ----

static void test_gzip_there_and_back(void **state UNUSED)
{
    auto_buf struct buf body = {0};
    struct err err;
    for (int i = 0; i < 1000; i++)
        buf_printf(&body, "line %d\n", i);
    size_t size = body.size;
    assert_true(coding_gzip(&body));
    assert_true(body.size < size);
    assert_int_equal(coding_inflate("gzip", &body, size, &err), 0);
    assert_int_equal(body.size, size);
    assert_memory_equal(body.data, "line 0\nline 1\n", 14);
}

static void test_bomb_is_refused(void **state UNUSED)
{
    auto_buf struct buf body = {0};
    struct err err;
    memset(buf_reserve(&body, 1 << 20), 'x', 1 << 20);
    body.size = 1 << 20;
    assert_true(coding_gzip(&body));
    assert_int_equal(coding_inflate("gzip", &body, (1 << 20) - 1, &err), -ERR_TOO_LARGE);
}

static void test_broken_and_unknown(void **state UNUSED)
{
    auto_buf struct buf body = {0};
    struct err err;
    buf_append_str(&body, "not compressed at all");
    assert_int_equal(coding_inflate("gzip", &body, 1000, &err), -ERR_INVALID);
    assert_int_equal(coding_inflate("br", &body, 1000, &err) < 0, 1);
    assert_int_equal(coding_inflate("identity", &body, 1000, &err), 0);
    assert_false(coding_gzip(&body)); // too small to be worth it
}

static void test_accept_encoding(void **state UNUSED)
{
    assert_true(coding_accepts_gzip("gzip"));
    assert_true(coding_accepts_gzip("deflate, gzip;q=0.5, br"));
    assert_false(coding_accepts_gzip(NULL));
    assert_false(coding_accepts_gzip("br"));
    assert_false(coding_accepts_gzip("gzip;q=0"));
    assert_false(coding_accepts_gzip("gzip; q=0.0, br"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_no_networks),
        cmocka_unit_test(test_client_behind_proxies),
        cmocka_unit_test(test_listening),
        cmocka_unit_test(test_gzip_there_and_back),
        cmocka_unit_test(test_bomb_is_refused),
        cmocka_unit_test(test_broken_and_unknown),
        cmocka_unit_test(test_accept_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
