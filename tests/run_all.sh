#!/bin/bash
# run_all.sh <build> <golden> [install]: runs the unit tests, the golden cases and the examples of a build, the test of gpu-check, and
# with "install" its installed package; closes with their sum: "N passed, N failed, N skipped".
build=$1
golden=$2
with_install=${3:-}
log=$(mktemp) || exit 1
failures=$(mktemp) || exit 1
trap 'rm -f "$log" "$failures"' EXIT
passed=0
failed=0
skipped=0

# run <how to read the totals> <command...>: a program that ends without totals, or with a status they do not explain,
# counts as one failure.
run() {
  local totals=$1 status p f s
  shift
  "$@" </dev/null 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  read -r p f s < <("$totals" | tail -n 1)
  names_of_failures >>"$failures"
  if [ -z "${s:-}" ] || { [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; }; then
    echo "failed: $1 ended with status $status" | tee -a "$failures"
    f=$((${f:-0} + 1))
  fi
  passed=$((passed + ${p:-0}))
  failed=$((failed + f))
  skipped=$((skipped + ${s:-0}))
}

totals_of_catch2() {
  awk '
    /^All tests passed/ { match($0, /in [0-9]+ test/); print substr($0, RSTART + 3, RLENGTH - 8), 0, 0 }
    /^test cases:/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) p = $i
        if ($(i + 1) ~ /^failed/) f = $i
        if ($(i + 1) ~ /^skipped/) s = $i
      }
      print p + 0, f + 0, s + 0
    }' "$log"
}

totals_of_closing_line() {
  awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { print $1, $3, $5 }' "$log"
}

# Unit tests by the names that stand between two lines of dashes above what they report; all others say it in one line.
names_of_failures() {
  awk '
    /^---------+$/ { in_name = !in_name; if (in_name) name = ""; next }
    in_name { sub(/^ +/, ""); name = name (name == "" ? "" : ": ") $0 }
    /: FAILED:$/ && !named[name]++ { print "failed: " name }
    /^failed: |^FAILED / { print substr($0, 1, 300) }' "$log"
}

run totals_of_catch2 "$build/tests/braid_tests"
if [ -x "$build/tests/braid_golden" ]; then
  run totals_of_closing_line "$build/tests/braid_golden" "$golden"
  echo "The same on the emulated device:"
  run totals_of_closing_line "$build/tests/braid_golden" "$golden" --device emulated
  for architecture in 75 86; do
    echo "The same as on a GPU of architecture $architecture:"
    BRAID_EMULATED_GPU=$architecture run totals_of_closing_line "$build/tests/braid_golden" "$golden" --device emulated
  done
fi
if [ -d "$build/python_free_examples" ]; then
  run totals_of_closing_line "$(dirname "$0")/examples_test.sh" "$build"
fi
run totals_of_closing_line "$(dirname "$0")/gpu_check_test.sh"
if [ "$with_install" = install ]; then
  run totals_of_closing_line "$(dirname "$0")/install_test/run.sh" "$build"
fi
cat "$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
