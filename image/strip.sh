#!/bin/sh
# Removes from the image what a running operator does not need. The Dockerfile runs this script in the
# base, /venv included. A compiler ends the build, because the base is then the wrong one.
# Kept: the shell, Debian's perl-base, dpkg and, where the base has it, apt. Without root and on
# a read-only file system they change nothing, and scanners need dpkg's list of packages.
set -eu

for tool in cc gcc g++ c++ clang tcc as ld make rustc go; do
    if command -v "$tool" >/dev/null; then
        echo "strip.sh: the base image has a compiler or linker ($(command -v "$tool")); take a slim one" >&2
        exit 1
    fi
done

# pip, its dependencies, and the files that could re-create it.
find / -xdev -path /proc -prune -o \
    \( -path '*/site-packages/*' -o -path '*/dist-packages/*' \) \
    \( -name pip -o -name 'pip-*' -o -name setuptools -o -name 'setuptools-*' \
    -o -name pkg_resources -o -name _distutils_hack -o -name distutils-precedence.pth \
    -o -name wheel -o -name 'wheel-*' \) -prune -exec rm -rf {} +
find / -xdev -path /proc -prune -o -type d -name ensurepip -prune -exec rm -rf {} +
find / -xdev -path /proc -prune -o -path '*/bin/*' \
    \( -name 'pip' -o -name 'pip[0-9]*' -o -name wheel -o -name 'easy_install*' \) -exec rm -f {} +
rm -rf /usr/share/python-wheels ~root/.cache /var/cache/apt/* /var/lib/apt/lists/*

# No process may change its user.
find / -xdev -path /proc -prune -o -type f -perm /6000 -exec chmod ug-s {} +

rm -f "$0"
