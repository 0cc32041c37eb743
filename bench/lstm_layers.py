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
import shutil
import sys
import time
from pathlib import Path

from lstm_goals import ALGORITHMS, CUDNN_PRECISIONS, GOALS
from lstm_row import COLUMNS, STEPS, Row, title_of
from processes import Failure, Program, Rival, built, folder_of_data, library_setting

ROOT = Path(__file__).resolve().parent.parent
FEATURES = 128
SMALL_STEPS, SMALL_FEATURES, SMALLER = 7, 12, 64  # without a GPU, and how many times fewer rows
NO_DEVICE = 3
NO_RIVAL = 4
UNITS = (64, 128, 256, 512, 1024)
REPEATS, LEAST_REPEATS = 7, 3
IDLE = 1  # seconds after which a GPU may have lowered its clock
SHORTEST_PATIENCE, LONGEST_PATIENCE = 10, 600  # seconds for an answer


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
