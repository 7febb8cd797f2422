// SPDX-License-Identifier: AGPL-3.0-or-later
// accounts, account_profiles, collaborators, collaborators_one_project (user-query 12.1, 12.5).
//
// What concerns payment can be read as everywhere, and is null.
#include "svc/tables/accounts.h"

#include "base/limits.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

// ---- accounts ----

static const struct query_column accounts_columns[] = {
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "email_address", .type = QUERY_TEXT},
    {.name = "lti_id", .type = QUERY_TEXT, .array = true},
    {.name = "email_address_verified", .type = QUERY_JSON},
    {.name = "email_address_problem", .type = QUERY_JSON},
    {.name = "editor_settings", .type = QUERY_JSON},
    {.name = "other_settings", .type = QUERY_JSON},
    {.name = "first_name", .type = QUERY_TEXT, .max_length = LIMIT_NAME},
    {.name = "last_name", .type = QUERY_TEXT, .max_length = LIMIT_NAME},
    {.name = "terminal", .type = QUERY_JSON},
    {.name = "autosave", .type = QUERY_INTEGER},
    {.name = "evaluate_key", .type = QUERY_TEXT},
    {.name = "font_size", .type = QUERY_INTEGER},
    {.name = "passports", .type = QUERY_JSON},
    {.name = "groups", .type = QUERY_TEXT, .array = true, .sql = "t.\"groups\""},
    {.name = "last_active", .type = QUERY_TIMESTAMP},
    {.name = "stripe_customer", .type = QUERY_JSON, .sql = "NULL"},
    {.name = "coupon_history", .type = QUERY_JSON, .sql = "NULL"},
    {.name = "profile", .type = QUERY_JSON},
    {.name = "ssh_keys", .type = QUERY_JSON},
    {.name = "created", .type = QUERY_TIMESTAMP},
    {.name = "org", .type = QUERY_TEXT},
    {.name = "stripe_checkout_session", .type = QUERY_JSON, .sql = "NULL"},
    {.name = "name", .type = QUERY_TEXT},
    {.name = "customize", .type = QUERY_JSON},
    {.name = "ephemeral", .type = QUERY_NUMBER, .whole = true},
    {.name = "unlisted", .type = QUERY_BOOLEAN},
    {.name = "tags", .type = QUERY_TEXT, .array = true},
    {.name = "tours", .type = QUERY_TEXT, .array = true},
    {.name = "min_balance", .type = QUERY_NUMBER, .sql = "NULL"},
    {.name = "balance", .type = QUERY_NUMBER, .sql = "NULL"},
    {.name = "balance_alert", .type = QUERY_BOOLEAN, .sql = "NULL"},
    {.name = "auto_balance", .type = QUERY_JSON},
    {.name = "purchase_closing_day", .type = QUERY_INTEGER, .sql = "NULL"},
    {.name = "stripe_usage_subscription", .type = QUERY_TEXT, .sql = "NULL"},
    {.name = "email_daily_statements", .type = QUERY_BOOLEAN},
    {.name = "unread_message_count", .type = QUERY_INTEGER},
    {.name = "sign_up_usage_intent", .type = QUERY_TEXT},
};

static const char editor_settings[] =
    "{\"strip_trailing_whitespace\":false,\"show_trailing_whitespace\":true,"
    "\"line_wrapping\":true,\"line_numbers\":true,\"smart_indent\":true,\"electric_chars\":true,"
    "\"match_brackets\":true,\"auto_close_brackets\":true,\"code_folding\":true,"
    "\"match_xml_tags\":true,\"auto_close_xml_tags\":true,\"auto_close_latex\":true,"
    "\"spaces_instead_of_tabs\":true,\"multiple_cursors\":true,\"track_revisions\":true,"
    "\"extra_button_bar\":true,\"build_on_save\":true,\"first_line_number\":1,\"indent_unit\":4,"
    "\"tab_size\":4,\"bindings\":\"standard\",\"theme\":\"default\",\"undo_depth\":300,"
    "\"jupyter_classic\":false,\"jupyter_window\":false,\"disable_jupyter_windowing\":false,"
    "\"show_exec_warning\":true,\"physical_keyboard\":\"default\",\"keyboard_variant\":\"\","
    "\"ask_jupyter_kernel\":true}";
static const char editor_settings_current[] =
    "{\"show_trailing_whitespace\":false,\"theme\":\"cocalc-light\","
    "\"disable_jupyter_windowing\":true,\"jupyter_line_numbers\":false,"
    "\"show_my_other_cursors\":false,\"disable_jupyter_virtualization\":true}";

static const char other_settings[] =
    "{\"katex\":true,\"confirm_close\":false,\"mask_files\":true,\"page_size\":500,"
    "\"standby_timeout_m\":5,\"default_file_sort\":\"time\",\"new_filenames\":\"iso\","
    "\"show_global_info2\":null,\"first_steps\":true,\"newsletter\":false,"
    "\"time_ago_absolute\":false,\"no_free_warnings\":false,\"allow_mentions\":true}";
static const char other_settings_current[] =
    "{\"mask_files\":false,\"standby_timeout_m\":15,\"default_file_sort\":\"name\","
    "\"new_filenames\":\"ymd_semantic\",\"dark_mode\":false,\"dark_mode_brightness\":100,"
    "\"dark_mode_contrast\":90,\"dark_mode_sepia\":0,\"news_read_until\":0,\"i18n\":\"en\","
    "\"dim_file_extensions\":false,\"follow_current_path\":false,"
    "\"auto_update_file_listing\":false,\"hide_project_popovers\":false,"
    "\"hide_file_popovers\":false,\"hide_button_tooltips\":false,"
    "\"no_email_new_messages\":false,\"hide_navbar_balance\":false,"
    "\"use_balance_toward_subscriptions\":true,\"userdefined_llm\":\"[]\","
    "\"cookie_consent\":null}";

static const struct query_get_field accounts_get_fields[] = {
    {.name = "account_id"},
    {.name = "email_address"},
    {.name = "lti_id"},
    {.name = "email_address_verified"},
    {.name = "email_address_problem"},
    {.name = "editor_settings", .fallback = editor_settings, .current = editor_settings_current},
    {.name = "other_settings", .fallback = other_settings, .current = other_settings_current},
    {.name = "first_name", .fallback = "\"\""},
    {.name = "last_name", .fallback = "\"\""},
    {.name = "terminal",
     .fallback = "{\"font_size\":14,\"color_scheme\":\"default\",\"font\":\"monospace\"}",
     .current = "{\"color_scheme\":\"cocalc-light\"}"},
    {.name = "autosave", .fallback = "45"},
    {.name = "evaluate_key", .fallback = "\"Shift-Enter\""},
    {.name = "font_size", .fallback = "14"},
    {.name = "passports", .fallback = "{}"},
    {.name = "groups", .fallback = "[]"},
    {.name = "last_active"},
    {.name = "stripe_customer"},
    {.name = "coupon_history"},
    {.name = "profile", .fallback = "{}", .current = "{\"color\":\"rgb(170,170,170)\"}"},
    {.name = "ssh_keys", .fallback = "{}"},
    {.name = "created"},
    {.name = "org"},
    {.name = "stripe_checkout_session"},
    {.name = "name"},
    {.name = "customize"},
    {.name = "ephemeral"},
    {.name = "unlisted", .fallback = "false"},
    {.name = "tags"},
    {.name = "tours"},
    {.name = "min_balance"},
    {.name = "balance"},
    {.name = "balance_alert"},
    {.name = "auto_balance"},
    {.name = "purchase_closing_day"},
    {.name = "stripe_usage_subscription"},
    {.name = "email_daily_statements"},
    {.name = "unread_message_count"},
};

static const struct query_filter own_account[] = {
    {.kind = QUERY_OWN_ACCOUNT, .column = "account_id"},
};

static const struct query_get_block accounts_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(own_account),
    QUERY_FIELDS(accounts_get_fields),
};

static const struct query_set_field accounts_set_fields[] = {
    {.name = "account_id", .rule = QUERY_ACCOUNT_ID},
    {.name = "editor_settings"},
    {.name = "other_settings"},
    {.name = "first_name", .check = account_check_string},
    {.name = "last_name", .check = account_check_string},
    {.name = "terminal"},
    {.name = "autosave"},
    {.name = "evaluate_key", .check = bounds_check_line},
    {.name = "font_size"},
    {.name = "profile"},
    {.name = "ssh_keys"},
    {.name = "sign_up_usage_intent", .check = account_check_intent},
    {.name = "name", .check = account_check_string},
    {.name = "unlisted"},
    {.name = "tags", .check = bounds_check_lines},
    {.name = "tours", .check = bounds_check_lines},
    {.name = "email_daily_statements"},
    {.name = "auto_balance"},
};

static const struct query_set_block accounts_set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(accounts_set_fields),
    .check = account_check,
    .after = account_after,
};

const struct query_table table_accounts = {
    .name = "accounts",
    .text = "The caller's own account: its names and settings. Maps are merged when written.",
    .base = "accounts",
    .key = {"account_id"},
    .made_elsewhere = true,
    QUERY_COLUMNS(accounts_columns),
    .get = &accounts_get,
    .set = &accounts_set,
};

// ---- account_profiles ----

static const struct query_column account_profiles_columns[] = {
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "profile", .type = QUERY_JSON},
};

static const struct query_get_field account_profiles_fields[] = {
    {.name = "account_id"},
    {.name = "profile", .fallback = "{}"},
};

static const struct query_filter not_deleted[] = {
    {.kind = QUERY_WHERE, .sql = "t.deleted = 0", .quick = true},
};

static const struct query_get_block account_profiles_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(not_deleted),
    QUERY_FIELDS(account_profiles_fields),
    .limit = {1, 1},
};

const struct query_table table_account_profiles = {
    .name = "account_profiles",
    .text = "The picture and colour that stand for any account. They are written in `accounts`.",
    .base = "accounts",
    .key = {"account_id"},
    QUERY_COLUMNS(account_profiles_columns),
    .get = &account_profiles_get,
};

// ---- collaborators ----

static const struct query_column collaborators_columns[] = {
    {.name = "account_id", .type = QUERY_UUID},       {.name = "first_name", .type = QUERY_TEXT},
    {.name = "last_name", .type = QUERY_TEXT},        {.name = "name", .type = QUERY_TEXT},
    {.name = "last_active", .type = QUERY_TIMESTAMP}, {.name = "profile", .type = QUERY_JSON},
};

static const struct query_get_field collaborators_fields[] = {
    {.name = "account_id"},
    {.name = "first_name", .fallback = "\"\""},
    {.name = "last_name", .fallback = "\"\""},
    {.name = "last_active"},
    {.name = "profile"},
    {.name = "name", .fallback = "\"\""},
};

// All of them are found once, from the caller's projects; one, by what it works on.
static const struct query_filter shares_project[] = {
    {.kind = QUERY_WHERE,
     .sql = "t.account_id IN (SELECT they.account_id FROM project_users i"
            " JOIN project_users they ON they.project_id = i.project_id"
            " WHERE i.account_id = $1 AND i.\"group\" IN ('owner', 'collaborator')"
            " AND they.\"group\" IN ('owner', 'collaborator'))",
     .row_sql = "EXISTS (SELECT 1 FROM project_users they"
                " JOIN project_users i ON i.project_id = they.project_id"
                " WHERE they.account_id = t.account_id AND i.account_id = $1"
                " AND i.\"group\" IN ('owner', 'collaborator')"
                " AND they.\"group\" IN ('owner', 'collaborator'))"},
};

static const struct query_get_block collaborators_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(shares_project),
    QUERY_FIELDS(collaborators_fields),
};

const struct query_table table_collaborators = {
    .name = "collaborators",
    .text = "Everybody who works on a project of the caller, the caller too.",
    .base = "accounts",
    .key = {"account_id"},
    QUERY_COLUMNS(collaborators_columns),
    .get = &collaborators_get,
};

// ---- collaborators_one_project ----

static const struct query_column collaborators_one_project_columns[] = {
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "project_id", .type = QUERY_UUID, .sql = "NULL"},
    {.name = "first_name", .type = QUERY_TEXT},
    {.name = "last_name", .type = QUERY_TEXT},
    {.name = "last_active", .type = QUERY_TIMESTAMP},
    {.name = "profile", .type = QUERY_JSON},
    {.name = "name", .type = QUERY_TEXT},
};

static const struct query_get_field collaborators_one_project_fields[] = {
    {.name = "account_id"},
    {.name = "project_id"},
    {.name = "first_name", .fallback = "\"\""},
    {.name = "last_name", .fallback = "\"\""},
    {.name = "last_active"},
    {.name = "profile"},
    {.name = "name", .fallback = "\"\""},
};

static const struct query_filter members_of_project[] = {
    {.kind = QUERY_PROJECT_EXACT, .column = "project_id"},
    {.kind = QUERY_WHERE,
     .column = "project_id",
     .sql = "t.account_id IN (SELECT u.account_id FROM project_users u WHERE u.project_id = $2"
            " AND u.\"group\" IN ('owner', 'collaborator'))"},
};

static const struct query_get_block collaborators_one_project_get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(members_of_project),
    QUERY_FIELDS(collaborators_one_project_fields),
    .not_selected = "project_id",
};

const struct query_table table_collaborators_one_project = {
    .name = "collaborators_one_project",
    .text = "Everybody who works on one project, which is named by `project_id`.",
    .base = "accounts",
    .key = {"account_id"},
    QUERY_COLUMNS(collaborators_one_project_columns),
    .get = &collaborators_one_project_get,
};
