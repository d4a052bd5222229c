#!/usr/bin/env bash
# Small whole programs under shuttle, which decides about every switch. Arguments go to the tests.
#
# More of it: SHUTTLE_SCHEDULES=500000 ci/shuttle.sh runs a million schedules of each program, half
# of them at random and half by PCT; SHUTTLE_RANDOM_SEED=n takes others. A failure prints its
# schedule: SHUTTLE_REPLAY='<schedule>' ci/shuttle.sh <name of the test> --nocapture replays it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export RUSTFLAGS="${RUSTFLAGS:-} --cfg shuttle" CARGO_TARGET_DIR=target/shuttle
export SHUTTLE_SILENCE_WARNINGS=1
exec cargo test --release --test shuttle -- "$@"
