#!/bin/bash
# gpu_check_test.sh: what bench/gpu_check.py makes of the programs that it runs, with stand-ins for a GPU, the tests and
# compute-sanitizer. Ends with "N passed, N failed, N skipped".
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
if ! command -v python3 >/dev/null; then
  echo "skipped: gpu-check: python3 is not installed"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi

# stand_in <path>: a program made of standard input.
stand_in() {
  mkdir -p "$(dirname "$work/$1")"
  { echo '#!/bin/bash'; cat; } >"$work/$1"
  chmod +x "$work/$1"
}
stand_in bench/braid_device_bench <<'END'
[ "$STAND_IN" != no_gpu ] || { echo 'no device: none of its kind answers'; exit 3; }
echo '{"name": "stand-in", "capability": "9.0", "multiprocessors": 132, "driver": "13.0", "runtime": "13.0"}'
END
stand_in bench/braid_step_bench <<'END'
[ "$STAND_IN" != other_bits ] || bits=$BRAID_NO_GRAPH
echo "{\"digest\": \"0123$bits\"}"
END
stand_in tests/braid_tests <<'END'
case "$*" in
  *--list-tags*) printf '  3  [#kernels_dense_test]\n  3  [#kernels_lstm_test]\n  2  [#model_test]\n  2  [#structure_test]\n'; exit ;;
  *structure_test*) echo 'it asked for tests of the source tree'; exit 1 ;;
esac
[ "$BRAID_TEST_BACKENDS" = cuda ] || { echo "the tests are not to run on cuda"; exit 1; }
echo '0.001 s: the first case'
case "$STAND_IN" in
  slow) sleep 60 ;;
  broken) echo 'x.cpp:1: FAILED:'; echo 'test cases:  6 |  5 passed | 1 failed'; exit 1 ;;
  crash) exit 134 ;;
esac
echo 'All tests passed (12 assertions in 6 test cases)'
END
stand_in tests/braid_golden <<<'echo "$*"; echo "40 passed, 0 failed, 2 skipped"'
stand_in bin/compute-sanitizer <<'END'
while [[ $1 == --* ]]; do shift 2; done
"$@"
[ "$STAND_IN" = race ] || { echo '========= ERROR SUMMARY: 0 errors'; exit; }
echo '========= Error: Race reported between Write access and Read access'
echo '========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)'
exit 99
END

# check <sentence> <status> <text in the table> <stand-in's mood> <arguments of gpu_check.py...>
check() {
  local sentence=$1 status=$2 text=$3 mood=$4 got
  shift 4
  STAND_IN=$mood PATH=$work/bin:$PATH timeout 100 python3 -B "$here/../bench/gpu_check.py" "$@" --build "$work" \
    --source "$here/.." --out "$work/out" >"$work/printed" 2>&1
  got=$?
  if [ "$got" -eq "$status" ] && tr -s ' ' <"$work/printed" | grep -qE -- "$text"; then
    passed=$((passed + 1))
    echo "passed: gpu-check: $sentence"
  else
    failed=$((failed + 1))
    echo "failed: gpu-check: $sentence: status $got, not $status, or it did not say: $text"
    cat "$work/printed"
  fi
}

check "where no GPU answers every step is skipped by name" 3 '^racecheck skipped .*no GPU answers' no_gpu
check "tests, goldens, bits and sanitizers that are in order pass" 0 '^goldens passed [0-9]+ 40 passed, 0 failed, 2 skipped' good \
  kernels goldens graph suite memcheck racecheck
check "a step that was not chosen is said to be skipped" 0 '^memcheck skipped [0-9]+ not chosen' good goldens
check "a test that fails is a failure" 1 '^kernels failed [0-9]+ 5 passed, 1 failed' broken kernels
check "a program that ends without totals is a failure" 1 '^suite failed .*status 134 and without totals' crash suite
check "other bits without a graph are a failure" 1 '^graph failed .*m1: 0123, again 0123, without graphs 01231' other_bits graph
check "what a sanitizer reports is a failure" 1 '^racecheck failed .*2 errors; Error: Race reported' race racecheck
check "what takes too long is cut, with what it had done" 4 '^kernels cut .*1 finished, 0 failed' slow kernels --minutes 0.2
check "an unknown step is refused" 2 'no step kernel; there are contracts' good kernel
check "a report is left behind" 0 'report: .*/out/report.md' good goldens
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
