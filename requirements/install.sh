#!/usr/bin/env bash
# Builds .venv from the hash-pinned files, silently, and says in one line what to do if it cannot.
# `make install` runs it when requirements/ or pyproject.toml changed; PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
    echo "make install: $*" >&2
    exit 1
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

wanted=$(version_of "$python") ||
    fail "$python does not run; install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv) or name one: make install PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is Python $wanted, 3.11 or newer is needed; install one and name it: make install PYTHON=python3.12"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module; install it (Debian, Ubuntu: apt install python$wanted-venv) and try again"

# An environment of another Python, or one whose Python was removed, is of no use.
if [ "$(version_of .venv/bin/python || true)" != "$wanted" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Creating .venv with Python $wanted"
    "$python" -m venv --clear .venv || fail "$python -m venv failed, see above"
fi

log=.venv/install.log
pip_install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@" >>"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        fail "pip failed, see above and $log; if it could not reach the package index, check the network or pip's own configuration"
    }
}

: >"$log"
echo "Installing the pinned packages into .venv (log: $log)"
pip_install --require-hashes -r requirements/runtime.txt -r requirements/dev.txt
pip_install --no-deps --no-build-isolation -e .
echo "Installed."
