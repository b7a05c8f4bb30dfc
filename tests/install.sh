#!/bin/sh
# Installs the programs that the tests drive, from Debian's packages, where they are missing and we are root.
# What cannot be had is no failure here: its tests are skipped by name (and fail under CI=true).
set -eu

packages=""
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need chromium chromium
need chromedriver chromium-driver
need dockerd docker.io
need iptables iptables
need debootstrap debootstrap
need ruby ruby
need redis-server redis-server
need mvn maven
need go golang
need openssl openssl

[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed, so their tests will be skipped:$packages" >&2
    exit 0
fi
echo "installing$packages …"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
# shellcheck disable=SC2086  # one word a package
apt-get install -y -qq --no-install-recommends $packages >/dev/null || {
    for package in $packages; do
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "cannot install $package" >&2
    done
}
