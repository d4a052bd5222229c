#!/usr/bin/env bash
# Hours of what `.ci/run` does in minutes: ci/deep.sh [MINUTES [ENGINE...]]
#
# Each engine gets that many minutes (default 60): `programs` random programs in the simulator, each
# run of them with another seed; `threads` the same on real threads; `shuttle` its programs with other
# random seeds; `fuzz` both fuzz targets (needs cargo-fuzz and a nightly toolchain); and `loom`, which
# has no budget: it runs its larger bounds once. Without names, all of them. The first failure ends it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:-60}
shift || true
engines=("$@")
((${#engines[@]})) || engines=(programs threads shuttle fuzz loom)
# So that two runs do not try the same.
first=$(date +%s)

# rounds COMMAND...: runs it with $seed counting up, until the time is over.
rounds() {
    local end=$((SECONDS + minutes * 60)) seed=$first count=0
    while
        # (In a condition `set -e` does not hold.)
        seed=$seed "$@" || exit 1
        seed=$((seed + 1)) count=$((count + 1))
        ((SECONDS < end))
    do :; done
    echo "$*: $count rounds, seeds $first to $((seed - 1)), clean"
}

programs() {
    PROGRAMS_SEED=$seed PROGRAMS=100000 cargo test --release --test properties what_comes_out_of
}

threads() {
    PROGRAMS_SEED=$seed PROGRAMS=20000 cargo test --release --test properties on_real_threads
}

shuttle() {
    SHUTTLE_RANDOM_SEED=$seed SHUTTLE_SCHEDULES=20000 bash ci/shuttle.sh
}

for engine in "${engines[@]}"; do
    echo "==> $engine"
    case $engine in
    programs | threads | shuttle) rounds "$engine" ;;
    loom) bash ci/loom.sh deep ;;
    fuzz)
        for target in programs_sim programs_threads; do
            mkdir -p "fuzz/corpus/$target"
            cargo +nightly fuzz run -O -s none "$target" "fuzz/corpus/$target" fuzz/seeds -- \
                -max_total_time=$((minutes * 30))
        done
        ;;
    *)
        echo "no engine $engine: programs, threads, shuttle, fuzz, loom" >&2
        exit 2
        ;;
    esac
done
