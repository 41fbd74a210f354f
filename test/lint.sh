#!/bin/sh
# lint.sh [FILE...]: static analysis of the whole tree or of some files: clang-tidy (bugprone, analyzer), cppcheck,
# shell syntax and file length. A finding fails the run; a suppression stands in the code with its reason.
# V=1 shows the path that leads to each finding.
#
# What was clean is remembered in BUILD/lint, under a digest of the file, every header of ours it includes,
# the flags, the rules and the tools; so a second run looks only at what changed.
set -u
build=${BUILD:-build}
jobs=${JOBS:-$(nproc)}
cd "$(dirname "$0")/.." || exit 1

# One file, called by xargs below: what was found goes to stdout, the status says whether it is clean.
if [ "${1-}" = --one ]; then
    file=$2
    seen=$build/lint/$file.clean
    # shellcheck disable=SC2086
    deps=$(clang $LINT_FLAGS -MM -MT x "$file") || exit 1
    key=$({ echo "$LINT_RULES"; printf '%s\n' "$deps" | tr -s ' \\' '\n\n' | grep -v -x -e '' -e x: | xargs cat; } |
        sha256sum)
    [ -e "$seen" ] && [ "$(cat "$seen")" = "$key" ] && exit 0
    status=0
    # shellcheck disable=SC2086
    out=$(clang-tidy --quiet "$file" -- $LINT_FLAGS 2>"$build/lint/err.$$") || status=1
    if [ -n "$out" ]; then
        status=1
        # one in a header says in which file it showed
        if [ -n "${V-}" ]; then echo "$out"; else echo "$out" | grep -aE '(warning|error):' | sed "\,$file:,!s,\$, (in $file),"; fi
    fi
    # a file that clang-tidy cannot read has no findings: say what it said
    [ "$status" = 0 ] || [ -n "$out" ] || cat "$build/lint/err.$$"
    rm -f "$build/lint/err.$$"
    cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability \
        --suppress=missingIncludeSystem --suppress=unknownMacro --template='{file}:{line}: {severity}: {message} [{id}]' \
        -D__GNUC__ -D__cppcheck__ -D"__$(uname -m)__" -D_GNU_SOURCE -I. "$file" 2>&1 || status=1
    [ "$status" = 0 ] || exit 1
    mkdir -p "$(dirname "$seen")"
    echo "$key" >"$seen"
    exit 0
fi

status=0
mkdir -p "$build/lint"

# generated headers must exist before they can be included
make --no-print-directory BUILD="$build" -j"$jobs" gen >"$build/lint/gen.log" 2>&1 || {
    cat "$build/lint/gen.log"
    exit 1
}
LINT_FLAGS=$(make -s --no-print-directory BUILD="$build" lint-flags) || exit 1
LINT_RULES=$({ echo "$LINT_FLAGS"; clang-tidy --version; cppcheck --version; cat .clang-tidy test/lint.sh; } | sha256sum)
export LINT_FLAGS LINT_RULES BUILD="$build"

sources() { # tracked files and new ones, that exist
    git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r f; do [ -f "$f" ] && echo "$f"; done
}

echo "lint: clang-tidy and cppcheck"
{
    if [ $# -gt 0 ]; then printf '%s\n' "$@"; else sources '*.c' | grep -aE '^(base|tunnel|lb|server|agent|cni|tools)/'; fi
} | xargs -P "$jobs" -n 1 sh test/lint.sh --one >"$build/lint/log" || status=1
if [ -n "${V-}" ]; then cat "$build/lint/log"; else sort -u "$build/lint/log"; fi

echo "lint: shell"
for f in $(sources '*.sh'); do
    case $(head -n 1 "$f") in
    *bash) bash -n "$f" ;;
    *) sh -n "$f" ;;
    esac || status=1
done
for f in $(sources '*.bash' .ci/run); do
    bash -n "$f" || status=1
done
# set -e does not see a command that is negated, so such a line in a test never fails: refute does
sources '*.bats' | xargs grep -nE '^ *! ' && status=1

echo "lint: files past 800 lines"
sources '*.c' '*.h' | xargs wc -l | awk '$2 != "total" && $1 > 800 { print "  " $2 ": " $1; bad = 1 } END { exit bad }' || status=1

[ "$status" = 0 ] && echo "lint: clean"
exit $status
