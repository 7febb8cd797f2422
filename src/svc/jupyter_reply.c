// SPDX-License-Identifier: AGPL-3.0-or-later
// The bridge's answers: {"result":VALUE} or {"error":TEXT}. A result may be large, and is handed on
// as the text that it came as, once it has been walked through; nothing is made of it here.
#include <string.h>

#include "base/limits.h"
#include "svc/jupyter.h"

#define RESULT_BEGIN "{\"result\":"

static int malformed(struct err *err, const char *what)
{
    return err_internal(err, "the kernel bridge answers %s", what);
}

static bool is_kernel(const cJSON *kernel)
{
    const cJSON *argument, *argv = json_get(kernel, "argv");
    static const char *const texts[] = {"name", "display_name", "language", "resource_dir"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!json_get_str(kernel, texts[i]))
            return false;
    cJSON_ArrayForEach(argument, argv)
    {
        if (!cJSON_IsString(argument))
            return false;
    }
    return cJSON_IsArray(argv) && cJSON_IsObject(json_get(kernel, "env"));
}

static bool is_running(const cJSON *kernel)
{
    const cJSON *pid = json_get(kernel, "pid"), *name = json_get(kernel, "kernel_name");
    return cJSON_IsNumber(pid) && pid->valuedouble >= 1 && json_get_str(kernel, "connectionFile") &&
           (!name || cJSON_IsString(name));
}

static bool all_are(const cJSON *array, bool (*is)(const cJSON *element))
{
    const cJSON *element;
    cJSON_ArrayForEach(element, array)
    {
        if (!is(element))
            return false;
    }
    return cJSON_IsArray(array);
}

static bool has_form(enum jupyter_op op, const cJSON *value)
{
    switch (op) {
    case JUPYTER_KERNELS:
        return all_are(value, is_kernel);
    case JUPYTER_LIST:
        return all_are(value, is_running);
    case JUPYTER_STOP:
        return cJSON_IsBool(json_get(value, "success"));
    case JUPYTER_LOGO:
        return cJSON_IsNull(value) ||
               (json_get_str(value, "filename") && json_get_str(value, "base64"));
    case JUPYTER_EXECUTE:
        break;
    }
    return false; // of these no values are made
}

static int check_result(enum jupyter_op op, const struct jupyter_reply *reply, struct err *err)
{
    auto_json cJSON *value = NULL;
    struct err why;
    if (op == JUPYTER_EXECUTE) {
        if (json_check_objects(reply->result, reply->result_size, LIMIT_JSON_DEPTH, &why))
            return malformed(err, why.message);
        return 0;
    }
    if (json_parse(reply->result, reply->result_size, LIMIT_JSON_DEPTH, &value, &why))
        return malformed(err, why.message);
    return has_form(op, value) ? 0 : malformed(err, "a result of another form");
}

static int read_error(const struct buf *text, struct jupyter_reply *reply, struct err *err)
{
    auto_json cJSON *value = NULL;
    struct err why;
    if (json_parse(text->data, text->size, LIMIT_JSON_DEPTH, &value, &why))
        return malformed(err, why.message);
    const char *error = json_get_str(value, "error");
    if (!error)
        return malformed(err, "neither a result nor an error");
    reply->failed = true;
    reply->died = cJSON_IsTrue(json_get(value, "died"));
    buf_append(&reply->error, error, strnlen(error, LIMIT_KERNEL_ERROR));
    return 0;
}

int jupyter_reply_read(enum jupyter_op op, const struct buf *text, struct jupyter_reply *ret_reply,
                       struct err *err)
{
    const size_t begin = sizeof RESULT_BEGIN - 1;
    struct jupyter_reply reply = {0};
    int rc;
    if (!text->size || text->data[text->size - 1] != '}')
        return err_set(err, ERR_UNAVAILABLE, "the process that runs the kernels has ended");
    if (text->size > begin && !memcmp(text->data, RESULT_BEGIN, begin)) {
        reply.result = text->data + begin;
        reply.result_size = text->size - begin - 1;
        rc = check_result(op, &reply, err);
    } else {
        rc = read_error(text, &reply, err);
    }
    if (!rc)
        *ret_reply = reply;
    return rc;
}
