#!/usr/bin/env bash
# Instructions a child in an application with the default features, from spawn to join: the benches are compiled with most of
# what tests need. `ci/instructions.sh COMMIT` also counts with the crate of that commit, and prints by how much it differs.
#
# Needs valgrind; without it the program is only built. Counts differ between runs by what threads wait for each other, those of
# `groups` and `timeouts` by some percent, so the median of three is taken (RUNS=9: of nine). KINDS="spawn inline" counts these alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$PWD/target/instructions
few=2000 many=22000
mkdir -p "$work"

# build TREE NAME: the program with the crate in that tree.
build() {
    mkdir -p "$work/$2/src"
    cp ci/instructions/main.rs "$work/$2/src/"
    cp Cargo.lock "$work/$2/"
    cat >"$work/$2/Cargo.toml" <<MANIFEST
[package]
name = "$2"
version = "0.0.0"
edition = "2024"
[dependencies]
async-std = "1.13"
headcount = { path = "$1" }
[workspace]
MANIFEST
    cargo build --quiet --release --manifest-path "$work/$2/Cargo.toml" --target-dir "$work/target"
}

# all NAME KIND NUMBER: all instructions of a process that runs so many children of that kind.
all() {
    ASYNC_STD_THREAD_COUNT=1 valgrind --fair-sched=yes --tool=callgrind --callgrind-out-file=/dev/null \
        "$work/target/release/$1" "$2" "$3" 2>&1 | sed -n 's/.*Collected : //p'
}

# each NAME KIND: instructions a child. The difference of two sizes is free of what the process itself costs.
each() {
    for ((run = 0; run < ${RUNS:-3}; run++)); do
        echo $((($(all "$1" "$2" $many) - $(all "$1" "$2" $few)) / (many - few)))
    done | sort -n | awk '{ of[NR] = $1 } END { print of[int((NR + 1) / 2)] }'
}

build "$PWD" now
if ! command -v valgrind >/dev/null; then
    echo "there is no valgrind, so nothing is counted"
    exit
fi
if [ $# -gt 0 ]; then
    commit=$(git rev-parse --verify "$1^{commit}")
    rm -rf "$work/tree" && mkdir "$work/tree"
    git archive "$commit" | tar -x -C "$work/tree"
    build "$work/tree" before
fi
for kind in ${KINDS:-spawn handles yields cancelled mapped inline groups timeouts}; do
    now=$(each now $kind)
    if [ $# -gt 0 ]; then
        before=$(each before $kind)
        awk -v kind=$kind -v now="$now" -v before="$before" \
            'BEGIN { printf "%-9s %6d before %6d %+6.1f %%\n", kind, now, before, (now / before - 1) * 100 }'
    else
        printf '%-9s %6d\n' $kind "$now"
    fi
done
