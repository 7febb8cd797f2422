// SPDX-License-Identifier: AGPL-3.0-or-later
// The settings that a site can have (user-query 12.8), as a list for macros: X(name) for each.
#ifndef SVC_SETTING_NAMES_H
#define SVC_SETTING_NAMES_H

// clang-format off
#define SETTING_NAMES(X) \
    X("dns") X("theming") X("site_name") X("site_description") X("help_email") \
    X("terms_of_service_url") X("account_creation_email_instructions") \
    X("account_creation_redirect_url") X("account_creation_redirect_link_text") \
    X("sign_in_banner_enabled") X("sign_in_banner_message") X("sign_in_banner_url") \
    X("sign_in_banner_link_text") X("organization_name") X("organization_email") X("logo_square") \
    X("logo_rectangular") X("splash_image") X("index_info_html") X("imprint") X("policies") \
    X("support") X("cookie_banner_text") X("versions") X("version_min_project") \
    X("version_recommended_browser") X("kucalc") X("google_analytics") X("commercial") \
    X("max_trial_projects") X("datastore") X("onprem_quota_heading") X("default_quotas") \
    X("max_upgrades") X("ssh_gateway_fingerprint") X("email_enabled") X("verify_emails") \
    X("email_signup") X("share_server") X("landing_pages") X("sandbox_projects_enabled") \
    X("openai_enabled") X("anthropic_enabled") X("ollama_enabled") X("zai_enabled") \
    X("selectable_llms") X("default_llm") X("user_defined_llm") X("jupyter_api_enabled") \
    X("compute_servers_enabled") X("compute_servers_onprem_enabled") X("insecure_test_mode") \
    X("conat_heading") X("conat_password") X("anthropic_api_key") X("salesloft_section") \
    X("stripe_heading") X("github_project_id") X("github_block") X("email_backend") \
    X("sendgrid_key") X("email_smtp_server") X("email_smtp_from") X("email_smtp_login") \
    X("email_smtp_password") X("email_smtp_port") X("email_smtp_secure") \
    X("password_reset_override") X("password_reset_smtp_from") X("password_reset_smtp_login") \
    X("password_reset_smtp_password") X("password_reset_smtp_port") \
    X("password_reset_smtp_secure") X("prometheus_metrics") X("pay_as_you_go_section") \
    X("pay_as_you_go_spending_limit") X("pay_as_you_go_min_payment") \
    X("pay_as_you_go_openai_markup_percentage") X("pay_as_you_go_max_project_upgrades") \
    X("pay_as_you_go_price_project_upgrades") X("subscription_maintenance") \
    X("pay_as_you_go_spending_limit_with_verified_email") \
    X("pay_as_you_go_spending_limit_with_credit") X("compute_servers_section") \
    X("compute_servers_markup_percentage") X("hyperstack_api_key") \
    X("hyperstack_compute_servers_prefix") X("hyperstack_compute_servers_markup_percentage") \
    X("hyperstack_ssh_public_key") X("hyperstack_balance_alert_thresh") \
    X("hyperstack_balance_alert_emails") X("google_cloud_service_account_json") \
    X("google_cloud_bigquery_billing_service_account_json") \
    X("google_cloud_bigquery_detailed_billing_table") X("google_cloud_compute_servers_prefix") \
    X("compute_servers_cloudflare_api_key") X("compute_servers_images_spec_url")
// clang-format on

#endif
