#!/usr/bin/env bash
# Which lines and branches of src/ do the tests run? `ci/coverage.sh` prints a table; `ci/coverage.sh missed` also what
# nobody has run: a line, or one of the two ways of a condition.
#
# Needs a nightly toolchain, since only it counts branches, and the llvm-profdata and llvm-cov of its LLVM (`rustc +nightly -vV`),
# on PATH or in the variables LLVM_PROFDATA and LLVM_COV. Left out: tests/ui.rs, which runs nothing, the examples
# of the documentation, the modules of tests in src/, and the features `timeline`, `tracing` and `task-locals` with the
# tests that need them (`features_of_children` in .ci/run).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR=$PWD/target/coverage
profiles=$CARGO_TARGET_DIR/profiles
export RUSTFLAGS="-Cinstrument-coverage -Zcoverage-options=branch ${RUSTFLAGS:-}"
# Also what build scripts write: not into the tree.
export LLVM_PROFILE_FILE=$profiles/%8m.profraw

programs() {
    cargo +nightly "$@" --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

tests=(--lib)
for test in chat examples hangs it linkcheck memory processes properties signals; do
    tests+=(--test "$test")
done
mapfile -t objects < <(programs build --examples && programs test "${tests[@]}" --no-run)

rm -rf "$profiles"
status=0
cargo +nightly test "${tests[@]}" --no-fail-fast || status=$?

"${LLVM_PROFDATA:-llvm-profdata}" merge -sparse "$profiles"/*.profraw -o "$profiles/all.profdata"
# Of a generic function, what any of its instances has run counts.
"${LLVM_COV:-llvm-cov}" export -format=lcov -unify-instantiations -instr-profile="$profiles/all.profdata" \
    "${objects[0]}" "${objects[@]/#/-object=}" -sources "$PWD/src" >"$profiles/all.lcov"

awk -F '[:,]' -v here="$PWD/" -v missed="${1:-}" '
    $1 == "SF" {
        file = substr($2, length(here) + 1)
        # Tests are at the end of a file, or in a folder.
        end = file ~ /\/tests(\/|\.rs$)/ ? 0 : 1e9
        for (number = 1; end && (getline text < $2) > 0; number++)
            if (text ~ /^mod tests \{/) end = number
        close($2)
    }
    $1 == "DA" && $2 < end {
        lines[file]++
        if ($3 > 0) run[file]++
        else if (missed) print file ":" $2 ": line"
    }
    $1 == "BRDA" && $2 < end {
        branches[file]++
        if ($5 != "-" && $5 > 0) taken[file]++
        # (A line that nobody has run is named above.)
        else if (missed && $5 != "-") print file ":" $2 ": branch " $4
    }
    function row(name, run, lines, taken, branches) {
        return sprintf("%-30s %5d of %5d lines %5.1f %% %5d of %5d branches %5.1f %%", name, run, lines,
            100 * run / lines, taken, branches, branches ? 100 * taken / branches : 100)
    }
    END {
        for (file in lines) {
            print row(file, run[file], lines[file], taken[file], branches[file]) | "sort"
            alllines += lines[file]; allrun += run[file]
            allbranches += branches[file]; alltaken += taken[file]
        }
        close("sort")
        print row("all", allrun, alllines, alltaken, allbranches)
    }' "$profiles/all.lcov"
exit "$status"
