// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/specs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/text.h"

// Strangers write these files: what is larger than any real one is passed over.
#define SPEC_SIZE_MAX    ((size_t)64 * 1024)
#define SPECS_SIZE_MAX   ((size_t)2 * 1024 * 1024)
#define SPEC_DEPTH_MAX   20
#define SPECS_MAX        200
#define ENTRIES_MAX      2000
#define LOGO_SIZE_MAX    ((size_t)1024 * 1024)
#define SEARCH_PATHS_MAX 32

void spec_dispose(struct spec *spec)
{
    free(spec->name);
    free(spec->resource_dir);
    cJSON_Delete(spec->json);
    *spec = (struct spec){0};
}

void specs_dispose(struct specs *specs)
{
    for (size_t i = 0; i < specs->count; i++)
        spec_dispose(&specs->list[i]);
    free(specs->list);
    *specs = (struct specs){0};
}

// ---- One ----

// Reads a plain file of at most `size_max` bytes; a pipe that somebody put there is not waited for.
static bool read_file(const char *path, size_t size_max, struct buf *out)
{
    struct stat st;
    auto_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           fd_read_all(fd, size_max, out) == 0 && out->size <= size_max;
}

static bool all_strings(const cJSON *list)
{
    for (const cJSON *item = list->child; item; item = item->next)
        if (!cJSON_IsString(item))
            return false;
    return true;
}

static bool is_absent_or(const cJSON *spec, const char *member, cJSON_bool (*is)(const cJSON *))
{
    const cJSON *value = json_get(spec, member);
    return !value || is(value);
}

static bool is_sound(const cJSON *json)
{
    const cJSON *argv = json_get(json, "argv"), *env = json_get(json, "env");
    return cJSON_IsArray(argv) && argv->child && all_strings(argv) &&
           (!env || (cJSON_IsObject(env) && all_strings(env))) &&
           is_absent_or(json, "display_name", cJSON_IsString) &&
           is_absent_or(json, "language", cJSON_IsString) &&
           is_absent_or(json, "interrupt_mode", cJSON_IsString) &&
           is_absent_or(json, "metadata", cJSON_IsObject);
}

static bool read_spec(struct spec *spec, size_t *ret_size)
{
    auto_free char *path = mem_printf("%s/kernel.json", spec->resource_dir);
    auto_buf struct buf text = {0};
    if (!read_file(path, SPEC_SIZE_MAX, &text) ||
        json_parse(text.data, text.size, SPEC_DEPTH_MAX, &spec->json, NULL) != 0)
        return false;
    crypto_generichash(spec->digest, sizeof spec->digest, (const unsigned char *)text.data,
                       text.size, NULL, 0);
    *ret_size = text.size;
    return is_sound(spec->json);
}

static const char *display_name(const struct spec *spec)
{
    const char *name = json_get_str(spec->json, "display_name");
    return name ? name : spec->name;
}

const char *spec_language(const struct spec *spec)
{
    const char *language = json_get_str(spec->json, "language");
    if (!language)
        return "";
    return strcmp(language, "text/x-macaulay2") == 0 ? "Macaulay2" : language;
}

bool spec_interrupts_by_message(const struct spec *spec)
{
    const char *mode = json_get_str(spec->json, "interrupt_mode");
    return mode && strcmp(mode, "message") == 0;
}

// ---- The search ----

static const struct spec *find(const struct specs *specs, const char *name)
{
    for (size_t i = 0; i < specs->count; i++)
        if (strcmp(specs->list[i].name, name) == 0)
            return &specs->list[i];
    return NULL;
}

// The name of a folder becomes part of JSON and of an environment.
static bool is_name(const char *name)
{
    return name[0] != '.' && utf8_valid(name, strlen(name));
}

static void add(struct specs *specs, const char *folder, const char *entry, const char *wanted)
{
    auto_free char *name = mem_strdup(entry);
    text_lower(name);
    if ((wanted && strcmp(name, wanted) != 0) || !is_name(name) || find(specs, name))
        return;
    struct spec spec = {.name = TAKE_PTR(name), .resource_dir = mem_printf("%s/%s", folder, entry)};
    size_t size = 0;
    if (!read_spec(&spec, &size) || specs->size + size > SPECS_SIZE_MAX) {
        spec_dispose(&spec);
        return;
    }
    specs->size += size;
    specs->list = mem_realloc(specs->list, (specs->count + 1) * sizeof specs->list[0]);
    specs->list[specs->count++] = spec;
}

static void search(struct specs *specs, const char *folder, const char *wanted)
{
    DIR *dir = utf8_valid(folder, strlen(folder)) ? opendir(folder) : NULL;
    if (!dir)
        return;
    const struct dirent *entry;
    for (int i = 0; i < ENTRIES_MAX && specs->count < SPECS_MAX && (entry = readdir(dir)); i++)
        add(specs, folder, entry->d_name, wanted);
    closedir(dir);
}

static void search_jupyter_path(struct specs *specs, const char *wanted)
{
    const char *path = getenv("JUPYTER_PATH");
    for (int i = 0; path && *path && i < SEARCH_PATHS_MAX; i++) {
        const size_t size = strcspn(path, ":");
        auto_free char *folder = mem_printf("%.*s/kernels", (int)size, path);
        if (size)
            search(specs, folder, wanted);
        path += size + (path[size] == ':');
    }
}

static int by_display_name(const void *a, const void *b)
{
    const struct spec *x = a, *y = b;
    const int order = strcmp(display_name(x), display_name(y));
    return order ? order : strcmp(x->name, y->name);
}

void specs_read(const char *name, struct specs *ret_specs)
{
    struct specs specs = {0};
    const char *home = getenv("HOME");
    search_jupyter_path(&specs, name);
    if (home) {
        auto_free char *own = mem_printf("%s/.local/share/jupyter/kernels", home);
        search(&specs, own, name);
    }
    search(&specs, "/usr/local/share/jupyter/kernels", name);
    search(&specs, "/usr/share/jupyter/kernels", name);
    if (specs.count)
        qsort(specs.list, specs.count, sizeof specs.list[0], by_display_name);
    *ret_specs = specs;
}

// ---- What is told ----

static void write_member(struct buf *out, const struct spec *spec, const char *member)
{
    const cJSON *value = json_get(spec->json, member);
    if (!value)
        return;
    json_key(out, member);
    json_value(out, value);
}

static void write_spec(struct buf *out, const struct spec *spec)
{
    json_begin_object(out);
    json_member_str(out, "name", spec->name);
    json_member_str(out, "display_name", display_name(spec));
    json_member_str(out, "language", spec_language(spec));
    write_member(out, spec, "interrupt_mode");
    if (json_get(spec->json, "env")) {
        write_member(out, spec, "env");
    } else {
        json_key(out, "env");
        json_begin_object(out);
        json_end_object(out);
    }
    write_member(out, spec, "metadata");
    json_member_str(out, "resource_dir", spec->resource_dir);
    write_member(out, spec, "argv");
    json_end_object(out);
}

void specs_write(const struct specs *specs, struct buf *out)
{
    json_begin_array(out);
    for (size_t i = 0; i < specs->count; i++)
        write_spec(out, &specs->list[i]);
    json_end_array(out);
}

static void write_image(struct buf *out, const char *file_name, const struct buf *image)
{
    const size_t size = sodium_base64_encoded_len(image->size, sodium_base64_VARIANT_ORIGINAL);
    auto_free char *base64 = mem_alloc(size);
    sodium_bin2base64(base64, size, (const unsigned char *)image->data, image->size,
                      sodium_base64_VARIANT_ORIGINAL);
    json_begin_object(out);
    json_member_str(out, "filename", file_name);
    json_member_str(out, "base64", base64);
    json_end_object(out);
}

void spec_write_logo(const struct spec *spec, struct buf *out)
{
    static const char *const names[] = {"logo-64x64.png", "logo-svg.svg", "logo-32x32.png"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = mem_printf("%s/%s", spec->resource_dir, names[i]);
        auto_buf struct buf image = {0};
        if (read_file(path, LOGO_SIZE_MAX, &image) && image.size) {
            write_image(out, names[i], &image);
            return;
        }
    }
    json_null(out);
}
