#!/bin/sh
# Installs what is missing, builds, runs every test. Exit status 0: all passed.
set -eu
cd "$(dirname "$0")/.."
. config/lib.sh

install_packages
build_release
say "Testing"
ctest --preset release --output-on-failure --parallel "$(nproc)"
