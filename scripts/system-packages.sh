#!/usr/bin/env bash
# Installs the system packages that tests need, only those that are missing and only where it may.
# One per line: the command that shows it is there, then Debian's package.
set -euo pipefail
needed="
git git
chromium chromium
"
# The library, then Debian's package: what the mongod of the mongo-test group is linked with.
libraries="
libcurl.so.4 libcurl4
libssl.so.3 libssl3
"
missing=()
while read -r command package; do
    [ -z "$command" ] || command -v "$command" >/dev/null 2>&1 || missing+=("$package")
done <<<"$needed"
if [ "$(uname -sm)" = "Linux x86_64" ]; then
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
    while read -r library package; do
        [ -z "$library" ] || [[ $known == *"$library "* ]] || missing+=("$package")
    done <<<"$libraries"
fi
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "test: please install first: ${missing[*]}" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
