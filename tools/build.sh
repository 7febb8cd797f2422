#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Configures a build folder if it is not yet one, and builds in it.
#
#   tools/build.sh FOLDER [TARGET]... [-- OPTION OF meson setup]...
#
# Quiet unless it fails or takes notable time. CC chooses the compiler of a new folder.
set -euo pipefail
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
folder=$1
shift
targets=()
while [[ $# -gt 0 && $1 != -- ]]; do targets+=("$1"); shift; done
if [[ $# -gt 0 ]]; then shift; fi

if [[ ! -f $folder/build.ninja ]]; then
  echo "configuring $(basename "$folder")" >&2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  meson setup "$folder" "$root" "$@" >"$log" 2>&1 || { tail -n 8 "$log" >&2; exit 1; }
fi
# A terminal sees the progress; a log sees the compiler's words only.
if [[ -t 2 ]]; then
  ninja -C "$folder" "${targets[@]}" >&2
else
  ninja --quiet -C "$folder" "${targets[@]}" >&2
fi
