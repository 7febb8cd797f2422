// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub api
#include <stdio.h>
#include <string.h>

#include "api/docs.h"
#include "cli/cli.h"

int cli_api(struct cli *cli)
{
    auto_buf struct buf text = {0}, out = {0};
    const char *format = cli_get(cli, "format"), *url = config_text(&cli->config, CONFIG_SITE_URL);
    if (!format || !strcmp(format, "api.json")) {
        docs_api_json(&text);
    } else if (!strcmp(format, "openapi")) {
        docs_openapi(&text, *url ? url : "http://localhost:5000");
    } else if (!strcmp(format, "markdown")) {
        docs_markdown(&text);
    } else if (!strcmp(format, "rpc.json")) {
        docs_rpc_json(&text);
    } else {
        fprintf(stderr, "cohub api: --format is " CLI_API_FORMATS ", not %s\n", format);
        return CLI_USAGE;
    }
    while (text.size && text.data[text.size - 1] == '\n')
        text.size--;
    if (!*url)
        return cli_print(&text);
    docs_append_hosted(&out, text.data, text.size, url);
    return cli_print(&out);
}
