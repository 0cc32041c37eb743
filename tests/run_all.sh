#!/bin/bash
# Runs the unit tests and the golden cases of a build, and closes with their sum: "N passed, N failed, N skipped".
build=$1
golden=$2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$build/tests/braid_tests" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
read -r passed failed <<<"$(awk '
  /^All tests passed/ { match($0, /in [0-9]+ test/); print substr($0, RSTART + 3, RLENGTH - 8), 0 }
  /^test cases:/ { for (i = 1; i <= NF; i++) { if ($(i + 1) ~ /^passed/) p = $i; if ($(i + 1) ~ /^failed/) f = $i } print p + 0, f + 0 }' "$log")"
skipped=0
if [ -z "${passed:-}" ]; then passed=0; failed=1; fi
if [ "$status" -ne 0 ] && [ "${failed:-0}" -eq 0 ]; then failed=1; fi
if [ -x "$build/tests/braid_golden" ]; then
  "$build/tests/braid_golden" "$golden" | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
  read -r p f s <<<"$(awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { print $1, $3, $5 }' "$log" | tail -n 1)"
  if [ -z "${p:-}" ]; then p=0; f=1; s=0; status=1; fi
  passed=$((passed + p)); failed=$((failed + f)); skipped=$((skipped + s))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$status" -eq 0 ] && [ "$failed" -eq 0 ]
