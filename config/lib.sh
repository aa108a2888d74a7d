# shellcheck shell=sh
# Shared by demo.sh and test.sh; sourced from the repository's root.

say() { printf '%s\n' "== $*"; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "Packages are missing, and this is neither root nor is sudo here. As root, run: apt-get install --no-install-recommends$missing"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"
}

# Installs what packages.txt names and is not there. Never lets apt remove a package: libboost1.81-dev would silently
# take the place of the default libboost-dev that other work on the machine may need.
install_packages() {
    command -v dpkg-query >/dev/null 2>&1 ||
        die "No dpkg-query here: these scripts install packages on Debian 12. Elsewhere, install what config/packages.txt names and use cmake --preset release."
    missing=
    # shellcheck disable=SC2013  # package names are words
    for package in $(sed 's/#.*//' config/packages.txt); do
        # One line an architecture.
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0

    say "Installing packages:$missing"
    # shellcheck disable=SC2086  # a list of words
    if ! plan=$(apt-get -s install --no-install-recommends $missing 2>&1); then
        apt_get update || die "apt-get update failed: is there a network, and is /etc/apt/sources.list right?"
        plan=$(apt-get -s install --no-install-recommends $missing 2>&1) ||
            die "apt cannot install the packages:
$plan"
    fi
    removed=$(printf '%s\n' "$plan" | awk '$1 == "Remv" { printf " %s", $2 }')
    [ -z "$removed" ] ||
        die "Installing$missing would remove$removed. Remove them yourself if nothing needs them, then run this again (Boost 1.74's and 1.81's -dev packages exclude each other)."
    # Package lists that are days old name files that the mirror no longer has: update once, then try again.
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends --no-remove $missing ||
        { apt_get update && apt_get install -y --no-install-recommends --no-remove $missing; } ||
        die "Could not install:$missing"
}

# build_release [TARGET ...]: all, or these. One compiler a core: the default of ninja, two more, can exhaust a small
# machine's memory.
build_release() {
    say "Building"
    cmake --preset release || die "cmake --preset release failed"
    cmake --build --preset release --parallel "$(nproc)" ${1:+--target "$@"} || die "The build failed"
}
