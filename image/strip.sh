#!/bin/sh
# Takes out of the image what a running operator has no use for. The Dockerfile runs it in the base,
# /venv included; it ends the build if there is a compiler, as then the base is the wrong one.
# Left alone: the shell, Debian's perl-base, dpkg and, where the base has it, apt. Without root and on
# a read-only file system they change nothing, and scanners need dpkg's list of packages.
set -eu

for tool in cc gcc g++ c++ clang tcc as ld make rustc go; do
    if command -v "$tool" >/dev/null; then
        echo "strip.sh: the base image has a compiler or linker ($(command -v "$tool")); take a slim one" >&2
        exit 1
    fi
done

# pip, what it comes with, and what it can be made from again.
find / -xdev -path /proc -prune -o \
    \( -path '*/site-packages/*' -o -path '*/dist-packages/*' \) \
    \( -name pip -o -name 'pip-*' -o -name setuptools -o -name 'setuptools-*' \
    -o -name pkg_resources -o -name _distutils_hack -o -name distutils-precedence.pth \
    -o -name wheel -o -name 'wheel-*' \) -prune -exec rm -rf {} +
find / -xdev -path /proc -prune -o -type d -name ensurepip -prune -exec rm -rf {} +
find / -xdev -path /proc -prune -o -path '*/bin/*' \
    \( -name 'pip' -o -name 'pip[0-9]*' -o -name wheel -o -name 'easy_install*' \) -exec rm -f {} +
rm -rf /usr/share/python-wheels ~root/.cache /var/cache/apt/* /var/lib/apt/lists/*

# Nobody becomes anybody else in here.
find / -xdev -path /proc -prune -o -type f -perm /6000 -exec chmod ug-s {} +

rm -f "$0"
