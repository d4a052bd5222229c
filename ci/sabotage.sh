#!/usr/bin/env bash
# Do the tests see? Plants the bugs of tests/sabotage into a copy of the tree, one at a time, and runs
# for each the tests that tests/sabotage/list names: they have to fail, and to say what it says there.
# Before that they have to pass on the copy as it is. `ci/sabotage.sh NAME...` plants only these.
#
# Fails if a test misses its bug (to hang is to miss it), if a bug is not caught by two engines of
# different kinds, and if a patch does not apply or what it makes does not compile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

here=$PWD
list=tests/sabotage/list
# What is built with a bug must never be taken for a build of the tree, so nothing here is shared with
# it: a folder of its own for each engine, and the copy outside of all of these.
work=$here/target/sabotage
tree=$work/tree
out=$work/output
# One test has so many seconds.
patience=200

# engine NAME: sets what there is to know of it.
engine() {
    target=$work/$1 flags="" before="" variables=()
    case $1 in
    simulator)
        build=(--test properties)
        # Always the same programs.
        variables=(PROGRAMS=100000 PROPTEST_RNG_SEED=1)
        ;;
    loom)
        build=(--lib) flags="--cfg loom" before=kernel::tests::
        variables=(HEADCOUNT_MODELS=usual)
        ;;
    shuttle)
        build=(--test shuttle) flags="--cfg shuttle"
        variables=(SHUTTLE_SILENCE_WARNINGS=1)
        ;;
    *)
        echo "$list: there is no engine $1" >&2
        exit 1
        ;;
    esac
}

# compiled ENGINE: sets `program` to its tests, compiled as the tree is now.
compiled() {
    engine "$1"
    program=$(cd "$tree" && RUSTFLAGS="$flags ${RUSTFLAGS:-}" CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=1 \
        cargo test --release "${build[@]}" --no-run 2>&1 | tee "$out" |
        sed -n 's/^ *Executable .*(\(.*\))$/\1/p') || true
    if [[ ! -x $program ]]; then
        cat "$out" >&2
        echo "$1 does not compile" >&2
        exit 1
    fi
}

# passes ENGINE TEST: runs one test, sets `took`. Its output is in $out.
passes() {
    engine "$1"
    rm -f "$tree/tests/properties.regressions"
    local start=$EPOCHREALTIME status=0
    (cd "$tree" && env "${variables[@]}" RUST_BACKTRACE=0 \
        timeout "$patience" "$program" --exact "$before$2" --nocapture) >"$out" 2>&1 || status=$?
    took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    if ((status == 124)); then
        echo "no end after $patience seconds" >"$out"
    fi
    return "$status"
}

applied() {
    # (A copy below a repository is none of its files to git, unless it does not look there.)
    (cd "$tree" && GIT_CEILING_DIRECTORIES=$work git apply "$@")
}

rm -rf "$tree"
mkdir -p "$tree"
trap 'rm -rf "$tree"' EXIT
# As if just changed, lest cargo takes what was built with the last bug for a build of this.
git ls-files --cached --others --exclude-standard -z | tar --null --files-from=- -cf - |
    tar --touch -xf - -C "$tree"

names=("$@")
if ((${#names[@]} == 0)); then
    for patch in tests/sabotage/*.patch; do
        names+=("$(basename "$patch" .patch)")
    done
fi
rows=$(grep -vE '^(#|$)' "$list")
wanted=$(awk -v names=" ${names[*]} " 'index(names, " " $1 " ")' <<<"$rows")

echo "==> as it is"
while read -r name _; do
    [[ -f tests/sabotage/$name.patch ]] || { echo "$list: there is no $name.patch" >&2; exit 1; }
done <<<"$rows"
last=""
while read -r engine test; do
    [[ $engine == "$last" ]] || compiled "$engine"
    last=$engine
    if ! passes "$engine" "$test" || ! grep -q '^running 1 test$' "$out"; then
        cat "$out" >&2
        echo "$engine $test does not pass without a bug, or is not there" >&2
        exit 1
    fi
    echo "$engine $test: passes, $took s"
done < <(awk '{ print $2, $3 }' <<<"$wanted" | sort -u)

missed=0
for name in "${names[@]}"; do
    patch=$here/tests/sabotage/$name.patch
    echo "==> $name: $(sed -n '1s/^# //p' "$patch")"
    applied "$patch" || { echo "$name.patch does not apply" >&2; exit 1; }
    kinds=()
    while read -r bug engine test says; do
        [[ $bug == "$name" ]] || continue
        compiled "$engine"
        if passes "$engine" "$test"; then
            echo "MISSED by $engine $test, $took s"
            missed=$((missed + 1))
        elif ! grep -qE -- "$says" "$out"; then
            tail -n 30 "$out"
            echo "MISSED by $engine $test: it failed, and did not say '$says', $took s"
            missed=$((missed + 1))
        else
            echo "caught by $engine $test: '$says', $took s"
            kinds+=("$engine")
        fi
    done <<<"$wanted"
    if (($(printf '%s\n' "${kinds[@]}" | sort -u | grep -c .) < 2)); then
        echo "MISSED: not caught by two engines"
        missed=$((missed + 1))
    fi
    applied --reverse "$patch"
done

if ((missed > 0)); then
    echo "$missed missed" >&2
    exit 1
fi
echo "${#names[@]} bugs planted, each caught"
