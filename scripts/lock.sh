#!/usr/bin/env bash
# Resolves pyproject.toml anew and writes requirements/*.txt: pinned, hashed, without any address.
# The lock file itself stays out of the repository, because it records where packages came from.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
uv=.venv/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || {
    echo "lock: uv is needed; run 'make setup' first" >&2
    exit 1
}

export_set() { # name, then what the set holds
    local name=$1
    shift
    "$uv" export --quiet --frozen --no-header --no-emit-project --no-default-groups "$@" --output-file "requirements/$name.txt"
}

"$uv" lock --quiet "$@"
mkdir -p requirements
export_set installer --only-group installer
export_set run --group build
export_set stripe --group build --extra stripe
export_set test --group build --group dev --group mongo-test --group s3-test --group stripe-test --all-extras
export_set bench --group build --group dev --group mongo-test --group s3-test --group stripe-test --all-extras --group bench
if grep -nE '://|index-url|find-links' requirements/*.txt; then
    echo "lock: an address got into the requirements" >&2
    exit 1
fi
wc -l requirements/*.txt
