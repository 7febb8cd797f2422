// SPDX-License-Identifier: AGPL-3.0-or-later
// The settings that a site can have (user-query 12.8), as a list for macros: X(name) for each.
#ifndef SVC_SETTING_NAMES_H
#define SVC_SETTING_NAMES_H

// clang-format off
#define SETTING_NAMES(X) \
    X("dns") X("theming") X("site_name") X("site_description") X("help_email") \
    X("terms_of_service_url") X("terms_of_service") X("account_creation_email_instructions") \
    X("account_creation_redirect_enabled") X("account_creation_redirect_message") \
    X("account_creation_redirect_url") X("account_creation_redirect_link_text") \
    X("account_creation_redirect_allow_legacy") X("account_creation_redirect_legacy_button_text") \
    X("sign_in_banner_enabled") X("sign_in_banner_message") X("sign_in_banner_url") \
    X("sign_in_banner_link_text") X("disable_project_creation") X("organization_name") \
    X("organization_email") X("organization_url") X("logo_square") X("logo_rectangular") \
    X("splash_image") X("index_info_html") X("index_tagline") X("imprint") X("policies") \
    X("support") X("support_video_call") X("cookie_banner_enabled") X("cookie_banner_text") \
    X("versions") X("version_min_project") X("version_min_compute_server") \
    X("version_min_browser") X("version_recommended_browser") X("kucalc") X("i18n") \
    X("google_analytics") X("commercial") X("max_trial_projects") X("nonfree_countries") \
    X("limit_free_project_uptime") X("require_license_to_create_project") \
    X("unlicensed_project_collaborator_limit") X("unlicensed_project_timetravel_limit") \
    X("datastore") X("onprem_quota_heading") X("default_quotas") X("max_upgrades") \
    X("ssh_gateway") X("ssh_gateway_dns") X("ssh_gateway_fingerprint") X("iframe_comm_hosts") \
    X("email_enabled") X("verify_emails") X("email_signup") X("anonymous_signup") \
    X("anonymous_signup_licensed_shares") X("share_server") X("strict_collaborator_management") \
    X("landing_pages") X("sandbox_projects_enabled") X("sandbox_project_id") \
    X("new_project_pool") X("openai_enabled") X("google_vertexai_enabled") X("mistral_enabled") \
    X("anthropic_enabled") X("ollama_enabled") X("custom_openai_enabled") X("xai_enabled") \
    X("zai_enabled") X("selectable_llms") X("default_llm") X("user_defined_llm") \
    X("llm_default_quota") X("neural_search_enabled") X("jupyter_api_enabled") \
    X("compute_servers_enabled") X("cloud_filesystems_enabled") \
    X("version_compute_server_min_project") X("compute_servers_google-cloud_enabled") \
    X("compute_servers_onprem_enabled") X("compute_servers_hyperstack_enabled") \
    X("compute_servers_dns_enabled") X("compute_servers_dns") X("insecure_test_mode") \
    X("samesite_remember_me") X("user_tracking") X("conat_heading") X("conat_password") \
    X("openai_section") X("openai_api_key") X("google_vertexai_key") X("mistral_api_key") \
    X("anthropic_api_key") X("xai_api_key") X("zai_api_key") X("ollama_configuration") \
    X("custom_openai_configuration") X("salesloft_section") X("salesloft_api_key") \
    X("jupyter_section") X("jupyter_account_id") X("jupyter_project_pool_size") \
    X("pii_retention") X("analytics_cookie") X("stripe_heading") X("stripe_publishable_key") \
    X("stripe_secret_key") X("stripe_webhook_secret") X("re_captcha_v3_heading") \
    X("re_captcha_v3_publishable_key") X("re_captcha_v3_secret_key") X("zendesk_heading") \
    X("zendesk_token") X("zendesk_username") X("zendesk_uri") X("support_account_id") \
    X("github_heading") X("github_project_id") X("github_username") X("github_token") \
    X("github_block") X("email_section") X("email_backend") X("sendgrid_key") \
    X("email_smtp_server") X("email_smtp_from") X("email_smtp_login") X("email_smtp_password") \
    X("email_smtp_port") X("email_smtp_secure") X("password_reset_override") \
    X("password_reset_smtp_server") X("password_reset_smtp_from") X("password_reset_smtp_login") \
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
    X("google_cloud_compute_servers_image_prefix") X("compute_servers_cloudflare_api_key") \
    X("compute_servers_images_spec_url")
// clang-format on

#endif
