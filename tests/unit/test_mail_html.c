// SPDX-License-Identifier: AGPL-3.0-or-later
// What of users' texts gets into mail, what counts as a link, and HTML as plain text.
#include "unit.h"

#include <string.h>

#include "base/limits.h"
#include "base/macros.h"
#include "svc/mail_html.h"

static void assert_clean(const char *text, bool links, const char *expected)
{
    auto_buf struct buf out = {0};
    struct err err;
    assert_int_equal(mail_html_clean(text, links, &out, &err), 0);
    assert_string_equal(buf_cstr(&out), expected);
}

static void test_plain_text_is_escaped_and_keeps_its_lines(void **state UNUSED)
{
    assert_clean("", true, "");
    assert_clean("a < b & c\r\n\nI <3 \"you\"", true,
                 "a &lt; b &amp; c<br>\n<br>\nI &lt;3 &quot;you&quot;");
    assert_clean("to <john@example.com>", true, "to &lt;john@example.com&gt;");
}

static void test_listed_tags_stay(void **state UNUSED)
{
    assert_clean("<h1>A</h1><p>b<br>c</p><ul><li><b>d</b></li></ul>", false,
                 "<h1>A</h1><p>b<br>c</p><ul><li><b>d</b></li></ul>");
    assert_clean("<table><thead><tr><th>x</th></tr></thead></table><pre>a\n b</pre>", false,
                 "<table><thead><tr><th>x</th></tr></thead></table><pre>a\n b</pre>");
    assert_clean("<div><nl><em>x</em></nl><hr></div>", false, "<div><nl><em>x</em></nl><hr></div>");
}

static void test_the_rest_goes(void **state UNUSED)
{
    assert_clean("<p onclick=\"x()\" style='y'>a</p>", true, "<p>a</p>");
    assert_clean("<p><img src=x onerror=y>a<span>b</span><font size=7>c</font></p>", true,
                 "<p>abc</p>");
    assert_clean("<div>a<script>alert('<b>')</script>b<style>p{}</style>c</div>", true,
                 "<div>abc</div>");
    assert_clean("<div>a<iframe><p>x</p></iframe>b<textarea><b>y</b></textarea>c</div>", true,
                 "<div>abc</div>");
    assert_clean("<div>a<!-- <b>x</b> -->b</div>", true, "<div>ab</div>");
    assert_clean("<div><blink>a</blink><x-y>b</x-y></div>", true, "<div>ab</div>");
}

static void test_what_is_open_is_closed(void **state UNUSED)
{
    assert_clean("<div><b>a<i>b", true, "<div><b>a<i>b</i></b></div>");
    assert_clean("<div>a</b></i></div></div>", true, "<div>a</div>");
    assert_clean("<div><b>a</div>b</b>", true, "<div><b>a</b></div><p>b</p>");
}

static void test_links(void **state UNUSED)
{
    static const char *const bad[] = {
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "//example.com",
        "x",
        "",
        "https://a\tb",
        "https://a b",
        "https://a\nb:",
        "vbscript:x",
        " https://a",
        "java&#9;script:x",
        "&#1;javascript:x",
        "file:///etc/passwd",
    };
    assert_clean("<p><a href=\"https://example.com/?a=1&amp;b='&quot;\" target=x>a</a></p>", true,
                 "<p><a href=\"https://example.com/?a=1&amp;b=&#39;&quot;\">a</a></p>");
    assert_clean("<p><a href=mailto:a@example.com>a</a></p>", true,
                 "<p><a href=\"mailto:a@example.com\">a</a></p>");
    assert_clean("<p><a name=x>a</a></p>", false, "<p>a</p>");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_buf struct buf html = {0};
        buf_printf(&html, "<p><a href=\"%s\">a</a></p>", bad[i]);
        assert_clean(buf_cstr(&html), true, "<p>a</p>");
    }
}

static void test_limits(void **state UNUSED)
{
    auto_buf struct buf html = {0}, out = {0};
    struct err err;
    for (int i = 0; i < LIMIT_HTML_DEPTH; i++)
        buf_append_str(&html, "<div>");
    assert_int_equal(mail_html_clean(buf_cstr(&html), true, &out, &err), 0);
    buf_append_str(&html, "<div>");
    assert_int_equal(mail_html_clean(buf_cstr(&html), true, &out, &err), -ERR_INVALID);
    assert_string_equal(err.message, "the text must have at most 100 levels of HTML elements");
    buf_dispose(&html);
    while (html.size < LIMIT_HTML_SIZE)
        buf_append_char(&html, 'a');
    assert_int_equal(mail_html_clean(buf_cstr(&html), true, &out, &err), 0);
    buf_append_char(&html, 'a');
    assert_int_equal(mail_html_clean(buf_cstr(&html), true, &out, &err), -ERR_TOO_LARGE);
    assert_string_equal(err.message, "the text must have at most 524288 bytes");
}

static void test_links_in_plain_text(void **state UNUSED)
{
    static const char *const links[] = {
        "see http://x",
        "example.com",
        "EXAMPLE.ONLINE/x",
        "write to MAILTO:a",
        "a.b.co",
        "example\u3002com",
        "example\uff0ecom",
        "example\uff61com",
        "example\u2024com",
        "example\ufe52com",
        "\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff43\uff4f\uff4d",
        "example.\u200bcom",
        "example\u00ad.com",
        "example.c\u034fom",
        "example.\U000e0061com",
        "example.c\u202eom",
        "https:\u2060//10.1.2.3/",
        "https:/\u0336/10.1.2.3/",
        "example\u0344\u0316\u0344\u0316.com",
        "example\uff9e.com",
        "https\uff1a\uff0f\uff0f10.1.2.3",
        "https:/\x01/10.1.2.3",
        "b\u00fccher.de",
        "\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
        "xn--e1afmkfd.xn--p1ai",
        "\U0001f4a9.la",
        "<script>example.com</script>",
        "broken \xc3(",
    };
    static const char *const none[] = {
        "",
        "Hello. We meet at 3.30, e.g. there.",
        "3.14 a.b",
        "...and so on",
        "v1.2.3",
        "a@b",
        "https:<sub></sub>//",
        "Wait\u2026 what",
        "done.\U0001f389\U0001f389",
        "She said \u201cyes.\u201d\u2014Then",
        "\u4f60\u597d\u3002\u8bf7\u52a0\u5165",
    };
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        if (!mail_text_has_link(links[i]))
            fail_msg("no link in %s", links[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        if (mail_text_has_link(none[i]))
            fail_msg("a link in %s", none[i]);
    }
}

static void test_links_that_are_not_allowed(void **state UNUSED)
{
    static const char *const links[] = {
        "see example.com",
        "see\nhttps://10.1.2.3",
        "<p>exam<b>ple</b>.com</p>",
        "<p>example&#46;com</p>",
        "<p>example&shy;.com &zwnj;</p>",
        "<p>example.&#8203;com</p>",
        "<p>exam<!-- x -->ple.<!-- y -->com</p>",
        "<p><a href=/x>y</a></p>",
        "<p>https:<sub></sub>//10.1.2.3/login</p>",
        "https:<img src=x>//evil<sup></sup>.com",
        "evil<q>.com</q>",
        "evil<abbr>.com</abbr>",
        "evil<label></label>.com",
        "evil<ins>.</ins>com",
        "evil<nl></nl>.com",
        "evil<script>x</script>.com<b></b>",
        "evil<unknown></unknown>.com<b></b>",
        "evil<tr></tr>.com",
        "evil<td></td>.com",
        "evil<caption></caption>.com",
        "evil<table>.com<tr><td>x</td></tr></table>",
        "<table>evil<tr><td>x</td></tr>.com</table>",
        "<table><tr><td><div>evil<tr></tr>.com</div></td></tr></table>",
        "<table><tr><td><tr></tr>.com</td></tr></table>",
        "<pre>evil<br>evil.com</pre>",
    };
    static const char *const none[] = {
        "Hello\n1.\nhere.",
        "<p>one.</p><p>two</p>",
        "one.<br>Two.<hr>Three",
        "<ul><li>one.</li><li>Two</li></ul>",
        "<ol><li>one.</li><li>Two</li></ol>",
        ("<table>\n<caption>All.</caption><thead><tr><th>Day</th><th>Room</th></tr></thead><tbody>"
         "<tr><td>Mon.</td><td>Hall<br>A</td></tr></tbody></table>After"),
        "a &lt; b",
        "<b>example&period;com</b>", // which the reader of HTML does not know: it is shown as it
                                     // stands
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        auto_buf struct buf out = {0};
        if (mail_html_clean(links[i], false, &out, &err) != -ERR_FORBIDDEN)
            fail_msg("no link in %s", links[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        auto_buf struct buf out = {0};
        if (mail_html_clean(none[i], false, &out, &err))
            fail_msg("%s: %s", err.message, none[i]);
    }
}

static void assert_text(const char *html, const char *expected)
{
    auto_buf struct buf out = {0};
    struct err err;
    assert_int_equal(mail_html_to_text(html, &out, &err), 0);
    assert_string_equal(buf_cstr(&out), expected);
}

static void test_plain_text_of_html(void **state UNUSED)
{
    assert_text("", "\n");
    assert_text("<p>One  two\n three</p>\n<p>four<br>five</p>", "One two three\n\nfour\nfive\n");
    assert_text("<h1>A</h1>b<hr>c", "A\n\nb\n\n----\n\nc\n");
    assert_text("<p>Go <b>to</b> <a href=\"https://x/y?a=1&amp;b\">the page</a>, now.</p>",
                "Go to the page <https://x/y?a=1&b>, now.\n");
    assert_text("<p><a href=\"https://x\">https://x</a> <a href=mailto:a@b>a@b</a></p>",
                "https://x a@b\n");
    assert_text("<p>x</p><ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li></ul><p>y</p>",
                "x\n\n- a\n- b\n  1. c\n  2. d\n\ny\n");
    assert_text("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a | b\nc\n");
    assert_text("<pre>a\n  b</pre><p>&lt;c&gt; &eacute;</p>", "a\n  b\n\n<c> \xc3\xa9\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_is_escaped_and_keeps_its_lines),
        cmocka_unit_test(test_listed_tags_stay),
        cmocka_unit_test(test_the_rest_goes),
        cmocka_unit_test(test_what_is_open_is_closed),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_links_in_plain_text),
        cmocka_unit_test(test_links_that_are_not_allowed),
        cmocka_unit_test(test_plain_text_of_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
