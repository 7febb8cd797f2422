#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Creates the system user `cohub`, for whom a hub that is started as root gives root up. Nothing to do for others.
set -euo pipefail
if [[ $EUID -eq 0 ]] && ! getent passwd cohub >/dev/null; then
  echo "creating the system user cohub" >&2
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cohub
fi
