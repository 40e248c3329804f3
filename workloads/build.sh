#!/usr/bin/env bash
# Rebuilds every committed .wasm: the demo's programs, the examples of the guest
# kits, and the programs that the sandbox is tested with. The same compilers
# give the same bytes, wherever the folder lies: `build.sh --check` builds into
# a scratch folder and compares with the committed files.
#
# C and Zig are compiled by ziglang, put into a venv: $WORKLOADS_VENV, or .venv
# beside this file. Rust wants a compiler with the WebAssembly targets; on
# Debian 12: apt install rustc libstd-rust-dev-wasm32 lld. Another one is named
# by $GUEST_RUSTC.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

venv="${WORKLOADS_VENV:-$PWD/.venv}"
rustc="${GUEST_RUSTC:-/usr/bin/rustc}"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r guest/requirements.txt
export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$venv/zig-cache}"
export ZIG_LOCAL_CACHE_DIR="$ZIG_GLOBAL_CACHE_DIR"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
check="${1:-}"

zig() { "$venv/bin/python" -m ziglang "$@"; }

# Takes or compares what was built for FILE.
settle() {
    if [ "$check" = "--check" ]; then
        cmp "$scratch/out.wasm" "$1"
    else
        install -m 644 "$scratch/out.wasm" "$1"
    fi
    echo "$1 $(wc -c <"$scratch/out.wasm") bytes, sha256 $(sha256sum "$scratch/out.wasm" | cut -c1-16)"
}

c_flags=(-std=c17 -O2 -g0 -Wall -Wextra -Werror -fno-sanitize=undefined "-ffile-prefix-map=$PWD=.")
rust_flags=(--edition 2021 -C opt-level=2 -C panic=abort -C linker=rust-lld -C strip=symbols
    --remap-path-prefix "$PWD=.")

# Programs for the guest ABI, without a C library.
for name in scenario/scenario video/video guest/examples/histogram bench/float bench/integer; do
    target="$name.wasm"
    [ "$name" = guest/examples/histogram ] && target=guest/examples/histogram_c.wasm
    zig cc -target wasm32-freestanding -mcpu=mvp+bulk_memory+sign_ext "${c_flags[@]}" \
        -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=65536 \
        -o "$scratch/out.wasm" "$name.c"
    settle "$target"
done

"$rustc" --target wasm32-unknown-unknown --crate-name driveway --crate-type rlib \
    "${rust_flags[@]}" -o "$scratch/libdriveway.rlib" guest/rust/src/lib.rs
"$rustc" --target wasm32-unknown-unknown --crate-name histogram --crate-type cdylib \
    "${rust_flags[@]}" -C link-arg=-zstack-size=65536 --extern "driveway=$scratch/libdriveway.rlib" \
    -o "$scratch/out.wasm" guest/examples/histogram.rs
settle guest/examples/histogram_rust.wasm

# Ordinary programs, for WASI.
guests=../vehicle/tests/guests
for name in upper probe; do
    zig cc -target wasm32-wasi "${c_flags[@]}" -D_GNU_SOURCE -s -o "$scratch/out.wasm" "$guests/$name.c"
    settle "$guests/$name.wasm"
done
"$rustc" --target wasm32-wasi --crate-name sort "${rust_flags[@]}" \
    -o "$scratch/out.wasm" "$guests/sort.rs"
settle "$guests/sort.wasm"
zig build-exe -target wasm32-wasi -O ReleaseSmall -fstrip -femit-bin="$scratch/out.wasm" "$guests/sum.zig"
settle "$guests/sum.wasm"
