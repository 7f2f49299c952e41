#!/bin/sh
# rustc with the instrumentation of libFuzzer, with overflow checks and with debug assertions. cargo calls it for the
# crates of this workspace only (RUSTC_WORKSPACE_WRAPPER), so that their dependencies, among them burn, are those of an
# ordinary build. The flags are those of cargo-fuzz.
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1 \
    -Coverflow-checks=on \
    -Cdebug-assertions=on
