#!/usr/bin/env python3
"""The LSTM layer of Braid against cuDNN called directly, with each of its algorithms, in alternation, on a GPU.

  python3 bench/lstm_layers.py [--braid PROGRAM] [--units 64 128] [--rows 32 256] [--lengths full] [--precision bfloat16]
                               [--budget SECONDS]

Times are microseconds of a time step, forward and forward with all gradients; both sides are recorded once and replayed.
cuDNN comes with PyTorch, whose own LSTM says what must come out. Beside bfloat16 stands cuDNN in float16: all of its arrays are of
that type, Braid's are float32. Ends with 0: all of it was measured, or the budget was over; 1: Braid failed somewhere; 3: no GPU
answers; 4: no cuDNN is there.
"""

import argparse
import math
import sys
import time
from pathlib import Path

from processes import Failure, Program, Rival, library_setting
from report import BRAID_FAILED, NOT_COMPARED

ROOT = Path(__file__).resolve().parent.parent
STEPS, FEATURES = 200, 128
NO_DEVICE = 3
NO_RIVAL = 4
ALGORITHMS = ("standard", "static", "dynamic", "small")
# By precision: those of cuDNN beside it.
CUDNN_PRECISIONS = {"float32": ["float32"], "tf32": ["tf32"], "bfloat16": ["bfloat16", "float16"]}


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", type=Path, default=ROOT / "build/release/bench/braid_device_bench")
    parser.add_argument("--units", nargs="+", type=int, default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rows", nargs="+", type=int, default=[256, 32, 1024, 8])
    parser.add_argument("--lengths", nargs="+", choices=["full", "ragged"], default=["full", "ragged"], help="of the rows")
    parser.add_argument("--precision", choices=list(CUDNN_PRECISIONS), default="float32", help="of products (of Braid's: braid/model.hpp)")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS, help="of cuDNN")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds after which no further row is begun")
    return parser.parse_args(words)


def measure(braid, rivals, size, options):
    """{who: (forward, both)} in microseconds of a time step, or why there is no time."""
    times = {}

    def ask(who, program, *words):
        if isinstance(times.get(who), str):
            return
        try:
            answer = program.ask(*words)
        except Failure as failure:
            times[who] = str(failure)
            return
        before = times.get(who, (math.inf, math.inf))
        times[who] = tuple(min(a, answer[key] / STEPS) for a, key in zip(before, ("forward_us", "both_us")))

    for _ in range(options.repeats):
        ask("Braid", braid, "lstm", *size)
        for precision, rival in rivals.items():
            shown = "" if precision == options.precision else f"{precision} "
            for algorithm in options.algorithms if rival.programs else ():
                ask(shown + algorithm, rival.programs[0], "cudnn", algorithm, *size)
    return times


def title_of(size):
    rows, _, _, units, ragged = size
    return f"H={units} B={rows} {'ragged' if ragged else 'full'}"


def line_of(size, times):
    parts = [f"{title_of(size)}:"]
    for who, value in times.items():
        parts.append(f"{who}: {value};" if isinstance(value, str) else f"{who} {value[0]:.3g} / {value[1]:.3g},")
    ours = times["Braid"]
    theirs = [value for who, value in times.items() if who != "Braid" and not isinstance(value, str)]
    if theirs and not isinstance(ours, str):
        # One algorithm may be the fastest forward, and another with gradients.
        forward, both = (min(column) for column in zip(*theirs))
        parts.append(f"cuDNN's best takes {forward / ours[0]:.2f}x / {both / ours[1]:.2f}x")
    return " ".join(parts)


def print_row(size, times):
    """Returns whether Braid's program could do it."""
    print(line_of(size, times), flush=True)
    ours = times.pop("Braid")
    if times and all(isinstance(value, str) for value in times.values()):
        print(f"{NOT_COMPARED}{title_of(size)}, cuDNN: none of its algorithms", flush=True)
    if isinstance(ours, str):
        print(f"{BRAID_FAILED}{title_of(size)}: {ours}", flush=True)
    return not isinstance(ours, str)


def main(words):
    options = options_of(words)
    logs = ROOT / "build/bench-data"
    logs.mkdir(parents=True, exist_ok=True)
    command = [str(options.braid), "--device", "cuda", "--precision", options.precision, "--serve"]
    try:
        braid = Program(command, logs / "lstm.log", library_setting())
        braid.greet()
    except Failure as failure:
        print(f"cannot start Braid: {failure}; build the target braid_device_bench")
        return NO_DEVICE if "no device" in str(failure) else 1
    rivals = {precision: Rival(f"cuDNN {precision}", "cudnn_peer.py", sys.executable, logs, logs, [{"BENCH_PRECISION": precision}])
              for precision in CUDNN_PRECISIONS[options.precision]}
    for rival in rivals.values():
        rival.greet()
    print(f"Braid on {braid.detail}")
    for rival in rivals.values():
        print(rival.told)
    print("microseconds of a time step: forward / forward and backward", flush=True)
    start = time.monotonic()
    left, good = [], True
    try:
        for ragged in [number for number, lengths in enumerate(("full", "ragged")) if lengths in options.lengths]:
            for units in options.units:
                for rows in options.rows:
                    size = (rows, STEPS, FEATURES, units, ragged)
                    if time.monotonic() - start > options.budget:
                        left.append(title_of(size))
                        continue
                    good = print_row(size, measure(braid, rivals, size, options)) and good
        if left:
            print(f"left out, as {options.budget:.0f} seconds were over: {', '.join(left)}")
    finally:
        braid.close()
        for rival in rivals.values():
            rival.close()
    if not good:
        return 1
    return 0 if any(not rival.missing for rival in rivals.values()) else NO_RIVAL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
