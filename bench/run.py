#!/usr/bin/env python3
"""Times training steps and predictions of Braid against JAX, PyTorch and Keras, in alternation, in one run.

bench/README.md says what is measured and how to read the table. A single row, quickly:
  python3 bench/run.py --only m1 --batch 32 --rivals jax --repeats 3
On a GPU: python3 bench/run.py --device cuda
"""

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import report
from processes import Failure, Program, Rival, asked_of_gpu, built, finds, library_setting, library_told
from step_cases import CASES, CUDA_CASES, Case

ROOT = Path(__file__).resolve().parent.parent
CURVE_STEPS = 200
# By precision, of the mean over the steps. In float32 roundings make 1e-8 to 2e-5, an epsilon ten times too large 2e-4, a lost
# mask more. Where operands keep 11 or 8 bits, curves of the same function parted by up to 1e-4 and 4e-4.
CURVE_TOLERANCES = {"float32": 1e-4, "tf32": 1e-3, "bfloat16": 1e-3}
# Of the largest: 3e-4 were seen in tf32, and in bfloat16, in which PyTorch rounds results too, 3e-3.
OUTPUT_TOLERANCES = {"float32": 1e-4, "tf32": 1e-3, "bfloat16": 1e-2}
NO_DEVICE = 3  # status
# Name, script and how it runs a step; each is a column of its own.
CUDA_RIVALS = {
    "torch": ("PyTorch eager", "torch_gpu_peer.py", "eager"),
    "torch-padded": ("PyTorch padded", "torch_gpu_peer.py", "padded"),
    "torch-compile": ("PyTorch compile", "torch_gpu_peer.py", "compile"),
    "torch-reduce-overhead": ("PyTorch reduce-overhead", "torch_gpu_peer.py", "reduce-overhead"),
    "torch-max-autotune": ("PyTorch max-autotune", "torch_gpu_peer.py", "max-autotune"),
    "torch-graph": ("PyTorch graph", "torch_gpu_peer.py", "graph"),
    "jax": ("JAX", "jax_peer.py", "one"),
    "jax-many": ("JAX many", "jax_peer.py", "many"),
    "jax-cudnn": ("JAX cuDNN", "jax_peer.py", "cudnn"),
}
RIVALS_OF_MODELS = {"jax-cudnn": ("m2", "m2f")}  # others are for all
SLOW_RIVALS = {"torch-max-autotune"}  # compile for minutes: measured if they are asked for
REST = 0.02  # seconds until the threads of the program before have gone to sleep
SPIN = 1  # seconds that a GPU works before its times are taken: idle ones have a low clock
BEGAN = time.monotonic()  # what a budget counts from


@dataclass
class Time:
    """Microseconds a step: means over the batches of the least, and of the median; and how far the repeats' medians lie apart, as
    a share."""

    least: float
    median: float
    spread: float = 0


@dataclass
class Row:
    case: Case
    braid: Time = None
    fit: Time = None
    many: Time = None  # on a GPU: within fit, an epoch a launch
    facts: dict = field(default_factory=dict)
    floor: dict = field(default_factory=dict)
    rivals: dict = field(default_factory=dict)  # name: Time, or why there is none
    deviation: float = 0  # the most that losses or predictions of those who are timed differ from Braid's
    alone: bool = False  # rivals answered, and none computes what Braid does
    prepared: dict = field(default_factory=dict)  # name: seconds that a rival took to be ready, its compiler among them
    remarks: dict = field(default_factory=dict)  # name: what a rival says of its own times
    precision: str = "float32"
    clock: str = ""  # of the GPU, right after it was measured

    @property
    def goals(self):
        return self.case.goals if self.precision in self.case.precisions else {}

    @property
    def limit(self):
        return self.case.limits.get(self.precision)


class Progress:
    """On standard error: one line that changes on a terminal, else a line a case."""

    def __init__(self):
        self.live = sys.stderr.isatty()
        self.shown = None

    def show(self, case, what):
        if self.live:
            print(f"\r\033[K{case}: {what}", end="", file=sys.stderr, flush=True)
        elif self.shown != case:
            print(f"measuring {case}", file=sys.stderr, flush=True)
        self.shown = case

    def end(self):
        if self.live and self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def combine(answers):
    least = [min(of_one) for of_one in zip(*(answer["least"] for answer in answers))]
    medians = [statistics.mean(answer["median"]) for answer in answers]
    median = statistics.median(medians)
    return Time(statistics.mean(least), median, (max(medians) - min(medians)) / median)


def differences(ours, theirs):
    """Of each pair, as a share of what is compared where that is above 1."""
    if len(ours) != len(theirs) or None in ours:  # what is no number comes from Braid's program as null
        return [math.inf]
    deviations = [abs(a - b) / max(1.0, abs(a)) for a, b in zip(ours, theirs)]
    return [math.inf if math.isnan(deviation) else deviation for deviation in deviations]


def compare(case, precision, ours, theirs):
    """Nobody is timed who does not compute the same: losses, or predictions. Returns how far apart they are."""
    if case.batch:
        # The mean: where a loss falls steeply, curves of the same function part for a few steps and meet again.
        what, tolerance = "losses", CURVE_TOLERANCES[precision]
        deviation = statistics.mean(differences(ours["losses"], theirs["losses"]))
    else:
        what, tolerance = "predictions", OUTPUT_TOLERANCES[precision]
        outputs = ours["outputs"].items()
        deviation = max(max(differences(mine, theirs["outputs"].get(name, []))) for name, mine in outputs)
    if deviation > tolerance:
        raise Failure(f"its {what} deviate by {deviation:.1e}")
    return deviation


def those_who_agree(row, braid, rivals, precision):
    """The rivals that compute the same as Braid; why the others do not goes into the row."""
    case = row.case
    words = ("losses", case.model, case.batch, case.count, CURVE_STEPS)
    if not case.batch:
        words = ("outputs", case.model, case.count)
    asked, agreeing, answers = [], [], {}
    for rival in rivals:  # all at once: nothing is timed here
        try:
            if rival.missing:
                raise Failure(rival.missing)
            rival.programs[0].send(*words)
            asked.append(rival)
        except Failure as failure:
            row.rivals[rival.name] = str(failure)
    try:
        ours = braid.ask(*words)
    finally:
        for rival in asked:  # whatever becomes of Braid: the next answer is to another question
            try:
                answers[rival.name] = rival.programs[0].read()
            except Failure as failure:
                row.rivals[rival.name] = str(failure)
    for rival in [rival for rival in asked if rival.name in answers]:
        theirs = answers[rival.name]
        row.prepared[rival.name] = theirs.get("prepared_seconds", 0)
        try:
            row.deviation = max(row.deviation, compare(case, precision, ours, theirs))
            agreeing.append(rival)
        except Failure as failure:
            row.rivals[rival.name] = str(failure)
    row.alone = bool(answers) and not agreeing
    return agreeing


def turns_of(case, braid, takers):
    """(name, program, request): Braid's step, its step within fit (on a GPU also an epoch at once), then the rivals with each of
    their settings."""
    train = ("train", case.model, case.batch, case.count) if case.batch else case.work
    turns = [("Braid", braid, train)]
    if case.batch:
        turns.append(("fit", braid, ("fit", case.model, case.batch, case.count)))
        if case.device != "cpu":
            turns.append(("many", braid, ("fit-many", case.model, case.batch, case.count)))
    return turns + [(rival.name, program, case.work) for rival in takers for program in rival.programs]


def measure(case, braid, rivals, options, progress):
    row = Row(case, precision=options.precision)
    row.facts = braid.ask("facts", case.model, case.batch, case.count)
    progress.show(case.title, "do all compute the same?")
    rivals = [rival for rival in rivals if rival.models is None or case.model in rival.models]
    takers = those_who_agree(row, braid, rivals, options.precision)
    turns = turns_of(case, braid, takers)
    if case.device != "cpu":
        braid.ask("spin", SPIN)
        row.floor = braid.ask("floor", case.model, case.batch, case.count)
    answers = [[] for _ in turns]
    dropped = {}  # turn: why
    for repeat in range(options.repeats):
        order = range(len(turns)) if repeat % 2 == 0 else reversed(range(len(turns)))
        for number in order:
            name, program, words = turns[number]
            if number in dropped:
                continue
            progress.show(case.title, f"{repeat + 1}/{options.repeats} {name}")
            time.sleep(REST)
            try:
                answers[number].append(program.ask(*words, options.seconds))
            except Failure as failure:
                if program is braid:
                    raise
                dropped[number] = str(failure)
        if case.device == "cpu":  # whose rates other programs disturb: the best of all counts
            row.floor = braid.ask("floor", case.model, case.batch, case.count)
    if case.device != "cpu":
        row.clock = asked_of_gpu("clocks.sm").get("clocks.sm", "")
    row.braid = combine(answers[0])
    if case.batch:
        row.fit = combine(answers[1])
        if case.device != "cpu":
            row.many = combine(answers[2])
    for rival in takers:
        numbers = [number for number, turn in enumerate(turns) if turn[0] == rival.name]
        times = [combine(answers[number]) for number in numbers if answers[number]]
        row.rivals[rival.name] = min(times, key=lambda t: t.least) if times else dropped[numbers[0]]
        remarks = [answer["remark"] for number in numbers for answer in answers[number] if "remark" in answer]
        if remarks:
            row.remarks[rival.name] = remarks[-1]
    return row


def forget(rivals):
    """What rivals hold for a row would be in the way of the next one: they share a GPU."""
    for program in [program for rival in rivals for program in rival.programs]:
        with contextlib.suppress(Failure):  # the next row tells
            program.ask("forget", "-")


def install(venv):
    """What pip and the system's package manager bring; a rival that they cannot bring is named later."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False)
    for module, packages in (("jax", ["jax[cpu]", "numpy"]), ("keras", ["keras", "tensorflow-cpu"])):
        if not finds(python, module):
            print(f"installing {' '.join(packages)} in {venv}", file=sys.stderr)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=False)
    packages = ["python3-torch", "libopenblas0-pthread"]
    subprocess.run([str(ROOT / "cmake/install_packages.sh"), *packages], stdout=sys.stderr, check=False)


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", type=Path, default=built("braid_step_bench"), help="Braid's program")
    parser.add_argument("--venv", type=Path, default=ROOT / "build/bench-venv", help="environment with jax, keras and tensorflow")
    parser.add_argument("--install", action="store_true", help="first install the rivals that are missing")
    parser.add_argument("--only", nargs="+", choices=["m1", "m2", "m2f", "m3", "m3u", "m6"], help="these models alone")
    parser.add_argument("--with-goals", action="store_true", help="on a GPU: only rows that have goals at this precision")
    parser.add_argument("--batch", nargs="+", type=int, help="these batch sizes alone; 0: single rows")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: data on the GPU for everybody")
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="float32", help="of products on a GPU")
    parser.add_argument("--rivals", nargs="*", help="of cpu: jax, torch, keras; of cuda: " + ", ".join(CUDA_RIVALS))
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds after which no further row is begun")
    parser.add_argument("--repeats", type=int, help="blocks of each program a row (5; on a GPU 7)")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a block")
    parser.add_argument("--data", type=Path, help="folder for the rivals' data (default: build/bench-data, with the logs)")
    parser.add_argument("--out", type=Path, help="folder for the table as markdown and a chart")
    options = parser.parse_args(words)
    known = list(CUDA_RIVALS) if options.device == "cuda" else ["jax", "torch", "keras"]
    options.rivals = [name for name in known if name not in SLOW_RIVALS] if options.rivals is None else options.rivals
    options.repeats = options.repeats or (7 if options.device == "cuda" else 5)
    if set(options.rivals) - set(known):
        parser.error(f"rivals are {', '.join(known)}")
    if options.device == "cpu" and options.precision != "float32":
        parser.error("a CPU takes float32 always")
    return options


def cases_of(options):
    cases = CASES if options.device == "cpu" else [replace(case, device="cuda") for case in CUDA_CASES]
    return [
        case
        for case in cases
        if (not options.only or case.model in options.only)
        and (case.batch in options.batch if options.batch is not None else not case.only_if_asked)
        and (not options.with_goals or options.precision in case.precisions)
    ]


def start_cuda_rivals(options, cases, data, logs):
    pythons = [Path(sys.executable), Path("/usr/bin/python3"), options.venv / "bin" / "python"]
    rivals = []
    for key in options.rivals:
        models = RIVALS_OF_MODELS.get(key)
        if models and not any(case.model in models for case in cases):
            continue
        name, script, variant = CUDA_RIVALS[key]
        module = script.split("_")[0]
        python = next((python for python in pythons if finds(python, module)), None)
        # Braid has made the GPU work before.
        setting = {"BENCH_DEVICE": "cuda", "BENCH_PRECISION": options.precision, "BENCH_VARIANT": variant, "BENCH_SPIN": "0.1"}
        rivals.append(Rival(name, script, python, data, logs, [setting]))
        rivals[-1].models = models
    return rivals


def start_rivals(options, cases, data, logs):
    if options.device == "cuda":
        return start_cuda_rivals(options, cases, data, logs)
    venv = options.venv / "bin" / "python"
    # Debian's PyTorch belongs to Debian's Python, which need not be the first one on the path.
    pythons = [Path("/usr/bin/python3"), Path(sys.executable), venv]
    torch = next((python for python in pythons if finds(python, "torch")), venv)
    known = {
        "jax": ("JAX", "jax_peer.py", venv),
        "torch": ("PyTorch", "torch_peer.py", torch),
        "keras": ("Keras", "keras_peer.py", venv),
    }
    threads = [{"BENCH_THREADS": "1"}, {"BENCH_THREADS": "2"}]
    return [Rival(*known[name], data, logs, threads) for name in known if name in options.rivals]


def braid_command(options):
    command = [str(options.braid)]
    if options.device != "cpu":
        command += ["--device", options.device, "--large", "--precision", options.precision]
    return command


def measure_all(cases, braid, rivals, options):
    """As many rows as there is time for, those that there is none for, and whether Braid could do all that it was asked."""
    progress = Progress()
    rows, left, good = [], [], True
    longest = 0
    for case in cases:
        begin = time.monotonic()
        # A row that is cut would take those before it along.
        if begin - BEGAN + longest > options.budget:
            left.append(case.title)
            continue
        # Whoever compiles for a third of the time would leave none to the others.
        for program in [program for rival in rivals for program in rival.programs]:
            program.patience = min(program.patience, max(20, options.budget / 3))
        try:
            rows.append(measure(case, braid, rivals, options, progress))
        except Failure as failure:
            progress.end()
            print(f"{report.BRAID_FAILED}{case.title}: {failure}", flush=True)
            good = False
            continue
        finally:
            if case.device != "cpu":
                forget(rivals)
            longest = max(longest, time.monotonic() - begin)
        progress.end()
        if options.device != "cpu":
            print(report.sentence(rows[-1]), flush=True)  # the run may be stopped
        for line in report.left_alone(rows[-1], rivals):
            print(line, flush=True)
    return rows, left, good


def main(words):
    options = options_of(words)
    cases = cases_of(options)
    if options.install:
        install(options.venv)
    folder = ROOT / "build/bench-data"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        braid = Program(braid_command(options), folder / "braid.log", library_setting())
        braid.greet()
    except Failure as failure:
        print(f"cannot start Braid: {failure}; build the target braid_step_bench", file=sys.stderr)
        return NO_DEVICE if "no device" in str(failure) else 1
    rivals = []
    try:
        data = options.data or folder
        braid.ask("write", data, *sorted({case.model for case in cases}))
        rivals = start_rivals(options, cases, data, folder)
        for rival in rivals:
            rival.greet()
        library = library_told() if options.device != "cpu" else ""
        print(report.heading(braid, rivals, os.cpu_count(), os.getloadavg()[0], library), flush=True)
        rows, left, good = measure_all(cases, braid, rivals, options)
        if rows:
            print(report.table(rows, rivals))
        if left:
            print(f"left out, as {options.budget:.0f} seconds were over: {', '.join(left)}")
        if rows:
            print("\n".join(report.remarks(rows)))
        if options.out:
            print(report.write(options.out, rows, rivals, braid))
        return 1 if not good or any(row.alone for row in rows) else 0
    except KeyboardInterrupt:
        return 130
    finally:
        braid.close()
        for rival in rivals:
            rival.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
