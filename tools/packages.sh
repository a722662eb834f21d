#!/bin/sh
# tools/packages.sh 'TEST' PACKAGE...: installs Debian packages unless TEST, a shell command, succeeds. Where it may not
# install (no apt-get, not root, no sudo without a password), it says in one line what is missing and stops.
set -u
test=$1
shift
sh -c "$test" >/dev/null 2>&1 && exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    sudo -n true 2>/dev/null || as_root=none
fi
if ! command -v apt-get >/dev/null || [ "$as_root" = none ]; then
    echo "atlas-ds: needed and not here; as root: apt-get install $*" >&2
    exit 1
fi
echo "installing Debian packages: $*" >&2
log=$(mktemp)
install() { DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q "$@" >"$log" 2>&1 </dev/null; }
if ! install "$@"; then # an old or empty package list is the usual reason
    $as_root apt-get update -q >>"$log" 2>&1 && install "$@"
fi
if ! sh -c "$test" >/dev/null 2>&1; then
    tail -5 "$log" >&2
    echo "atlas-ds: could not install them; try: apt-get update && apt-get install $*" >&2
    exit 1
fi
rm -f "$log"
