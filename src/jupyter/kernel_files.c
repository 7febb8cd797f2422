// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/kernel_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/text.h"
#include "jupyter/launch.h"

static const char separators[] = {'-', ':'};
static const char *const port_names[] = {"shell_port", "iopub_port", "stdin_port", "control_port",
                                         "hb_port"};

// ---- Files ----

static void write_connection(const struct kernel *k, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "transport", "ipc");
    json_member_str(out, "ip", k->prefix);
    for (size_t i = 0; i < ARRAY_LEN(port_names); i++)
        json_member_int(out, port_names[i], (int64_t)i + 1);
    json_member_str(out, "signature_scheme", "hmac-sha256");
    json_member_str(out, "key", k->key.text);
    json_member_str(out, "kernel_name", k->spec.name);
    json_end_object(out);
}

int kernel_files_make(const struct kernel *k, struct err *err)
{
    auto_buf struct buf text = {0};
    write_connection(k, &text);
    auto_fd int fd =
        open(k->connection_file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fd_write_all(fd, text.data, text.size) != 0 || mkdir(k->folder, 0700) != 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "Failed to start kernel process. %s",
                             strerror(errno));
    return 0;
}

static void socket_path(const struct kernel *k, char separator, size_t port, struct buf *out)
{
    out->size = 0;
    buf_printf(out, "%s%c%zu", k->prefix, separator, port);
}

void kernel_files_remove(const struct kernel *k)
{
    auto_buf struct buf path = {0};
    for (size_t i = 0; i < ARRAY_LEN(separators); i++)
        for (size_t port = 1; port <= ARRAY_LEN(port_names); port++) {
            socket_path(k, separators[i], port, &path);
            unlink(buf_cstr(&path));
        }
    unlink(k->connection_file);
    if (rmdir(k->folder) != 0 && errno != ENOENT)
        launch_removal(k->folder);
}

char kernel_files_separator(const struct kernel *k)
{
    auto_buf struct buf path = {0};
    for (size_t i = 0; i < ARRAY_LEN(separators); i++) {
        socket_path(k, separators[i], CHANNEL_SHELL + 1, &path);
        if (access(buf_cstr(&path), F_OK) == 0)
            return separators[i];
    }
    return '\0';
}

// ---- Program ----

struct words {
    char **list;
    size_t count;
};

static void add_word(struct words *words, char *word)
{
    words->list = mem_realloc(words->list, (words->count + 2) * sizeof *words->list);
    words->list[words->count++] = word;
    words->list[words->count] = NULL;
}

static bool replace(struct buf *out, const char **at, const char *name, const char *value)
{
    if (!text_has_prefix(*at, name))
        return false;
    buf_append_str(out, value);
    *at += strlen(name);
    return true;
}

static char *fill_in(const struct kernel *k, const char *word)
{
    auto_buf struct buf out = {0};
    while (*word)
        if (!replace(&out, &word, "{connection_file}", k->connection_file) &&
            !replace(&out, &word, "{resource_dir}", k->spec.resource_dir))
            buf_append_char(&out, *word++);
    return mem_strdup(buf_cstr(&out));
}

static bool is_variable(const char *entry, const char *name)
{
    const size_t size = strlen(name);
    return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

static void set(struct words *env, const char *name, const char *value)
{
    char *entry = mem_printf("%s=%s", name, value);
    for (size_t i = 0; i < env->count; i++)
        if (is_variable(env->list[i], name)) {
            free(env->list[i]);
            env->list[i] = entry;
            return;
        }
    add_word(env, entry);
}

// ${NAME} is the value that the project has for it; without one it stays.
static char *expand(const char *value)
{
    auto_buf struct buf out = {0};
    while (*value) {
        const char *end = text_has_prefix(value, "${") ? strchr(value, '}') : NULL;
        auto_free char *name = end ? mem_strndup(value + 2, (size_t)(end - value) - 2) : NULL;
        const char *known = name ? getenv(name) : NULL;
        if (known) {
            buf_append_str(&out, known);
            value = end + 1;
        } else {
            buf_append_char(&out, *value++);
        }
    }
    return mem_strdup(buf_cstr(&out));
}

static bool is_variable_name(const char *name)
{
    return name[0] && !strchr(name, '=');
}

static void set_environment(struct words *env, const struct kernel *k)
{
    for (char **entry = environ; *entry; entry++)
        add_word(env, mem_strdup(*entry));
    const cJSON *own = json_get(k->spec.json, "env");
    for (const cJSON *item = own ? own->child : NULL; item; item = item->next) {
        auto_free char *value = expand(item->valuestring);
        if (is_variable_name(item->string))
            set(env, item->string, value);
    }
    auto_free char *notebook = mem_printf("%s/%s.ipynb", k->folder, k->spec.name);
    set(env, "PLOTLY_RENDERER", "colab");
    set(env, "COCALC_JUPYTER_KERNELNAME", k->spec.name);
    set(env, "COCALC_JUPYTER_FILENAME", notebook);
}

void kernel_program_init(struct kernel_program *ret_program, const struct kernel *k)
{
    struct words argv = {0}, env = {0};
    const cJSON *word;
    cJSON_ArrayForEach(word, json_get(k->spec.json, "argv"))
        add_word(&argv, fill_in(k, word->valuestring));
    set_environment(&env, k);
    *ret_program = (struct kernel_program){.argv = argv.list, .env = env.list};
}

static void free_words(char **words)
{
    for (char **word = words; word && *word; word++)
        free(*word);
    free(words);
}

void kernel_program_dispose(struct kernel_program *program)
{
    free_words(program->argv);
    free_words(program->env);
    *program = (struct kernel_program){0};
}
