#!/usr/bin/env bash
# Makes .venv and installs one pinned, hashed set of requirements into it, then the project itself.
#
#   scripts/setup.sh run|test|bench
#
# Does nothing when the set is up to date. PYTHON names the interpreter to start from (3.11 or newer).
set -euo pipefail
cd "$(dirname "$0")/.."

set_name=${1:?usage: scripts/setup.sh run|test|bench}
requirements=requirements/$set_name.txt
stamp=.venv/.installed-$set_name
fingerprint=$(cksum "$requirements" requirements/installer.txt pyproject.toml "$0" | cksum)
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1} # trust what the rest of the machine trusts
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "setup: Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"
    exit 1
}

make_venv() {
    if [ -x .venv/bin/python ] && new_enough .venv/bin/python; then
        return
    fi
    local python
    python=$(find_python)
    say "setup: making .venv with $("$python" --version)"
    if ! "$python" -m venv --clear .venv; then
        say "setup: this Python cannot make virtual environments (on Debian: apt-get install python3-venv)"
        exit 1
    fi
}

have_uv() {
    [ -x .venv/bin/uv ] || quietly .venv/bin/python -m pip install --quiet --require-hashes -r requirements/installer.txt
}

quietly() { # shows what a command said only when it fails
    local said
    if ! said=$("$@" 2>&1); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}

install() { # with uv; with pip, slower, where uv cannot be had or cannot work
    if have_uv && quietly .venv/bin/uv pip install --quiet --python .venv/bin/python "$@"; then
        return
    fi
    say "setup: going on with pip, which takes longer"
    quietly .venv/bin/python -m pip install --quiet "$@"
}

if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; then
    exit 0
fi
started=$SECONDS
make_venv
say "setup: installing $requirements"
install --require-hashes -r "$requirements"
install --no-deps --no-build-isolation --editable .
printf '%s\n' "$fingerprint" >"$stamp"
say "setup: .venv is ready ($((SECONDS - started)) s)"
