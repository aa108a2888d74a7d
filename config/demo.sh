#!/bin/sh
# Installs what is missing, builds, starts the daemon with the bundled model and lets it tell a story, twice.
# Exit status 0: the daemon came up, both stories have words, and it stopped cleanly.
set -eu
cd "$(dirname "$0")/.."
. config/lib.sh

install_packages
build_release kvasird kvasir

dir=$(mktemp -d)
socket=$dir/kvasir.sock
daemon=
clean_up() {
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf '%s\n' "$*" "The daemon's log:" >&2
    cat "$dir/log" >&2
    exit 1
}

kvasir() { build/release/bin/kvasir --socket "$socket" "$@"; }

say "Starting kvasird with tests/data/tales-5m-q8_0.gguf"
build/release/bin/kvasird --config config/kvasird.toml --model tests/data/tales-5m-q8_0.gguf --socket "$socket" \
    --set device.pipeline_cache_dir="$dir/cache" 2>"$dir/log" &
daemon=$!

seconds=0
until kvasir health >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || { daemon=; fail "kvasird ended before it answered."; }
    [ "$seconds" -lt 120 ] || fail "kvasird does not answer after $seconds seconds."
    sleep 1
    seconds=$((seconds + 1))
done

# The exit status goes through a file: a pipe's status is tee's.
tell() {
    printf '%s' "$2"
    { kvasir run --max-tokens 120 --temperature 0.7 --seed "$1" --stats "$2" && echo ok >"$dir/told"; } | tee "$dir/story"
    echo
    [ -e "$dir/told" ] || fail "kvasir run failed."
    rm "$dir/told"
    [ "$(wc -w <"$dir/story")" -ge 10 ] || fail "kvasir run printed $(wc -w <"$dir/story") words, expected a story."
}

opening="Once upon a time there was a poor miller who had three sons and a cat. When he grew old, he called them to his bedside, one after the other, and gave each of them what he had, and then he said:"
say "A story"
tell 1 "$opening"
say "Another with the same opening"
tell 2 "$opening"

say "The cache at work: prompt tokens that were asked for, and found already computed"
kvasir metrics | grep -E '^kvasir_(prompt|cached)_tokens_total' || fail "kvasir metrics failed."

if kvasir --help 2>/dev/null | grep -q '^ *ps\>'; then
    say "Sessions"
    kvasir ps || fail "kvasir ps failed."
fi

say "Stopping"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
[ "$status" -eq 0 ] || fail "kvasird ended with status $status."
say "Done"
