#!/usr/bin/env python3
"""What goals ask for beside steps of the models: one large layer with its optimizer, and what a step costs beside its
arithmetic. On a GPU.

  python3 bench/goals.py [PART...] [--batch 8192] [--precision bfloat16] [--budget SECONDS]

  host       what launching a step costs the host
  memory     what a step of model 2 takes, against PyTorch
  streaming  steps that the host feeds, against steps on resident data
  adam       the update of 100,000 and of 128,000,000 parameters, alone, against PyTorch's fused one
  embedding  a table of 1,000,000 x 128, 51,200 ids a step, against PyTorch
  dense      a layer of 4096 x 4096, forward, backward and Adam, against PyTorch

bench/README.md says what is measured. With --device cpu or emulated everything is small: that shows that it runs.
"""

import argparse
import math
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import run
from goal_programs import Bench
from processes import Failure, built, folder_of_data, library_told
from report import BRAID_FAILED, NOT_COMPARED, against, microseconds, short

UNITS = 4096
WIDE_ROWS = 8192  # that there are data of
PEAK = 788e12  # operations a second, in bfloat16, that the goal counts with, for these cards
PEAK_CARDS = ("H100", "H200")
DENSE_GOALS = {8192: (1180, {"eager": 1.25, "max-autotune": 1.1}), 1024: (200, {"eager": 1.5, "compile": 1.2, "max-autotune": 1.2})}
EMBEDDING_GOAL, EMBEDDING_RATIO = 70, 12
ADAM_MICROSECONDS = {100_000: 2.5}
ADAM_SHARES = {128_000_000: 0.92}  # of the rate of a large copy
ADAM_RATIO = 1
HOST_GOALS = {1: 4, 16: 0.5}  # microseconds a step, by steps of a launch
MEMORY_RATIO = 3
STREAMED = {256: ("m2", 8), 1024: ("m1", 16), 8192: ("m3", 2)}  # batch: model, batches
NO_STALL = 0.02  # of a step: as well as times can be told apart
UPLOAD_SHARE = 0.9


@dataclass
class Part:
    batches: tuple
    precision: str
    variants: tuple  # of PyTorch
    measure: object  # measure(bench, batch) prints what it finds


def sentence(found, goals=None):
    """Braid's time, and the others' as so many times Braid's."""
    parts = [f"Braid {microseconds(found['Braid'])} us"]
    for who, value in found.items():
        if who != "Braid" and not isinstance(value, str):
            ratio = against(value / found["Braid"], (goals or {}).get(who))
            parts.append(f"PyTorch {who} {microseconds(value)} us ({ratio})")
    return ", ".join(parts)


def look_at(bench, title, found, goals):
    """Goals that are held against rivals."""
    for who, goal in goals.items():
        if isinstance(found.get(who), float):
            bench.reached(f"{title} against {who}", found[who] / found["Braid"] >= goal)


def share_of_peak(rate, card):
    other = "" if any(name in card for name in PEAK_CARDS) else f", a rate of {' and '.join(PEAK_CARDS)}, not of this card"
    return f"{100 * rate / PEAK:.0f} % of the {PEAK / 1e12:.0f} that the goal counts with{other}"


def dense(bench, part, precision, batch):
    """What the second of two layers adds is a layer with all its gradients, and without data, loss and what begins a step."""
    count = WIDE_ROWS // batch
    title = f"dense B={batch} {precision}"
    one = bench.steps(f"{title}, one layer", part, precision, "m4", batch, count)
    print(f"{title}, one layer: {sentence(one)}", flush=True)
    two = bench.steps(f"{title}, two layers", part, precision, "m4d", batch, count)
    print(f"{title}, two layers: {sentence(two)}", flush=True)
    numbers = [who for who in one if isinstance(one[who], float) and isinstance(two.get(who), float)]
    layer = {who: two[who] - one[who] for who in numbers if two[who] > one[who]}
    if "Braid" not in layer:
        print(f"{title}: two layers took no longer than one")
        return
    goal, ratios = DENSE_GOALS[batch]
    rate = 6 * batch * UNITS**2 / (layer["Braid"] * 1e-6)
    share = f", {share_of_peak(rate, bench.braid(precision).detail)}" if precision == "bfloat16" else ""
    line = f"{title}, the second layer: {sentence(layer, ratios)}; {rate / 1e12:.0f} TFLOP/s{share}"
    if precision == "bfloat16":
        line += f"; goal {goal} us"
        bench.reached(f"{title} {goal} us", layer["Braid"] <= goal)
    print(line, flush=True)
    look_at(bench, title, layer, ratios)


def embedding(bench, part, precision, batch):
    title = f"embedding B={batch} {precision}"
    found = bench.steps(title, part, precision, "m5", batch, 4)
    ratios = {"eager": EMBEDDING_RATIO}
    print(f"{title}, {200 * batch:,} ids: {sentence(found, ratios)}; goal {EMBEDDING_GOAL} us", flush=True)
    bench.reached(f"{title} {EMBEDDING_GOAL} us", found["Braid"] <= EMBEDDING_GOAL)
    look_at(bench, title, found, ratios)


def host(bench, part, precision, batch):
    """Epochs so short that no queue of launches fills up."""
    count = 128
    for model in ("m1", "m3"):
        for at_once, goal in HOST_GOALS.items():
            words = ("epochs", model, batch, count, at_once, bench.options.seconds)
            answers = bench.alternate([("Braid", bench.braid(precision), words)])["Braid"]
            clock, processor = (min(answer[key]["median"][0] for answer in answers) for key in ("host", "processor"))
            title = f"host {model} B={batch}, {at_once} a launch"
            print(f"{title}: {clock:.3g} us a step by the clock, {processor:.3g} us of processor time; goal {goal:g} us; "
                  f"the step takes {microseconds(run.combine(answers).least)} us", flush=True)
            bench.reached(title, processor <= goal)


def memory(bench, part, precision, batch):
    rows = bench.rows(batch)
    rivals = bench.rivals(precision, part.variants, "m2")
    ours = bench.braid(precision).ask("memory", "m2", rows, 1)
    taken = ours["arena"] + ours["scratch"]
    title = f"memory m2 B={batch} {precision}"
    parts = [f"Braid {short(taken)}B ({short(ours['arena'])}B of values, {short(ours['scratch'])}B of scratch)"]
    for variant, program in rivals.items():
        try:
            theirs = program.ask("memory", "m2", rows, 1)["bytes"]
        except Failure as failure:
            print(f"{NOT_COMPARED}{title}, PyTorch {variant}: {failure}", flush=True)
            continue
        parts.append(f"PyTorch {variant} {short(theirs)}B ({against(theirs / taken, MEMORY_RATIO)})")
        bench.reached(f"{title} against {variant}", theirs / taken >= MEMORY_RATIO)
    print(f"{title}: {', '.join(parts)}", flush=True)


def streaming(bench, part, precision, batch):
    model, count = STREAMED[batch]
    rows = bench.rows(batch)
    words = ("epochs", model, rows, count, 1, bench.options.seconds)
    turns = [("Braid", bench.braid(precision), words), ("fed", bench.braid(precision, fed=True), words)]
    answers = bench.alternate(turns)
    if isinstance(answers["fed"], str):
        raise Failure(answers["fed"])
    resident, fed = (run.combine(answers[who]).least for who in ("Braid", "fed"))
    upload = {"us": 0, "bytes": 0}
    if bench.options.device != "cpu":
        upload = bench.braid(precision).ask("upload", model, rows, count)
    stall, share = 1 - resident / fed, upload["us"] / fed
    title = f"streaming {model} B={batch}"
    print(f"{title}: resident {microseconds(resident)} us, fed by the host {microseconds(fed)} us: stalls {100 * max(stall, 0):.0f} %; "
          f"a copy of its {short(upload['bytes'])}B takes {microseconds(upload['us'])} us, {100 * share:.0f} % of the fed step", flush=True)
    bench.reached(title, stall <= NO_STALL if upload["us"] < resident else share >= UPLOAD_SHARE)


def adam(bench, part, precision, count):
    """Launches alone. That PyTorch's Adam computes what Braid's does, losses of whole steps show."""
    title = f"adam of {count:,} parameters"
    turns = [("Braid", bench.kernels(precision), ("kernel", "AdamUpdate", count))]
    turns += [("fused", program, ("adam", count)) for program in bench.rivals(precision, part.variants).values()]
    answers = bench.alternate(turns)
    if isinstance(answers.get("fused"), str):
        print(f"{NOT_COMPARED}{title}, PyTorch fused: {answers['fused']}", flush=True)
    found = {who: min(answer["least_us"] for answer in of_one) for who, of_one in answers.items() if not isinstance(of_one, str)}
    if not bench.large:
        print(f"{title}: updated by {' and '.join(found)}; the emulated device measures nothing", flush=True)
        return
    line = f"{title}: {sentence(found, {'fused': ADAM_RATIO})}"
    if count in ADAM_SHARES:
        share = answers["Braid"][0]["floor_us"] / found["Braid"]
        line += f"; {100 * share:.0f} % of the rate of a large copy, goal {100 * ADAM_SHARES[count]:.0f} %"
        bench.reached(f"{title} {100 * ADAM_SHARES[count]:.0f} %", share >= ADAM_SHARES[count])
    if count in ADAM_MICROSECONDS:
        line += f"; goal {ADAM_MICROSECONDS[count]} us"
        bench.reached(f"{title} {ADAM_MICROSECONDS[count]} us", found["Braid"] <= ADAM_MICROSECONDS[count])
    print(line, flush=True)
    look_at(bench, title, found, {"fused": ADAM_RATIO})


# The quick ones first: time may run out.
PARTS = {
    "host": Part((32,), "float32", (), host),
    "memory": Part((8192,), "float32", ("eager", "padded"), memory),
    "streaming": Part(tuple(STREAMED), "float32", (), streaming),
    "adam": Part((100_000, 128_000_000), "float32", ("eager",), adam),
    "embedding": Part((256,), "float32", ("eager",), embedding),
    "dense": Part(tuple(DENSE_GOALS), "bfloat16", ("eager", "compile", "max-autotune"), dense),
}


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="these alone: " + ", ".join(PARTS))
    parser.add_argument("--batch", nargs="+", type=int, help="these batch sizes alone")
    parser.add_argument("--braid", type=Path, default=built("braid_step_bench"), help="Braid's program")
    parser.add_argument("--venv", type=Path, default=run.ROOT / "build/bench-venv", help="where torch is looked for last")
    parser.add_argument("--device", choices=["cuda", "cpu", "emulated"], default="cuda")
    precisions = ["float32", "tf32", "bfloat16"]
    parser.add_argument("--precision", choices=precisions, help="of everybody (bfloat16 for dense, else float32)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a block")
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds after which no further row is begun")
    parser.add_argument("--data", type=Path, help="folder for the rivals' data, which then stay (default: its own, removed)")
    options = parser.parse_args(words)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not rows_of(options):
        parser.error("no part has such a batch")
    return options


def rows_of(options):
    """(part's name, batch) in the order in which they are measured."""
    chosen = [name for name in PARTS if not options.parts or name in options.parts]
    return [(name, batch) for name in chosen for batch in PARTS[name].batches if not options.batch or batch in options.batch]


def measure_all(bench, options):
    """Prints what is found; returns whether Braid could be asked everything, and never stood alone with what it computes."""
    left, good = [], True
    longest = {}  # of each part: a row that is cut would take the summary along
    for name, batch in rows_of(options):
        begin = time.monotonic()
        if begin - run.BEGAN + longest.get(name, 0) > options.budget:
            left.append(f"{name} B={batch}")
            continue
        part = PARTS[name]
        precision = options.precision or part.precision
        try:
            if bench.large:
                bench.braid(precision).ask("spin", run.SPIN)
            part.measure(bench, part, precision, batch)
        except Failure as failure:
            print(f"{BRAID_FAILED}{name} B={batch}: {failure}", flush=True)
            good = False
        run.forget(bench.setting(precision).rivals.values())
        longest[name] = time.monotonic() - begin
    if bench.goals:
        missed = [title for title, is_reached in bench.goals if not is_reached]
        print(f"goals that could be looked at: {len(bench.goals) - len(missed)} of {len(bench.goals)} reached" +
              (f"; not {', '.join(missed)}" if missed else ""))
    if left:
        print(f"left out, as {options.budget:.0f} seconds were over: {', '.join(left)}")
    return good and not bench.alone


def main(words):
    options = options_of(words)
    data = options.data or folder_of_data()
    data.mkdir(parents=True, exist_ok=True)
    bench = Bench(options, data)
    try:
        rows = rows_of(options)
        for name in dict.fromkeys(name for name, _ in rows):
            bench.start(options.precision or PARTS[name].precision, PARTS[name].variants)
        bench.greet_rivals()  # while they start they would disturb what the host's time is taken of
        try:
            braid = bench.braid(options.precision or PARTS[rows[0][0]].precision)
            small = "" if bench.large else "; everything is small, and numbers say nothing of goals"
            print(f"Braid: {braid.detail}{small}", flush=True)
            if bench.large:
                print(library_told(), flush=True)
        except (Failure, ValueError) as failure:
            print(f"cannot start Braid: {failure}; build the target braid_step_bench")
            return run.NO_DEVICE if "no device" in str(failure) else 1
        return 0 if measure_all(bench, options) else 1
    except KeyboardInterrupt:
        return 130
    finally:
        bench.close()
        if not options.data:
            shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
