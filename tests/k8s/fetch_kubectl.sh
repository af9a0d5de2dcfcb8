#!/usr/bin/env bash
# Puts a kubectl that can render the overlays at the path that is given: the machine's own if it is
# new enough, otherwise the one of Debian 13, whose signature apt checks. Installs nothing.
set -euo pipefail

target=$1
mkdir -p "$(dirname "$target")"

minor() { # of a kubectl 1.x
    "$1" version --client 2> /dev/null | sed -n 's/^Client Version: v1\.\([0-9]*\)\..*/\1/p'
}

if own=$(command -v kubectl) && [ "$(minor "$own" || echo 0)" -ge 27 ] 2> /dev/null; then
    ln -sf "$own" "$target"
    exit
fi
command -v apt-get dpkg-deb > /dev/null || {
    echo 'there is no kubectl 1.27 or newer, and no apt to fetch one; install it yourself' >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/lists/partial "$work"/cache/archives/partial
touch "$work/status"
echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]' \
    'http://deb.debian.org/debian trixie main' > "$work/trixie.list"
apt=(
    apt-get -qq
    -o "Dir::Etc::SourceList=$work/trixie.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
    -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=
)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download kubectl && dpkg-deb -x kubectl_*.deb unpacked)
install -m 755 "$work/unpacked/usr/bin/kubectl" "$target"
"$target" version --client
