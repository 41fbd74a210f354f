#!/bin/sh
# lint.sh: static analysis: clang-tidy (bugprone, analyzer), cppcheck, shell syntax and layout.
# A finding fails the run; a suppression stands in the code with its reason.
set -u
cd "$(dirname "$0")/.."
status=0
files=$(git ls-files '*.c' | grep -E '^(base|tunnel|lb|server|agent|cni|tools)/')
flags="-std=gnu17 -D_GNU_SOURCE -I. -Ibuild/gen -I/usr/share/include/llhttp"

# generated headers must exist before they can be included
make --no-print-directory -j"$(nproc)" all >/dev/null || exit 1

echo "lint: clang-tidy"
# shellcheck disable=SC2086
printf '%s\n' $files | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -- $flags 2>/dev/null >build/tidy.log || status=1
grep -E '(warning|error):' build/tidy.log | sort -u && status=1

echo "lint: cppcheck"
# shellcheck disable=SC2086
cppcheck --quiet --error-exitcode=1 --inline-suppr -j "$(nproc)" --std=c11 \
    --enable=warning,portability --suppress=missingIncludeSystem --suppress=unknownMacro \
    -D__GNUC__ -D_GNU_SOURCE -I. $files || status=1

echo "lint: shell"
for f in $(git ls-files '*.sh' .ci/run); do
    sh -n "$f" || status=1
done
for f in $(git ls-files 'test/system/*.bash'); do
    bash -n "$f" || status=1
done

echo "lint: files past 800 lines"
git ls-files '*.c' '*.h' | xargs wc -l | awk '$2 != "total" && $1 > 800 { print "  " $2 ": " $1; bad = 1 } END { exit bad }' || status=1

[ "$status" = 0 ] && echo "lint: clean"
exit $status
