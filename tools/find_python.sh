#!/bin/sh
# Print the path of a Python that can hold the environment; where there is none, say what to install and fail.
# Usage: find_python.sh [MINOR]. Order: $PYTHON if set, then MINOR (by default that of .python-version), then the newest.
# Only shell built-ins are needed.

# A candidate must run: a pyenv shim may exist for a version that is not selected, and Debian ships a Python without venv.
accept() {
    "$1" -c '
import ensurepip, sys, sysconfig, venv
good = (3, 12) <= sys.version_info < (3, 15) and sys.version_info.releaselevel == "final"
if not good or sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
print(sys.executable)' 2>/dev/null && exit 0
}

cannot="Install Python 3.12, 3.13 or 3.14 with its venv module (python.org, your system's packages, pyenv or uv), \
then run make again."

if [ -n "$PYTHON" ]; then
    accept "$PYTHON"
    echo "PYTHON=$PYTHON is not a Python that can be used here. $cannot" >&2
    exit 1
fi

preferred=$1
[ -z "$preferred" ] && [ -r .python-version ] && read -r preferred <.python-version
pyenv=${PYENV_ROOT:-$HOME/.pyenv}

for minor in $preferred 3.14 3.13 3.12; do
    accept "python$minor"
    for candidate in "$pyenv/versions/$minor"*/bin/"python$minor"; do
        accept "$candidate"
    done
    for uv in uv "$HOME/.local/bin/uv"; do
        found=$("$uv" python find --system --no-python-downloads "$minor" 2>/dev/null) && accept "$found"
    done
done
accept python3
accept python

echo "$cannot" >&2
exit 1
