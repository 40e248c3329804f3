#!/usr/bin/env bash
# Rebuilds scenario/scenario.wasm and video/video.wasm. The same compiler gives
# the same bytes, wherever the folder lies: `build.sh --check` builds into a
# scratch folder and compares with the committed files.
#
# The compiler is put into a venv: $WORKLOADS_VENV, or .venv beside this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

venv="${WORKLOADS_VENV:-$PWD/.venv}"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r guest/requirements.txt
export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$venv/zig-cache}"
export ZIG_LOCAL_CACHE_DIR="$ZIG_GLOBAL_CACHE_DIR"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

for name in scenario video; do
    "$venv/bin/python" -m ziglang cc -target wasm32-freestanding -mcpu=mvp+bulk_memory+sign_ext \
        -std=c17 -O2 -g0 -Wall -Wextra -Werror -fno-sanitize=undefined -ffile-prefix-map="$PWD"=. \
        -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=65536 \
        -o "$scratch/$name.wasm" "$name/$name.c"
    if [ "${1:-}" = "--check" ]; then
        cmp "$scratch/$name.wasm" "$name/$name.wasm"
    else
        install -m 644 "$scratch/$name.wasm" "$name/$name.wasm"
    fi
    echo "$name/$name.wasm $(wc -c <"$scratch/$name.wasm") bytes, sha256 $(sha256sum "$scratch/$name.wasm" | cut -c1-16)"
done
