#!/usr/bin/env python3
"""The LSTM layer of Braid against cuDNN called directly, with each of its algorithms, in alternation, on a GPU.

  python3 bench/lstm_layers.py [--braid PROGRAM] [--units 64 128] [--rows 32 256] [--lengths full] [--precision bfloat16]
                               [--budget SECONDS]

Times are microseconds of a time step, forward and forward with all gradients; both sides are recorded once and replayed.
cuDNN comes with PyTorch, whose own LSTM says what must come out. Beside bfloat16 stands cuDNN in float16: all of its arrays are of
that type, Braid's are float32.
"""

import argparse
import math
import sys
import time
from pathlib import Path

from processes import Failure, Program, Rival

ROOT = Path(__file__).resolve().parent.parent
STEPS, FEATURES = 200, 128
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


def line_of(size, times):
    rows, _, _, units, ragged = size
    parts = [f"H={units} B={rows} {'ragged' if ragged else 'full'}:"]
    for who, value in times.items():
        parts.append(f"{who}: {value};" if isinstance(value, str) else f"{who} {value[0]:.3g} / {value[1]:.3g},")
    ours = times["Braid"]
    best = min((value for who, value in times.items() if who != "Braid" and not isinstance(value, str)), key=lambda v: v[1], default=None)
    if best and not isinstance(ours, str):
        parts.append(f"cuDNN's best takes {best[0] / ours[0]:.2f}x / {best[1] / ours[1]:.2f}x")
    return " ".join(parts)


def main(words):
    options = options_of(words)
    logs = ROOT / "build/bench-data"
    logs.mkdir(parents=True, exist_ok=True)
    try:
        braid = Program([str(options.braid), "--device", "cuda", "--precision", options.precision, "--serve"], logs / "lstm.log")
        braid.greet()
    except (Failure, ValueError) as failure:
        print(f"cannot start Braid: {failure}")
        return 3
    rivals = {precision: Rival(f"cuDNN {precision}", "cudnn_peer.py", sys.executable, logs, logs, [{"BENCH_PRECISION": precision}])
              for precision in CUDNN_PRECISIONS[options.precision]}
    for rival in rivals.values():
        rival.greet()
    print(f"Braid on {braid.detail}; cuDNN: {'; '.join(rival.missing or rival.detail for rival in rivals.values())}")
    print("microseconds of a time step: forward / forward and backward", flush=True)
    start = time.monotonic()
    left = []
    try:
        for ragged in [number for number, lengths in enumerate(("full", "ragged")) if lengths in options.lengths]:
            for units in options.units:
                for rows in options.rows:
                    size = (rows, STEPS, FEATURES, units, ragged)
                    if time.monotonic() - start > options.budget:
                        left.append(f"H={units} B={rows} {'ragged' if ragged else 'full'}")
                        continue
                    print(line_of(size, measure(braid, rivals, size, options)), flush=True)
        if left:
            print(f"left out, as {options.budget:.0f} seconds were over: {', '.join(left)}")
    finally:
        braid.close()
        for rival in rivals.values():
            rival.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
