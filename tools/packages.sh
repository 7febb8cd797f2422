#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Installs the Debian packages of the named lists (tools/packages/NAME.txt) that are missing.
#
#   tools/packages.sh build run
#
# One call of dpkg-query finds out what is missing, so a machine that has everything pays milliseconds. What is
# installed is said first, and asked on a terminal unless COHUB_YES=1.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

# Prints the wanted entries of which neither a package nor what another one provides is installed. A line of the lists
# may name alternatives: `a | b`.
missing_entries() {
  awk '
    FNR == 1 { file++ }
    file == 1 { # "ii |name|provided (= 1), provided"
      split($0, part, "|")
      if (part[1] !~ /^.i/) next
      have[part[2]] = 1
      n = split(part[3], provided, ",")
      for (i = 1; i <= n; i++) { sub(/^ */, "", provided[i]); sub(/[ :].*/, "", provided[i]); have[provided[i]] = 1 }
      next
    }
    /^#/ || NF == 0 { next }
    {
      n = split($0, choice, / *\| */)
      for (i = 1; i <= n; i++) if (choice[i] in have) next
      print
    }
  ' <(dpkg-query -W -f='${db:Status-Abbrev}|${Package}|${Provides}\n') "$@"
}

# The first alternative of each entry that the package sources offer, else the first one.
chosen_packages() {
  local entry choice offered
  for entry in "$@"; do
    offered=${entry%% *}
    for choice in ${entry//|/ }; do
      [[ -n $(apt-cache policy "$choice" | sed -n '/Candidate: (none)/d; /Candidate:/p') ]] && { offered=$choice; break; }
    done
    printf '%s\n' "$offered"
  done
}

as_root=()
if [[ $EUID -ne 0 ]]; then as_root=(sudo); fi

files=()
for list in "$@"; do files+=("$here/packages/$list.txt"); done
mapfile -t missing < <(missing_entries "${files[@]}")
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
  echo "packages are missing and neither root nor sudo is at hand; install as root: ${missing[*]%% *}" >&2
  exit 1
fi
echo "installing from Debian: ${missing[*]%% *}" >&2
if [[ -t 0 && -t 2 && ${COHUB_YES:-} != 1 ]]; then
  read -r -p "go on? [Y/n] " answer
  case $answer in '' | [Yy]*) ;; *) echo "nothing was installed" >&2; exit 1 ;; esac
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; echo "apt-get $1 failed" >&2; exit 1; }; }
# The tests start a database server of their own; the package shall not start one.
if [[ " ${missing[*]} " == *" postgresql"* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
  echo "create_main_cluster = off" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/cohub-tests.conf >/dev/null
fi
apt update
mapfile -t packages < <(chosen_packages "${missing[@]}")
# Another package manager at work holds the lock for a while; wait for it.
apt install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "${packages[@]}"
