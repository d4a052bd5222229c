#!/usr/bin/env bash
# The models of the kernel (src/kernel/tests) under loom. `ci/loom.sh deep` tries more preemptions.
# Prints the size of each; fails if one fails, or has not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=target/loom
export HEADCOUNT_MODELS=${1:-usual}

report=$(mktemp)
trap 'rm -f "$report"' EXIT
# Not captured: a failure ends the process, and with it what was captured.
cargo test --release --lib kernel::tests -- --nocapture 2>&1 | tee "$report"

models=$(grep -c '^#\[test\]' src/kernel/tests/*.rs | awk -F: '{ sum += $2 } END { print sum }')
run=$(grep -oE 'model [^ ]+: .* [1-9][0-9]* iterations, [2-9] threads' "$report" | wc -l)
if ((models == 0 || run != models)); then
    echo "$run of $models models have run" >&2
    exit 1
fi
echo "$run models checked"
