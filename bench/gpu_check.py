#!/usr/bin/env python3
"""Checks and measures everything that needs a GPU, on a machine that has one: no network, no compiler.

  bench/gpu_check.py [STEP...] [--build FOLDER] [--source FOLDER] [--minutes 9] [--out FOLDER]

Runs in a build tree (made with BRAID_BENCHMARKS=ON) and in an unpacked bundle of `make gpu-bundle`; golden data and the
sources that tests read come from a checkout, --source. bench/README.md says what the steps are. Leaves report.md and log.txt
in --out, and prints one table last. Ends with 0: all steps passed; 1: one failed; 3: no GPU answers; 4: nothing failed, but
something was skipped or cut.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gpu_report
from gpu_programs import Broken, Check
from gpu_report import Result
from gpu_steps import DEVICE_BENCH, INCOMPLETE, SHORTEST, STEPS

ROOT = Path(__file__).resolve().parent.parent
NO_DEVICE = 3
EPILOGUE = 5  # seconds for the report
MOST_JOBS = 12  # programs that share the GPU while nothing is timed
GAIN = 4  # how many times sooner tests end when they run side by side, at most


def device_facts(check):
    """Of the GPU that answers; or why none does."""
    program = check.program(DEVICE_BENCH)
    if not program.exists():
        return None, f"there is no {program}: build with BRAID_BENCHMARKS=ON, or unpack a bundle"
    ran = check.run([program, "--device", "cuda", "--facts"], 60)
    if ran.status == 0:
        return gpu_report.last_json(ran.text), ""
    return None, gpu_report.last_line(ran.text).removeprefix("no device: ")


def build_at(options):
    """A build tree, or the bundle that this script was unpacked from."""
    if options.build:
        return options.build.resolve()
    return ROOT if (ROOT / "tests/braid_tests").exists() else ROOT / "build/release"


def source_at(options):
    """The checkout: named, or around this script, or where the caller is."""
    places = [options.source] if options.source else [ROOT, Path.cwd(), *Path.cwd().parents]
    return next((place.resolve() for place in places if (place / "tests/golden").is_dir()), None)


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="these steps alone: " + ", ".join(step.name for step in STEPS))
    parser.add_argument("--build", type=Path, help="build tree or unpacked bundle")
    parser.add_argument("--source", type=Path, help="checkout with the golden data")
    parser.add_argument("--minutes", type=float, default=9, help="for everything together")
    jobs = max(1, min(MOST_JOBS, (os.cpu_count() or 1) - 2))
    parser.add_argument("--jobs", type=int, default=jobs, help=f"programs at once where nothing is timed (here: {jobs})")
    parser.add_argument("--out", type=Path, help="folder of report.md and log.txt (default: gpu-check in the build)")
    options = parser.parse_args(words)
    unknown = set(options.steps) - {step.name for step in STEPS}
    if unknown:
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(step.name for step in STEPS)}")
    return options


def run_step(check, step, seconds):
    started = time.monotonic()
    print(f"{step.name}: {step.what}, at most {seconds:.0f} s", flush=True)
    try:
        result = step.work(check, seconds)
    except Broken as broken:
        result = Result("failed", str(broken))
    result.seconds = time.monotonic() - started
    return step, result


def run_side_by_side(check, steps, seconds):
    """Whoever has the GPU for itself for a moment does not matter: nothing is timed."""
    if not steps:
        return []
    check.deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(len(steps)) as pool:
        results = list(pool.map(lambda step: run_step(check, step, seconds), steps))
    check.deadline = float("inf")
    return results


def run_all(check, chosen, end):
    """Tests side by side, if the machine has the cores; then what is timed, one after the other."""
    timed = [step for step in chosen if step.is_timed]
    tested = [step for step in chosen if not step.is_timed]
    if check.jobs > 1:
        of_tests = sum(step.weight for step in tested) / min(GAIN, check.jobs)
        all_weights = of_tests + sum(step.weight for step in timed)
        results = run_side_by_side(check, tested, (end - time.monotonic()) * of_tests / max(all_weights, 1))
        one_by_one = timed
    else:
        results, one_by_one = [], tested + timed
    for number, step in enumerate(one_by_one):
        left = end - time.monotonic()
        if left < SHORTEST:
            results.append((step, Result("cut", "no time was left for it")))
            continue
        share = left * step.weight / sum(other.weight for other in one_by_one[number:])
        results.append(run_step(check, step, max(share, SHORTEST)))
    return results


def main(words):
    begin = time.monotonic()
    options = options_of(words)
    build = build_at(options)
    if not (build / "tests/braid_tests").exists():
        print(f"there is no {build / 'tests/braid_tests'}: build the tests first, or name a build with --build", file=sys.stderr)
        return 1
    check = Check(build, source_at(options), (options.out or build / "gpu-check").resolve(), max(1, options.jobs))
    chosen = [step for step in STEPS if not options.steps or step.name in options.steps]
    facts, why = device_facts(check)
    check.facts = facts or {}
    if facts is None:
        results = [(step, Result("skipped", "no GPU answers")) for step in chosen]
    else:
        results = run_all(check, chosen, begin + 60 * options.minutes - EPILOGUE)
    states = [result.state for _, result in results]
    results += [(step, Result("skipped", "not chosen")) for step in STEPS if step not in chosen]
    order = {step.name: number for number, step in enumerate(STEPS)}
    results.sort(key=lambda pair: order[pair[0].name])
    report = gpu_report.write(check, results, why, time.monotonic() - begin)
    print(gpu_report.table(results))
    print(f"report: {report}; everything that was printed: {check.log.name}")
    if facts is None:
        print(f"no GPU answers: {why}; every step was skipped")
        return NO_DEVICE
    return 1 if "failed" in states else INCOMPLETE if set(states) - {"passed"} else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
