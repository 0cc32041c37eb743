#!/bin/bash
# gpu_check_test.sh: what bench/gpu_check.py and the comparisons beside it make of the programs that they run, with stand-ins
# for a GPU, the tests, compute-sanitizer and rivals. Ends with "N passed, N failed, N skipped".
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
case "$*" in
  *--facts*)
    echo '{"name": "stand-in", "capability": "9.0", "multiprocessors": 132, "driver": "13.0", "runtime": "13.0"}' ;;
  *--serve*)
    echo "{\"name\": \"Braid\", \"detail\": \"stand-in, $BRAID_CUBLASLT\"}"
    while read -r request; do
      case "$STAND_IN $request" in
        no_wide_lstm*" 128 1024 "*) echo '{"error": "it takes no such LSTM"}' ;;
        *) echo '{"forward_us": 200, "forward_median_us": 200, "both_us": 400, "both_median_us": 400}' ;;
      esac
    done ;;
  *)
    echo 'Dense 64 x 64  1.00 us'
    [ "$STAND_IN" != few_kernels ] || echo 'left out: 3 kernels, as 10 seconds were over' ;;
esac
END
stand_in bench/braid_step_bench <<'END'
[ "$STAND_IN" != other_bits ] || bits=$BRAID_NO_GRAPH
case "$*" in *--ask*) echo "{\"digest\": \"0123$bits\"}"; exit ;; esac
if [ "$STAND_IN" = slow ]; then # with data written, and where, as its caller was told
  data=$(tr '\0' '\n' </proc/$PPID/cmdline | grep -A 1 -e '^--data$' | tail -n 1)
  touch "$data/m4.npz" && echo "$data" >"$(dirname "$0")/../folder_of_data"
  sleep 60
fi
echo "{\"name\": \"Braid\", \"detail\": \"stand-in, $BRAID_CUBLASLT\"}"
while read -r request rest; do
  case "$STAND_IN $request $rest" in "no_fit fit m1 32 "*) request=none ;; esac
  case $request in
    losses) echo '{"losses": [1, 1, 1]}' ;;
    none) echo '{"error": "out of device memory"}' ;;
    facts) echo '{"op_calls": 1, "arena_bytes": 1, "heap": 0}' ;;
    floor) echo '{"floor_us": null, "operations_per_second": 0}' ;;
    *) echo '{"least": [1], "median": [1]}' ;;
  esac
done
END
stand_in tests/braid_tests <<'END'
case "$STAND_IN $*" in
  no_list*--list-tags*) echo 'libtbb.so.12 is missing'; exit 127 ;;
  half_list*--list-tags*) printf '  2  [#model_test]\n'; exit ;;
  *--list-tags*) # as the older Catch2 ends: with the number of tags
    printf '  3  [#kernels_dense_test]\n  3  [#kernels_lstm_test]\n  2  [#model_test]\n  2  [#structure_test]\n4 tags\n'
    [ "$STAND_IN" = bad_list ] && exit 134 || exit 4 ;;
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
case "$STAND_IN $*" in cut_error*kernels_lstm*) echo '========= Invalid __global__ write of size 4 bytes'; sleep 60 ;; esac
"$@"
[ "$STAND_IN" = race ] || { echo '========= ERROR SUMMARY: 0 errors'; exit; }
echo '========= Error: Race reported between Write access and Read access'
echo '========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)'
exit 99
END

# Packages of Python: cuBLASLt is in one, and PyTorch is there only to be found missing.
packages=$work/stand-in-packages
mkdir -p "$packages/nvidia/cublas/lib"
touch "$packages/nvidia/cublas/lib/libcublasLt.so.13"
echo 'raise ImportError("a stand-in")' >"$packages/torch.py"
export PYTHONPATH=$packages
unset BRAID_CUBLASLT

# is <sentence> <status of what was tried>: what it printed is in $work/printed.
is() {
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1))
    echo "passed: gpu-check: $1"
  else
    failed=$((failed + 1))
    echo "failed: gpu-check: $1"
    cat "$work/printed"
  fi
}

# holds <sentence>: assertions in Python on standard input, of the modules in bench/.
holds() {
  { cat <<'END'; cat; } >"$work/assertions.py"
import contextlib, io, os, re, sys
from pathlib import Path
from types import SimpleNamespace

work = Path(__file__).parent
import goal_programs, goals, gpu_report, gpu_steps, lstm_layers, lstm_row, run
from gpu_programs import Ran
from processes import Failure

goal_programs.ROOT = lstm_layers.ROOT = run.ROOT = work  # for logs
BRAID = ["--braid", str(work / "bench/braid_step_bench")]


def printed_by(main, *words):
    """(what it printed, status)"""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main(list(words))
    print(out.getvalue())
    return out.getvalue(), status


class Peer:
    """A rival whose losses are these."""

    models = None

    def __init__(self, *losses, name="JAX"):
        self.name, self.told, self.missing, self.programs, self.patience = name, f"{name}: a stand-in", None, [self], 1
        self.read = self.ask = lambda *_: {"losses": losses, "least": [2], "median": [2]}
        self.send = self.greet = self.close = lambda *_: None


class Lstm:
    """Braid's program, or cuDNN's, that takes these microseconds a time step, forward and with gradients, by algorithm."""

    clock = 0  # of everybody; it goes on only with what they are asked
    seconds = {}  # that a request takes
    asked = []

    def __init__(self, times, deviations=(), floor=0, name="Braid"):
        self.name, self.detail, self.told, self.missing, self.programs = name, "a stand-in", f"{name}: a stand-in", None, [self]
        self.times, self.deviations, self.floor = times, dict(deviations), floor
        self.greet = self.close = lambda *_: None

    def ask(self, request, *words):
        Lstm.asked.append((self.name, request, *words[:1]))
        Lstm.clock += self.seconds.get(request, 0)
        if request == "compare":
            return dict.fromkeys(lstm_row.COMPARED, 1e-6) | {"kernel_grad": self.deviations.get(words[0], 1e-6)}
        if request not in ("lstm", "time"):
            return {}
        times = self.times[words[0] if request == "time" else None]
        if isinstance(times, str):
            raise Failure(times)
        of = lambda what, forward, both: {f"forward{what}_us": 200 * forward, f"both{what}_us": 200 * both}
        return of("", *times) | of("_median", *times) | of("_floor", self.floor, self.floor)


def lstm_printed(braid, cudnn, *words):
    """(what lstm_layers.py printed, its status) for programs that are these; cudnn: by precision."""
    Lstm.asked.clear()
    lstm_layers.time = SimpleNamespace(monotonic=lambda: Lstm.clock)
    lstm_layers.Program = lambda *_: braid
    lstm_layers.start_rivals = lambda *_: cudnn
    return printed_by(lstm_layers.main, "--rows", "8", "--lengths", "full", *words)


END
  PYTHONPATH=$here/../bench:$PYTHONPATH python3 -B "$work/assertions.py" >"$work/printed" 2>&1
  is "$1" $?
}

# check <sentence> <status> <text in the table> <stand-in's mood> <arguments of gpu_check.py...>
check() {
  local sentence=$1 status=$2 text=$3 mood=$4 got
  shift 4
  STAND_IN=$mood PATH=$work/bin:$PATH timeout 100 python3 -B "$here/../bench/gpu_check.py" "$@" --build "$work" \
    --source "$here/.." --out "$work/out" >"$work/printed" 2>&1
  got=$?
  if [ "$got" -eq "$status" ] && tr -s ' ' <"$work/printed" | grep -qE -- "$text"; then
    is "$sentence" 0
  else
    is "$sentence: status $got, not $status, or it did not say: $text" 1
  fi
}

check "where no GPU answers every step is skipped by name" 3 '^racecheck skipped .*no GPU answers' no_gpu
check "tests, goldens, bits and sanitizers that are in order pass" 0 '^goldens passed [0-9]+ 40 passed, 0 failed, 2 skipped' good \
  kernels goldens graph suite memcheck racecheck
check "a step that was not chosen is said to be skipped" 0 '^memcheck skipped [0-9]+ not chosen' good goldens
check "a test that fails is a failure" 1 '^kernels failed [0-9]+ 5 passed, 1 failed' broken kernels
check "a program that ends without totals is a failure" 1 '^suite failed .*status 134 and without totals' crash suite
check "other bits without a graph are a failure" 1 '^graph failed .*m1: 0123, again 0123, without graphs 01231' other_bits graph
check "what a sanitizer reports is a failure" 1 '^racecheck failed [0-9]+ 2 errors; Error: Race reported' race racecheck
check "what a sanitizer told before it was stopped is a failure, beside others' sums of 0" 1 \
  '^memcheck failed [0-9]+ 1 errors; Invalid' cut_error memcheck --minutes 0.15 --jobs 3
check "tests that cannot be listed are a failure" 1 '^memcheck failed .*cannot be listed: status 127, libtbb.so.12 is missing' \
  no_list memcheck kernels suite
check "tests of which half are listed are a failure" 1 '^memcheck failed .*cannot be listed: status 0' half_list memcheck
check "a list of tests that ends with a crash is a failure" 1 '^memcheck failed .*cannot be listed: status 134' bad_list memcheck
check "what takes too long is cut, with what it had done" 4 '^kernels cut .*1 finished, 0 failed' slow kernels --minutes 0.2
holds "what crashed beside what takes too long is a failure" <<'END'
parts = [Ran(-9, "0.001 s: the first case", True), Ran(134, "", False)]
result = gpu_steps.judged(Ran(134, "", True, parts))
assert result.state == "failed" and "ended with status 134" in result.detail, result
assert gpu_steps.judged(Ran(-9, "", True, parts[:1])).state == "cut"
END
check "kernels that no time was left for make a step cut" 4 '^kernel-times cut .*left out: 3 kernels' few_kernels kernel-times
check "kernels that are all timed pass" 0 '^kernel-times passed .*see kernels' good kernel-times
check "without cuDNN its comparison is skipped" 4 '^lstm-layers skipped .*skipped, not there: cuDNN float32' good lstm-layers
check "an LSTM that Braid cannot do is a failure" 1 \
  '^lstm-layers failed .*Braid failed: H=1024 B=256 full: it takes no such LSTM; Braid failed: H=1024 B=256 ragged' no_wide_lstm \
  lstm-layers
check "goals whose time is over are cut" 4 '^goals cut' slow goals --minutes 0.25
[ -s "$work/folder_of_data" ] && [ ! -e "$(cat "$work/folder_of_data")" ]
is "what stopped goals had written for rivals is removed" $?
check "an unknown step is refused" 2 'no step kernel; there are contracts' good kernel
check "a report is left behind" 0 'report: .*/out/report.md' good goldens

holds "a rival that computes something else is named in the table of steps, and in that of goals" <<'END'
run.start_rivals = lambda *_: [Peer(1, 1, 2), Peer(1, 1, 1, name="Keras")]
out, status = printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", "--batch", "32")
result = gpu_steps.measured("Steps", Ran(status, out, False))
assert result.state == "passed" and "Keras 2 us (2x, +-0 %)" in out, result
assert result.detail.startswith("not compared: m1 B=32, JAX: its losses deviate by "), result

bench = goals.Bench(SimpleNamespace(device="cuda", repeats=1, seconds=1), None)
bench.braid = lambda _: Peer(1, 1)
bench.rivals = lambda *_: {"eager": Peer(1, 2), "compile": Peer(1, 1)}
out, _ = printed_by(lambda *_: bench.steps("dense", goals.PARTS["dense"], "bfloat16", "m4", 32, 1))
assert gpu_report.remarks_of(out) == ["not compared: dense, PyTorch eager: its losses deviate by 5.0e-01"]
END
holds "a rival for some models is no part of other rows, and not started for them" <<'END'
cudnn = Peer(1, 1, 1, name="JAX cuDNN")
cudnn.models = ("m2",)
started, run.start_rivals = run.start_rivals, lambda *_: [cudnn]
out, status = printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", "m2", "--batch", "32")
assert status == 0 and "not compared" not in out, out
assert re.search("^m2 B=32:.* JAX cuDNN 2 us", out, re.M) and not re.search("^m1 B=32:.* JAX cuDNN", out, re.M), out
options = run.options_of([*BRAID, "--device", "cuda", "--rivals", "jax-cudnn", "--only", "m1"])
assert started(options, run.cases_of(options), Path(), Path()) == []
END
holds "a row that Braid cannot do is told, and those behind it are measured" <<'END'
run.start_rivals = lambda *_: [Peer(1, 1, 1)]
os.environ["STAND_IN"] = "no_fit"
out, status = printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", "--batch", "32", "256")
result = gpu_steps.measured("Steps", Ran(status, out, False))
assert (status, result.state) == (1, "failed") and "Braid failed: m1 B=32: out of device memory" in result.detail, result
assert "m1 B=256: a step 1 us" in out
END
holds "a row that would take longer than the time left is left out, counted from the start" <<'END'
run.start_rivals = lambda *_: []
words = [*BRAID, "--device", "cuda", "--only", "m1", "--batch", "32", "256", "--budget", "100"]
run.BEGAN -= 99  # no row yet: how long they take is not known
real, run.measure = run.measure, lambda *given: (setattr(run, "BEGAN", run.BEGAN - 1), real(*given))[1]
out, status = printed_by(run.main, *words)
assert "m1 B=32: a step" in out and "left out, as 100 seconds were over: m1 B=256" in out, out
assert gpu_steps.measured("Steps", Ran(status, out, False)).state == "cut"
END
holds "goals are looked at where they are meant: at their precision, in microseconds and against rivals" <<'END'
run.start_rivals = lambda *_: [Peer(1, 1, 1, name="PyTorch eager")]
for words, told, not_told in (
    (["--batch", "32"], "PyTorch eager 2 us (2x of 50x, +-0 %), goal 8 us reached", "tf32"),
    (["--batch", "8192", "--precision", "tf32"], "goal 11 us reached", " of "),
    (["--batch", "8192"], "m1 B=8192: a step 1 us", "goal "),
):
    out, _ = printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", *words)
    line = next(line for line in out.splitlines() if line.startswith("m1 B="))
    assert told in line and not_told not in line, line
chosen = run.cases_of(run.options_of(["--device", "cuda", "--with-goals", "--precision", "bfloat16"]))
assert [case.title for case in chosen] == ["m2 B=8192"], chosen
assert [case.batch for case in run.cases_of(run.options_of(["--device", "cuda", "--batch", "65536", "--only", "m2"]))] == [65536]
END
holds "between rows rivals forget, and what they say of their times is told" <<'END'
asked = []
peer = Peer(1, 1, 1)
peer.ask = lambda *words: (asked.append(words[0]), {"least": [2], "median": [2], "remark": "compiled twice"})[1]
peer.read = lambda: {"losses": (1, 1, 1), "prepared_seconds": 12.3}
run.start_rivals = lambda *_: [peer]
out, _ = printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", "--batch", "32", "256", "--repeats", "1")
assert asked == ["stream", "forget"] * 2, asked
assert out.count("JAX 2 us (2x, +-0 %) compiled twice") == 2 and "ready after: JAX 12 s" in out, out
END
holds "where no rival computes what Braid does in goals they fail, too" <<'END'
for losses, good in (((1, 1), True), ((1, 2), False)):
    options = SimpleNamespace(device="cuda", repeats=1, seconds=1, parts=["embedding"], batch=None, precision=None, budget=9)
    bench = goals.Bench(options, None)
    bench.braid = lambda _: Peer(1, 1)
    bench.rivals = lambda *_: {"eager": Peer(*losses)}
    out, status = printed_by(lambda *_: goals.measure_all(bench, options))
    assert status == good and ("no rival computes what Braid does: embedding B=256" in out) != good, status
END
holds "where no rival computes what Braid does the run fails and says so" <<'END'
for losses in ((1, 1, 2), (1, 1), (1, 1, float("nan"))):
    run.start_rivals = lambda *_: [Peer(*losses)]
    out, status = printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", "--batch", "32")
    result = gpu_steps.measured("Steps", Ran(status, out, False))
    assert (status, result.state) == (1, "failed"), result
    assert "no rival computes what Braid does: m1 B=32" in result.detail, result
    assert "not compared: m1 B=32, JAX: its losses deviate by " in result.detail, result
assert run.differences([None], [1]) == [float("inf")]
END
holds "a rival that fell out, or is not there, is told with the goals" <<'END'
remarks = ["not compared: m1 B=32, Keras: no answer", "goals that: 1 of 2", "left out, as: m3"]
told = gpu_report.remarks_of("\n".join(["JAX: not there: it ended", "PyTorch eager: 2.9", *remarks]))
assert told == [remarks[0], "skipped, not there: JAX", *remarks[1:]], told
END
holds "rounded operands let losses part further, in both comparisons alike" <<'END'
case = run.Case("m1", 32, 1, {})
ours, theirs = {"losses": [1, 1]}, {"losses": [1.0005, 1.0005]}
for precision in ("tf32", "bfloat16"):
    assert run.compare(case, precision, ours, theirs) > 1e-4
with contextlib.suppress(Failure):
    run.compare(case, "float32", ours, theirs)
    sys.exit("float32 takes it too")
bench = goals.Bench(SimpleNamespace(device="cuda"), None)
bench.braid = lambda _: Peer(1, 1)
for precision, agrees in (("bfloat16", True), ("float32", False)):
    verdicts = bench.agreeing("dense", precision, {"eager": Peer(1.0005, 1.0005)}, "m4", 32, 1)
    assert (verdicts["eager"] is None) == agrees and bench.alone != agrees, verdicts
END
holds "cuDNN's best is that of each column; who cannot become it is not asked again" <<'END'
times = {"standard": (2, 10), "static": (7, 6), "dynamic": (7, 19), "small": "not this size"}
cudnn = Lstm(times, name="cuDNN float32")
out, status = lstm_printed(Lstm({None: (1, 2)}, floor=0.5), {"float32": cudnn}, "--units", "64")
assert status == 0, status
line = next(line for line in out.splitlines() if line.startswith("H=64"))
for part in ("Braid 1 / 2 (1 / 2), 2 / 4 times its floor of 0.5 / 0.5; standard 2 / 10 (2 / 10), static 7 / 6 (7 / 6), ",
             "dynamic 7 / 19 (7 / 19) (3x the best: not repeated), small: not this size; ",
             "cuDNN's best in float32 takes 2.00x / 3.00x"):
    assert part in line, line
times_of = lambda algorithm: Lstm.asked.count(("cuDNN float32", "time", algorithm))
assert [times_of(algorithm) for algorithm in times] == [7, 7, 1, 1], Lstm.asked
END
holds "who computes another LSTM is not timed, and named; if nobody computes Braid's, it fails" <<'END'
times = {"standard": (2, 10), "static": (1, 2)}
words = ["--units", "64", "--algorithms", *times]
for deviation in (2e-4, float("nan")):
    cudnn = Lstm(times, {"static": deviation}, name="cuDNN float32")
    out, status = lstm_printed(Lstm({None: (1, 2)}), {"float32": cudnn}, *words)
    result = gpu_steps.measured("LSTM", Ran(status, out, False))
    assert result.state == "passed" and "takes 2.00x / 5.00x" in out, result
    why = f"cuDNN float32 static: its results deviate: gradients of the kernel by {deviation:.1e}"
    assert result.detail.startswith(f"not compared: H=64 B=8 full, {why}"), result
    assert ("cuDNN float32", "time", "static") not in Lstm.asked
cudnn = Lstm(times, dict.fromkeys(times, 1), name="cuDNN float32")
out, status = lstm_printed(Lstm({None: (1, 2)}), {"float32": cudnn}, *words)
result = gpu_steps.measured("LSTM", Ran(status, out, False))
assert (status, result.state) == (1, "failed") and "no rival computes what Braid does: H=64 B=8 full" in result.detail, result
assert "goals" not in out and ("Braid", "lstm", 8) not in Lstm.asked
rounded = Lstm(times, {"static": 2e-2}, name="cuDNN bfloat16")
assert "not compared" not in lstm_printed(Lstm({None: (1, 2)}), {"bfloat16": rounded}, "--precision", "bfloat16", *words)[0]
END
holds "goals of an LSTM are looked at where they are meant, against cuDNN of their precision" <<'END'
def goals_of(braid, floor, units, *words, **times):
    cudnn = {kind: Lstm(of, name=f"cuDNN {kind}") for kind, of in times.items()}
    out, _ = lstm_printed(Lstm({None: braid}, floor=floor), cudnn, "--units", units, "--algorithms", "standard", "static", *words)
    line = next(line for line in out.splitlines() if line.startswith("H="))
    closing = next((line for line in out.splitlines() if line.startswith("goals ")), "")
    return line.partition("goals: ")[2], closing


float32 = {"standard": (3, 6), "static": (2, 7)}
line, closing = goals_of((0.25, 2), 0.1, "64", float32=float32)
assert line == "G7 forward 0.3 us reached (0.25 us), G7 3x reached (3.00x)", line
assert closing == "goals that could be looked at: 2 of 2 reached, by medians", closing
line, closing = goals_of((0.5, 2.1), 0.4, "64", float32=float32)
assert line == "G7 forward 0.3 us not looked at (below the floor), G7 3x missed (2.86x)", line
assert closing.endswith("0 of 1 reached, by medians; not G7 3x at H=64 B=8 full"), closing
assert goals_of((0.5, 2), 0, "64", "--lengths", "ragged", float32=float32)[0] == "G7 12x missed (3.00x)"
assert goals_of((0.5, 2), 0, "256", float32=float32) == ("", "")
line, _ = goals_of((1, 2), 0, "1024", "--rows", "512", float32=float32)
assert line == "G9 forward 1.15x reached (2.00x), G9 1.15x reached (3.00x)", line
bfloat16, float16 = {"standard": (3, 9), "static": (8, 8)}, {"standard": (1, 2), "static": (3, 2.2)}
line, _ = goals_of((1, 2), 0, "512", "--precision", "bfloat16", bfloat16=bfloat16, float16=float16)
assert line == "G9 forward 1 us reached (1 us), G9 4x reached (4.00x), G9 1.2x float16 static/dynamic missed (1.10x)", line
line, _ = goals_of((1, 2), 0, "256", "--precision", "bfloat16", "--rows", "512", bfloat16=bfloat16)
assert line.startswith("G8 forward 0.7 us missed (1 us), G8 5x missed (4.00x), G8 1.5x float16 static not looked at (cu"), line
END
holds "a row of LSTMs that would take longer than the time left is left out, counted from the start" <<'END'
words = ["--units", "64", "128", "256", "512", "--algorithms", "standard", "--budget"]
Lstm.seconds = {"time": 1}
cudnn = {"float32": Lstm({"standard": (2, 10)}, name="cuDNN float32")}
timings = lambda: Lstm.asked.count(("Braid", "lstm", 8))
out, status = lstm_printed(Lstm({None: (1, 2)}), cudnn, *words, "11")
result = gpu_steps.measured("LSTM", Ran(status, out, False))
assert result.state == "cut" and "left out, as 11 seconds were over: H=512 B=8 full" in result.detail, result
assert timings() == 3 * 3, Lstm.asked
# Rows that have more time repeat more often, and no other one is left out for it.
out, _ = lstm_printed(Lstm({None: (1, 2)}), cudnn, *words, "20")
assert "left out" not in out and timings() == 4 * 5, Lstm.asked
assert "left out" not in lstm_printed(Lstm({None: (1, 2)}), cudnn, *words, "1000")[0] and timings() == 4 * 7
lstm_printed(Lstm({None: (1, 2)}), cudnn, *words, "1000", "--repeats", "2")
assert timings() == 4 * 2
braid = Lstm({None: (1, 2)})
braid.greet = lambda: setattr(Lstm, "clock", Lstm.clock + 4)
out, _ = lstm_printed(braid, cudnn, *words, "11")
assert "seconds were over: H=256 B=8 full, H=512 B=8 full" in out, out
END
holds "whoever is timed behind a pause makes the GPU work first, and full and ragged rows come together" <<'END'
cudnn = {"float32": Lstm({"standard": (2, 10)}, name="cuDNN float32")}
words = ["--rows", "8", "32", "--units", "64", "256", "--lengths", "full", "ragged", "--algorithms", "standard", "--repeats", "2"]
spun = lambda: [(before, now) for before, now in zip(Lstm.asked, Lstm.asked[1:]) if "spin" in before]
lstm_printed(Lstm({None: (1, 2)}), cudnn, *words)
assert spun() == [(("Braid", "spin"), ("Braid", "lstm", 8))], spun()
Lstm.seconds = {"compare": 3}
out, _ = lstm_printed(Lstm({None: (1, 2)}), cudnn, *words)
assert spun() == [(("Braid", "spin"), ("Braid", "lstm", rows)) for rows in 4 * [8] + 4 * [32]], spun()
titles = [line.partition(":")[0] for line in out.splitlines() if line.startswith("H=")]
assert titles[:5] == ["H=64 B=8 full", "H=64 B=8 ragged", "H=256 B=8 full", "H=256 B=8 ragged", "H=64 B=32 full"], titles
assert lstm_layers.options_of([]).units == [64, 128, 1024, 256, 512]  # those with goals in float32 first
END
holds "what an LSTM's programs cannot do, or answer in another way, is a line" <<'END'
times = {"standard": (2, 10), "static": (2, 3)}
cudnn = {"float32": Lstm(times, name="cuDNN float32")}
words = ["--units", "64", "--algorithms", *times]
ask_well = Lstm.ask


def ask(self, request, *words):
    if (self.name, request) == refused:
        raise Failure("it ended")
    answer = ask_well(self, request, *words)
    return {} if (self.name, request) == empty else answer


Lstm.ask, empty = ask, None
for refused, text in ((("cuDNN float32", "load"), "no time)\nnot compared: H=64 B=8 full, cuDNN: none of its algorithms"),
                      (("Braid", "spin"), "Braid failed: H=64 B=8 full: it ended"),
                      (("Braid", "write"), "Braid failed: H=64 B=8 full: it ended"),
                      (("Braid", "lstm"), "full: Braid: it ended\nBraid failed: H=64 B=8 full: it ended")):
    out, status = lstm_printed(Lstm({None: (1, 2)}), cudnn, *words)
    assert text in out and status == (refused[0] == "Braid"), (refused, status)
refused = None
for empty, text in ((("cuDNN float32", "compare"), "standard: it answered {}; static: it answered {}"),
                    (("cuDNN float32", "time"), "Braid 1 / 2 (1 / 2), standard: it answered {}; static: it answered {}"),
                    (("Braid", "lstm"), "Braid failed: H=64 B=8 full: it answered {}")):
    assert text in lstm_printed(Lstm({None: (1, 2)}), cudnn, *words)[0]
END
holds "an update alone is held against the rate of memory, microseconds and PyTorch's" <<'END'
answering = lambda **answer: SimpleNamespace(ask=lambda *_: answer)
for count, ours, theirs, told, reached in (
    (128_000_000, 900.0, 910.0, "Braid 900 us, PyTorch fused 910 us (1.01x of 1x); 93 % of the rate of a large copy, goal 92 %", [True, True]),
    (100_000, 3.0, 2.7, "Braid 3 us, PyTorch fused 2.7 us (0.9x of 1x); goal 2.5 us", [False, False]),
):
    bench = goals.Bench(SimpleNamespace(device="cuda", repeats=1, seconds=1), None)
    bench.kernels = lambda _: answering(least_us=ours, floor_us=841)
    bench.rivals = lambda *_: {"eager": answering(least_us=theirs)}
    out, _ = printed_by(lambda *_: goals.adam(bench, goals.PARTS["adam"], "float32", count))
    assert out.strip() == f"adam of {count:,} parameters: {told}", out
    assert [is_reached for _, is_reached in bench.goals] == reached, bench.goals
END
holds "a share of the goal's peak is no other card's" <<'END'
assert goals.share_of_peak(394e12, "NVIDIA H200") == "50 % of the 788 that the goal counts with"
assert "not of this card" in goals.share_of_peak(394e12, "NVIDIA A100-SXM4-80GB")
END
holds "without a known rate there is no floor, and the table says so" <<'END'
run.start_rivals = lambda *_: []
out, _ = printed_by(run.main, *BRAID, "--device", "cuda", "--precision", "bfloat16", "--only", "m1", "--batch", "32")
assert "no floor" in out and " % " not in out
END
holds "comparisons by themselves tell Braid where cuBLASLt is, and end with what became of Braid" <<'END'
library = "stand-in-packages/nvidia/cublas/lib/libcublasLt.so.13"
run.start_rivals = lambda *_: []
assert library in printed_by(run.main, *BRAID, "--device", "cuda", "--only", "m1", "--batch", "32")[0]
words = ["--braid", str(work / "bench/braid_device_bench"), "--units", "64", "--rows", "8", "--lengths", "full"]
assert library in printed_by(lstm_layers.main, *words)[0]
os.environ["STAND_IN"] = "no_wide_lstm"
assert printed_by(lstm_layers.main, *words)[1] == 4  # no cuDNN
assert printed_by(lstm_layers.main, *words[:3], "1024", *words[4:])[1] == 1
os.environ["STAND_IN"] = "no_gpu"
out, status = printed_by(lstm_layers.main, *words)
assert status == 3 and "no device: none of its kind answers" in out, status
END
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
