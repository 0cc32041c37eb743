#!/usr/bin/env python3
"""The LSTM layer of Braid against cuDNN called directly, with each of its algorithms, in alternation, on a GPU.

  python3 bench/lstm_layers.py [--braid PROGRAM] [--units 64 128] [--rows 32 256] [--lengths full] [--precision bfloat16]
                               [--repeats 7] [--budget SECONDS]

Outputs of all steps, and all gradients from gradients of all of them, on the same numbers and lengths; who computes something
else than Braid is not timed. Times are microseconds of a time step, forward and forward with all gradients; both sides' launches
are recorded and replayed. cuDNN comes with PyTorch. Beside bfloat16 stands cuDNN in float16: all of its arrays are of that type,
Braid's are float32. With --device emulated everything is small, PyTorch's own LSTM on the CPU stands in for cuDNN, and nothing is
timed: that shows that results are compared.

Ends with 0: all of it was measured, or the budget was over; 1: Braid failed somewhere, or nobody computes what it does; 3: no GPU
answers; 4: no cuDNN is there.
"""

import argparse
import math
import operator
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from processes import Failure, Program, Rival, built, folder_of_data, library_setting
from report import ALONE, BRAID_FAILED, NOT_COMPARED

ROOT = Path(__file__).resolve().parent.parent
STEPS, FEATURES = 200, 128
SMALL_STEPS, SMALL_FEATURES, SMALLER = 7, 12, 64  # without a GPU, and how many times fewer rows
NO_DEVICE = 3
NO_RIVAL = 4
ALGORITHMS = ("standard", "static", "dynamic", "small")
UNITS = (64, 128, 256, 512, 1024)
# By precision: those of cuDNN beside it.
CUDNN_PRECISIONS = {"float32": ["float32"], "tf32": ["tf32"], "bfloat16": ["bfloat16", "float16"]}
# Of results, by the largest of their array: several times as far as roundings lead in 200 steps, and in float32 less than those
# of tf32 do.
TOLERANCES = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 5e-2, "float16": 1e-2}
COMPARED = {
    "outputs": "outputs",
    "in_grad": "gradients of inputs",
    "kernel_grad": "gradients of the kernel",
    "recurrent_grad": "gradients of the recurrent kernel",
    "bias_grad": "gradients of the bias",
}
COLUMNS = ("forward", "both")
REPEATS, LEAST_REPEATS = 7, 3
SLOW = 3  # times the best of its precision, in both columns: it is not asked again
IDLE = 1  # seconds after which a GPU may have lowered its clock
SHORTEST_PATIENCE, LONGEST_PATIENCE = 10, 600  # seconds for an answer


@dataclass(frozen=True)
class Goal:
    """Of layers with these units, rows, lengths and precisions of Braid's: so many microseconds a step, forward, or so many
    times as fast as the best algorithm of cuDNN, at the same precision unless another is named."""

    name: str
    units: tuple
    most_us: float = None
    ratio: float = None
    column: str = "both"  # of the ratio
    least_rows: int = 8
    most_rows: int = 1024
    lengths: tuple = ("full", "ragged")
    precisions: tuple = tuple(CUDNN_PRECISIONS)
    cudnn: str = None
    algorithms: tuple = ALGORITHMS

    def is_of(self, units, rows, lengths, precision):
        in_rows = rows is None or self.least_rows <= rows <= self.most_rows
        return units in self.units and in_rows and lengths in (None, *self.lengths) and precision in self.precisions


GOALS = (
    Goal("G7", (64,), most_us=0.3, lengths=("full",)),
    Goal("G7", (128,), most_us=0.4, lengths=("full",)),
    Goal("G7", (64, 128), ratio=3, lengths=("full",)),
    Goal("G7", (64, 128), ratio=12, lengths=("ragged",)),
    Goal("G8", (256,), most_us=0.7, most_rows=512, precisions=("tf32", "bfloat16")),
    Goal("G8", (256,), ratio=5, most_rows=512, precisions=("tf32", "bfloat16")),
    Goal("G8", (256,), ratio=1.5, most_rows=512, precisions=("bfloat16",), cudnn="float16", algorithms=("static",)),
    Goal("G9", (512,), most_us=1, precisions=("bfloat16",)),
    Goal("G9", (512,), ratio=4, precisions=("bfloat16",)),
    Goal("G9", (512,), ratio=1.2, precisions=("bfloat16",), cudnn="float16", algorithms=("static", "dynamic")),
    Goal("G9", (1024,), ratio=1, column="forward", most_rows=511),
    Goal("G9", (1024,), ratio=1, most_rows=511),
    Goal("G9", (1024,), ratio=1.15, column="forward", least_rows=512),
    Goal("G9", (1024,), ratio=1.15, least_rows=512),
)


class Budget:
    """The seconds of a run, counted from its start."""

    def __init__(self, seconds):
        self.seconds, self.start = seconds, time.monotonic()
        self.longest = 0  # what a row has taken with the least number of repeats

    @property
    def left(self):
        return self.seconds - (time.monotonic() - self.start)

    @property
    def holds_a_row(self):
        return self.left > self.longest


@dataclass
class Side:
    """Braid, or cuDNN at one precision with one of its algorithms, in one row."""

    name: str  # in a line
    program: object
    request: tuple  # that times it
    precision: str
    algorithm: str = ""
    full_name: str = ""
    answers: list = field(default_factory=list)
    why: str = ""  # it is not timed
    deviates: bool = False
    is_slow: bool = False

    @property
    def is_timed(self):
        return bool(self.answers) and not self.why

    def least(self, column):
        return min(answer[f"{column}_us"] for answer in self.answers) / STEPS

    def median(self, column):
        values = sorted(answer[f"{column}_median_us"] for answer in self.answers)
        return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2 / STEPS

    def floor(self, column):
        return max(answer.get(f"{column}_floor_us") or 0 for answer in self.answers) / STEPS


def best_of(sides, precision, algorithms, time_of):
    """The least time of cuDNN at a precision; None if it has none."""
    there = [side for side in sides if side.is_timed and side.precision == precision and side.algorithm in algorithms]
    return min(map(time_of, there), default=None)


def least_of(sides, precision):
    """Of each column, as one algorithm may be the fastest forward, and another with gradients."""
    return [best_of(sides, precision, ALGORITHMS, lambda side: side.least(column)) for column in COLUMNS]


def title_of(size):
    rows, _, _, units, ragged = size
    return f"H={units} B={rows} {'ragged' if ragged else 'full'}"


def pair(numbers):
    return " / ".join(f"{number:.3g}" for number in numbers)


def ratios(above, below):
    return " / ".join(f"{a / b:.2f}x" for a, b in zip(above, below))


class Row:
    """One size: who is timed, and what came out."""

    def __init__(self, size, precision, braid, rivals, algorithms):
        self.size, self.precision, self.title = size, precision, title_of(size)
        self.braid = Side("Braid", braid, ("lstm", *size), precision)
        self.deviations = {}  # by precision of cuDNN: the largest of whoever agrees
        self.cudnn = []
        for kind, rival in rivals.items():
            shown = "" if kind == precision else f"{kind} "
            for algorithm in algorithms if rival.programs else ():
                names = shown + algorithm, f"{rival.name} {algorithm}"
                self.cudnn.append(Side(names[0], rival.programs[0], ("time", algorithm), kind, algorithm, names[1]))

    @property
    def sides(self):
        return [self.braid, *self.cudnn]

    @property
    def is_alone(self):
        """Somebody answered, and nobody's results are Braid's."""
        return any(side.deviates for side in self.cudnn) and not self.deviations

    def judge(self, side, answer):
        tolerance = max(TOLERANCES[side.precision], TOLERANCES[self.precision])
        values = {key: answer[key] for key in COMPARED}
        wrong = [f"{COMPARED[key]} by {value:.1e}" for key, value in values.items() if not value <= tolerance]
        if wrong:
            side.deviates, side.why = True, f"its results deviate: {', '.join(wrong)}"
        else:
            self.deviations[side.precision] = max(self.deviations.get(side.precision, 0), *values.values())

    def drop_slow(self):
        """Algorithms that will not be the best of their precision are not asked again."""
        for side in self.cudnn:
            if side.is_timed:
                best = least_of(self.cudnn, side.precision)
                side.is_slow = all(side.least(column) > SLOW * least for column, least in zip(COLUMNS, best))

    def goals(self):
        """(title, whether it was reached, by medians, and what was found; or None and why it cannot be looked at)."""
        if not self.braid.is_timed:
            return []
        rows, _, _, units, ragged = self.size
        lengths = "ragged" if ragged else "full"
        return [self.looked_at(goal) for goal in GOALS if goal.is_of(units, rows, lengths, self.precision)]

    def looked_at(self, goal):
        if goal.most_us is not None:
            ours, floor = self.braid.median("forward"), self.braid.floor("forward")
            title = f"{goal.name} forward {goal.most_us:g} us"
            # Nobody goes below what work and memory take.
            return (title, ours <= goal.most_us, f"{ours:.3g} us") if floor <= goal.most_us else (title, None, "below the floor")
        kind, column = goal.cudnn or self.precision, goal.column
        title = f"{goal.name}{' forward' if column == 'forward' else ''} {goal.ratio:g}x"
        if goal.cudnn:
            title += f" {kind} {'/'.join(goal.algorithms)}"
        theirs = best_of(self.cudnn, kind, goal.algorithms, lambda side: side.median(column))
        if theirs is None:
            return title, None, "cuDNN has no time"
        ratio = theirs / self.braid.median(column)
        return title, ratio >= goal.ratio, f"{ratio:.2f}x"

    @staticmethod
    def shown(side):
        if side.why:
            return f"{side.name}: {side.why};"
        if not side.answers:
            return ""
        times = f"{side.name} {pair(map(side.least, COLUMNS))} ({pair(map(side.median, COLUMNS))})"
        return f"{times} ({SLOW}x the best: not repeated)," if side.is_slow else f"{times},"

    def line(self):
        parts = [f"{self.title}:", self.shown(self.braid)]
        ours = list(map(self.braid.least, COLUMNS)) if self.braid.is_timed else None
        floors = list(map(self.braid.floor, COLUMNS)) if ours else []
        if ours and all(floors):
            parts.append(f"{pair(map(operator.truediv, ours, floors))} times its floor of {pair(floors)};")
        parts += map(self.shown, self.cudnn)
        for kind in dict.fromkeys(side.precision for side in self.cudnn if side.is_timed) if ours else ():
            parts.append(f"cuDNN's best in {kind} takes {ratios(least_of(self.cudnn, kind), ours)};")
        verdicts = {True: "reached", False: "missed", None: "not looked at"}
        goals = [f"{title} {verdicts[reached]} ({found})" for title, reached, found in self.goals()]
        parts += [f"goals: {', '.join(goals)}"] if goals else []
        return " ".join(filter(None, parts)).rstrip(";,")

    def agreement(self):
        """The line of a row that is only compared."""
        found = [f"its results are Braid's within {value:.1e}" for value in self.deviations.values()]
        return f"{self.title}: PyTorch: {'; '.join(found + [side.why for side in self.cudnn if side.why]) or 'not asked'}"

    def remarks(self):
        """What bench/gpu_check.py looks for."""
        lines = [f"{NOT_COMPARED}{self.title}, {side.full_name}: {side.why}" for side in self.cudnn if side.deviates]
        if self.cudnn and all(side.why for side in self.cudnn) and not lines:
            lines.append(f"{NOT_COMPARED}{self.title}, cuDNN: none of its algorithms")
        if self.is_alone:
            lines.append(ALONE + self.title)
        if self.braid.why:
            lines.append(f"{BRAID_FAILED}{self.title}: {self.braid.why}")
        return lines


class Comparison:
    def __init__(self, options, braid, rivals, budget, data):
        self.options, self.braid, self.rivals, self.budget = options, braid, rivals, budget
        self.file = data / "lstm.npz"
        self.timed_last = -math.inf
        self.goals, self.deviations = [], {}
        self.good = True

    @property
    def on_gpu(self):
        return self.options.device == "cuda"

    def ask(self, side, *words):
        """Its answer; or None, and it is not asked again in this row."""
        if side.why:
            return None
        side.program.patience = max(SHORTEST_PATIENCE, min(LONGEST_PATIENCE, self.budget.left))
        try:
            return side.program.ask(*words)
        except Failure as failure:
            side.why = str(failure)
        return None

    def compare(self, row):
        """Everybody's results against Braid's."""
        if not row.cudnn or self.ask(row.braid, "write", self.file, *row.size) is None:
            return
        loaded = {}
        for side in row.cudnn:
            if id(side.program) not in loaded:
                self.ask(side, "load", self.file)
                loaded[id(side.program)] = side.why
            side.why = loaded[id(side.program)]
        self.file.unlink(missing_ok=True)  # nobody else would remove it if this were stopped
        for side in row.cudnn:
            answer = self.ask(side, "compare", side.algorithm)
            if answer is not None:
                try:
                    row.judge(side, answer)
                except (KeyError, TypeError):
                    side.why = f"it answered {answer}"

    def time(self, side):
        if side.is_slow:
            return
        if time.monotonic() - self.timed_last > IDLE and self.ask(side, "spin") is None:
            return
        answer = self.ask(side, *side.request)
        if answer is None:
            return
        self.timed_last = time.monotonic()
        if all((answer.get(f"{column}{kind}_us") or 0) > 0 for column in COLUMNS for kind in ("", "_median")):
            side.answers.append(answer)
        else:
            side.why = f"it answered {answer}"

    def repeat(self, row, begin, share):
        """Everybody in turn, as often as asked for; or at least three times, and as often as the row's share of the time
        holds. Returns when the row had what it needs."""
        least, most = (self.options.repeats,) * 2 if self.options.repeats else (LEAST_REPEATS, REPEATS)
        lasted = 0
        for number in range(most):
            started = time.monotonic()
            if number >= least and started + lasted - begin > share:
                break
            for side in row.sides if number % 2 == 0 else reversed(row.sides):
                if not row.braid.why:  # else there is nothing to hold others against
                    self.time(side)
            row.drop_slow()
            lasted = time.monotonic() - started
            if number < least:
                enough = time.monotonic()
        return enough

    def measure(self, size, share):
        begin = time.monotonic()
        row = Row(size, self.options.precision, self.braid, self.rivals, self.options.algorithms if self.on_gpu else ["LSTM"])
        self.compare(row)
        enough = time.monotonic()
        if self.on_gpu and not row.braid.why and not row.is_alone:
            enough = self.repeat(row, begin, share)
        self.budget.longest = max(self.budget.longest, enough - begin)
        print(row.line() if self.on_gpu else row.agreement())
        for line in row.remarks():
            print(line)
        sys.stdout.flush()
        self.good = self.good and not row.braid.why and not row.is_alone
        self.goals += [(f"{title} at {row.title}", reached) for title, reached, _ in row.goals() if reached is not None]
        for kind, deviation in row.deviations.items():
            self.deviations[kind] = max(self.deviations.get(kind, 0), deviation)

    def close_with(self, left):
        """What the rows say together."""
        if self.deviations:
            within = ", ".join(f"{value:.1e} in {kind}" for kind, value in self.deviations.items())
            print(f"results are the same within so much of the largest: {within}")
        if self.goals:
            missed = [title for title, reached in self.goals if not reached]
            print(f"goals that could be looked at: {len(self.goals) - len(missed)} of {len(self.goals)} reached, by medians" +
                  (f"; not {', '.join(missed)}" if missed else ""))
        if left:
            print(f"left out, as {self.budget.seconds:.0f} seconds were over: {', '.join(left)}")


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", type=Path, default=built("braid_device_bench"))
    parser.add_argument("--device", choices=["cuda", "emulated"], default="cuda")
    parser.add_argument("--units", nargs="+", type=int, help=f"default: {' '.join(map(str, UNITS))}, those with goals first")
    parser.add_argument("--rows", nargs="+", type=int, default=[256, 32, 1024, 8])
    parser.add_argument("--lengths", nargs="+", choices=["full", "ragged"], default=["full", "ragged"], help="of the rows")
    parser.add_argument("--precision", choices=list(CUDNN_PRECISIONS), default="float32", help="of products (braid/model.hpp)")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS, help="of cuDNN")
    several = f"default: {REPEATS}; with a budget as many of them as it holds, but {LEAST_REPEATS} at least"
    parser.add_argument("--repeats", type=int, help=several)
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds; no row is begun that may not fit in")
    parser.add_argument("--data", type=Path, help="folder for what is exchanged (default: its own, removed)")
    options = parser.parse_args(words)
    if options.units is None:
        has_goals = lambda units: any(goal.is_of(units, None, None, options.precision) for goal in GOALS)
        options.units = sorted(UNITS, key=lambda units: not has_goals(units))
    return options


def sizes_of(options):
    """Goals are reached early: those of all units with the first number of rows, full and ragged together."""
    small = options.device != "cuda"
    steps, features = (SMALL_STEPS, SMALL_FEATURES) if small else (STEPS, FEATURES)
    all_rows = dict.fromkeys(rows // SMALLER + 1 if small else rows for rows in options.rows)
    ragged = [number for number, lengths in enumerate(("full", "ragged")) if lengths in options.lengths]
    return [(rows, steps, features, units, number) for rows in all_rows for units in options.units for number in ragged]


def measure_all(comparison, sizes):
    left, budget = [], comparison.budget
    for number, size in enumerate(sizes):
        if budget.holds_a_row:
            comparison.measure(size, budget.left / (len(sizes) - number))
        else:
            left.append(title_of(size))
    comparison.close_with(left)


def start_rivals(options, logs, data):
    def rival(name, **setting):
        return Rival(name, "cudnn_peer.py", sys.executable, data, logs, [setting])

    if options.device != "cuda":
        return {"float32": rival("PyTorch", BENCH_PRECISION="float32", BENCH_DEVICE="cpu")}
    kinds = CUDNN_PRECISIONS[options.precision]
    return {kind: rival(f"cuDNN {kind}", BENCH_PRECISION=kind) for kind in kinds}


def run(options, budget, data):
    logs = ROOT / "build/bench-data"
    logs.mkdir(parents=True, exist_ok=True)
    command = [str(options.braid), "--device", options.device, "--precision", options.precision, "--serve"]
    programs, rivals = [], {}
    try:
        try:
            braid = Program(command, logs / "lstm.log", library_setting())
            programs.append(braid)
            rivals = start_rivals(options, logs, data)
            braid.greet()
        except (Failure, KeyError) as failure:
            print(f"cannot start Braid: {failure}; build the target braid_device_bench")
            return NO_DEVICE if "no device" in str(failure) else 1
        for rival in rivals.values():
            rival.greet()
        print(f"Braid on {braid.detail}")
        for rival in rivals.values():
            print(rival.told)
        if options.device == "cuda":
            print("microseconds of a time step, forward / forward and backward: least, and in parentheses the median", flush=True)
        comparison = Comparison(options, braid, rivals, budget, data)
        measure_all(comparison, sizes_of(options))
    finally:
        for program in [*programs, *rivals.values()]:
            program.close()
    if not comparison.good:
        return 1
    return NO_RIVAL if all(rival.missing for rival in rivals.values()) else 0


def main(words):
    options = options_of(words)
    budget = Budget(options.budget)
    data = None
    try:
        data = options.data or folder_of_data()
        return run(options, budget, data)
    except OSError as error:
        print(f"cannot go on: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if data and not options.data:
            shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
