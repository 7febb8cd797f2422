// SPDX-License-Identifier: AGPL-3.0-or-later
// Archives are read back by libarchive, and by Python, which shares no code with it.
#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "svc/zip.h"

static char root[64];

static void run(const char *command)
{
    assert_int_equal(system(command), 0);
}

static int setup(void **state UNUSED)
{
    snprintf(root, sizeof root, "/tmp/cohub-zip-XXXXXX");
    return mkdtemp(root) && !chdir(root) && !mkdir("in", 0700) ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
    run("rm -rf \"$PWD\"");
    return chdir("/");
}

static void append(void *ctx, const void *bytes, size_t size)
{
    buf_append(ctx, bytes, size);
}

static int make(struct zip *zip, struct buf *out, uint64_t *ret_size, struct err *err)
{
    auto_fd int folder = open("in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    zip->name = "base";
    zip->write = append;
    zip->ctx = out;
    return zip_folder(zip, folder, ret_size, err);
}

static void make_whole(struct buf *out)
{
    struct zip zip = {.size_max = 1 << 20, .count_max = 1000, .depth_max = 100};
    uint64_t size;
    struct err err;
    assert_int_equal(make(&zip, out, &size, &err), 0);
}

// "NAME=CONTENT|" of each member.
static void read_back(const struct buf *zip, struct buf *out)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
    assert_int_equal(archive_read_support_format_zip_seekable(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(a, zip->data, zip->size), ARCHIVE_OK);
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        char content[4096];
        la_ssize_t size = archive_read_data(a, content, sizeof content);
        assert_true(size >= 0);
        buf_printf(out, "%s=", archive_entry_pathname_utf8(entry));
        buf_append(out, content, (size_t)size);
        buf_append_char(out, '|');
    }
    buf_cstr(out);
    archive_read_free(a);
    uselocale(before);
    freelocale(utf8);
}

static void expect(const char *members)
{
    auto_buf struct buf zip = {0}, list = {0};
    make_whole(&zip);
    read_back(&zip, &list);
    assert_string_equal(list.data, members);
}

static void test_members(void **state UNUSED)
{
    run("mkdir -p in/b/empty in/a; echo one > in/a/1; echo two > in/b/2; : > in/.hidden");
    expect("base/.hidden=|base/a/1=one\n|base/b/2=two\n|base/b/empty/=|");
}

static void test_an_empty_folder(void **state UNUSED)
{
    expect("base/=|");
}

static void test_only_files_and_folders(void **state UNUSED)
{
    run("echo x > x; ln -s ../x in/link; ln -s /usr in/usr; mkfifo in/fifo; mkdir in/d; ln -s "
        "../../x in/d/l; echo y > in/y");
    expect("base/d/=|base/y=y\n|");
}

static void test_other_names(void **state UNUSED)
{
    run("echo 1 > 'in/ä ☃'; printf 2 > \"in/$(printf 'x\\377')\"");
    expect("base/x\xef\xbf\xbd=2|base/ä ☃=1\n|");
}

static void test_python_reads_it(void **state UNUSED)
{
    auto_buf struct buf zip = {0};
    run("mkdir -p in/empty in/ü; seq 100000 > in/ü/numbers; : > in/nothing");
    make_whole(&zip);
    auto_fd int fd = open("out.zip", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, zip.data, zip.size), 0);
    run("/usr/bin/python3 -c \"\n"
        "import zipfile\n"
        "z = zipfile.ZipFile('out.zip')\n"
        "assert z.testzip() is None\n"
        "assert z.namelist() == ['base/empty/', 'base/nothing', 'base/ü/numbers'], z.namelist()\n"
        "assert z.read('base/ü/numbers') == open('in/ü/numbers', 'rb').read()\n"
        "info = z.getinfo('base/ü/numbers')\n"
        "assert info.compress_type == zipfile.ZIP_DEFLATED and info.compress_size < "
        "info.file_size\n"
        "\"");
}

static void test_too_large(void **state UNUSED)
{
    struct zip zip = {.size_max = 1000, .count_max = 1000, .depth_max = 100};
    auto_buf struct buf out = {0};
    uint64_t size;
    struct err err;
    run("head -c 600 /dev/zero > in/a; head -c 400 /dev/zero > in/b");
    assert_int_equal(make(&zip, &out, &size, &err), 0);
    run("printf x > in/c");
    assert_int_equal(make(&zip, &out, &size, &err), -ERR_TOO_LARGE);
    assert_int_equal(size, 1001);
}

static void test_too_many(void **state UNUSED)
{
    struct zip zip = {.size_max = 1000, .count_max = 3, .depth_max = 100};
    auto_buf struct buf out = {0};
    uint64_t size;
    struct err err;
    run("mkdir in/d in/e; : > in/d/a; : > in/f");
    assert_int_equal(make(&zip, &out, &size, &err), 0);
    run("mkdir in/g");
    assert_int_equal(make(&zip, &out, &size, &err), -ERR_TOO_LARGE);
    assert_int_equal(size, 0);
}

static void test_too_deep(void **state UNUSED)
{
    struct zip zip = {.size_max = 1000, .count_max = 3, .depth_max = 3};
    auto_buf struct buf out = {0};
    uint64_t size;
    struct err err;
    run("mkdir -p in/1/2");
    assert_int_equal(make(&zip, &out, &size, &err), 0);
    run("mkdir in/1/2/3");
    assert_int_equal(make(&zip, &out, &size, &err), -ERR_TOO_LARGE);
}

static void test_what_cannot_be_read(void **state UNUSED)
{
    run("mkdir -p in/d in/closed; echo secret > in/d/file; echo 1 > in/d/open; echo 2 > "
        "in/closed/1; "
        "chmod 0 in/d/file in/closed");
    expect("base/d/open=1\n|");
    run("chmod 700 in/closed");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    // Root may read everything.
    if (!geteuid() && (setgid(65534) || setuid(65534)))
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(test_members),     TEST(test_an_empty_folder), TEST(test_only_files_and_folders),
        TEST(test_other_names), TEST(test_python_reads_it), TEST(test_too_large),
        TEST(test_too_many),    TEST(test_too_deep),        TEST(test_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
