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
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import gpu_report
from gpu_report import Result
from processes import folder_of_data, library_setting

ROOT = Path(__file__).resolve().parent.parent
NO_DEVICE = 3
INCOMPLETE = 4  # also of a program that measures and lacks what it would measure against
SHORTEST = 5  # seconds: with less left, a step is not begun
EPILOGUE = 5  # seconds for the report
MOST_JOBS = 12  # programs that share the GPU while nothing is timed
GAIN = 4  # how many times sooner tests end when they run side by side, at most
PATIENT = 240  # seconds: comparisons that have more repeat as often as they like
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
# Of no concern to a GPU: the source tree, and planted bugs that the emulated device must find.
NOT_ON_GPUS = ("structure_test", "emulated_gpus_test", "simt_bugs_test", "simt_reports_test", "simt_samples_test")


@dataclass
class Step:
    name: str
    what: str
    weight: float  # its share of the time that is left
    work: object  # work(check, seconds) -> Result
    is_timed: bool = False  # runs alone on the machine


@dataclass
class Ran:
    status: int
    text: str
    cut: bool  # it ran out of time
    pieces: list = field(default_factory=list)  # the same of each program, if there were several

    def __post_init__(self):
        self.pieces = self.pieces or [self]


class Broken(Exception):
    """Why a step could not do what it is there for."""


class Check:
    """What the steps share: where things are, and how programs are run and logged."""

    def __init__(self, build, source, out, jobs):
        self.build, self.source, self.out = build, source, out
        self.jobs = jobs
        self.slots = threading.BoundedSemaphore(jobs)
        self.deadline = float("inf")  # of what runs side by side
        self.facts = {}
        self.settings = {"BRAID_SOURCE": str(source or ""), **library_setting()}  # of every program
        out.mkdir(parents=True, exist_ok=True)
        self.log = open(out / "log.txt", "w", encoding="utf-8")
        self.log_is_free = threading.Lock()

    def program(self, path):
        return self.build / path

    def run(self, command, seconds, environment=None):
        """Runs a command with all that it starts, at most so long, as soon as fewer than `jobs` others run."""
        words = [str(word) for word in command]
        with self.slots, tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
                                       env={**os.environ, **self.settings, **(environment or {})}, start_new_session=True)
            cut = False
            try:
                process.wait(timeout=max(1, min(seconds, self.deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                cut = True
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            printed.seek(0)
            text = printed.read().decode("utf-8", errors="replace")
        settings = " ".join(f"{key}={value}" for key, value in (environment or {}).items())
        with self.log_is_free:
            self.log.write(f"\n$ {settings} {' '.join(words)}\n{text}\n[status {process.returncode}{', cut' if cut else ''}]\n")
            self.log.flush()
        return Ran(process.returncode, text, cut)

    def tags(self):
        """The test files, as tags that Catch2 makes of their names."""
        listed = self.run([self.program("tests/braid_tests"), "-#", "--list-tags"], 60)
        lines = re.findall(r"^ *\d+ +(\[.*)$", listed.text, re.MULTILINE)
        total = re.search(r"^(\d+) tags?$", listed.text, re.MULTILINE)
        # The status of an older Catch2 is the number of tags, as far as a status can hold it.
        if not lines or not total or int(total[1]) != len(lines) or listed.status not in (0, len(lines) % 256):
            raise Broken(f"the tests cannot be listed: status {listed.status}, {gpu_report.last_line(listed.text)}")
        return sorted({word.strip("[]#") for line in lines for word in line.split() if word.startswith("[#")})


def tests(check, seconds, files, environment, prefix=(), options=(), pieces=1):
    """Runs test cases, in so many pieces side by side."""
    pieces = min(pieces, check.jobs, max(1, len(files)))

    def run(number):
        picked = ",".join(f"[#{file}]" for file in files[number::pieces])
        command = [*prefix, check.program("tests/braid_tests"), "-#", picked, "-d", "yes", *options]
        return check.run(command, seconds, environment)

    with ThreadPoolExecutor(pieces) as pool:
        ran = list(pool.map(run, range(pieces)))
    text = "\n".join(each.text for each in ran)
    return Ran(max((each.status for each in ran), key=abs), text, any(each.cut for each in ran), ran)


STEP_BENCH, DEVICE_BENCH = "bench/braid_step_bench", "bench/braid_device_bench"
ON_GPU = {"BRAID_TEST_BACKENDS": "cuda", "BRAID_DEVICE": "cuda"}


def judged(ran, totals=gpu_report.catch2_totals):
    """The result of a program that counts what passed."""
    if ran.cut:
        failures = gpu_report.failures_in(ran.text)
        done = gpu_report.finished_cases(ran.text)
        detail = f"{done} finished, {failures} failed when its time was over"
        ended = [piece.status for piece in ran.pieces if piece.status != 0 and not piece.cut]
        if ended:
            detail += f"; a part of it ended with status {ended[0]}"
        return Result("failed" if failures or ended else "cut", detail, ran.text)
    counted = totals(ran.text, len(ran.pieces))
    if counted is None:
        return Result("failed", f"ended with status {ran.status} and without totals", ran.text)
    passed, failed, skipped = counted
    detail = f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
    good = failed == 0 and ran.status == 0
    return Result("passed" if good else "failed", detail + ("" if good or failed else f", status {ran.status}"), ran.text)


def contracts(check, seconds):
    return judged(tests(check, seconds, ["simt_contracts_test"], ON_GPU))


def kernels(check, seconds):
    files = [tag for tag in check.tags() if tag.startswith("kernels_") or tag == "gpu_kernels_test"]
    return judged(tests(check, seconds, files, {**ON_GPU, "BRAID_EVERY_KERNEL": "1"}))


def suite(check, seconds):
    """Everything else."""
    known = check.tags()
    files = [tag for tag in known if not tag.startswith("kernels_") and tag not in (*NOT_ON_GPUS, "simt_contracts_test")]
    return judged(tests(check, seconds, files, ON_GPU, pieces=4))


def goldens(check, seconds):
    folder = check.source and check.source / "tests/golden"
    if not folder or not folder.is_dir():
        return Result("skipped", "no golden data: name a checkout with --source")
    command = [check.program("tests/braid_golden"), folder, "--device", "cuda"]
    return judged(check.run(command, seconds), gpu_report.closing_totals)


def examples(check, seconds):
    script = (check.source or check.build) / "tests/examples_test.sh"
    script = script if script.exists() else check.build / "tests/examples_test.sh"
    if not script.exists():
        return Result("skipped", "no tests/examples_test.sh")
    return judged(check.run(["bash", script, check.build], seconds, {"BRAID_DEVICE": "cuda"}), gpu_report.closing_totals)


def graph(check, seconds):
    """A training run has the same bits twice, without recorded graphs, and in a fit on resident data, one step a launch or many."""
    begin = time.monotonic()
    same, wrong = [], []
    for model in ("m1", "m2", "m3"):
        digests = []
        for environment in ({}, {}, {"BRAID_NO_GRAPH": "1"}):
            command = [check.program(STEP_BENCH), "--device", "cuda", "--ask", f"digest {model} 32 4 60"]
            ran = check.run(command, max(SHORTEST, seconds - (time.monotonic() - begin)), environment)
            if ran.cut:
                return Result("cut", f"out of time at {model}; the same: {', '.join(same) or 'none yet'}", ran.text)
            if ran.status != 0:
                return Result("failed", f"{model}: {gpu_report.last_line(ran.text)}", ran.text)
            digests.append(gpu_report.last_json(ran.text).get("digest"))
        if digests[0] is None or len(set(digests)) > 1:
            wrong.append(f"{model}: {digests[0]}, again {digests[1]}, without graphs {digests[2]}")
        else:
            same.append(f"{model} {digests[0]}")
    return Result("failed" if wrong else "passed", "; ".join(wrong or same))


def find_sanitizer():
    places = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", "/usr/local/cuda/compute-sanitizer"]
    found = shutil.which("compute-sanitizer")
    for place in places:
        for path in (f"{place}/bin/compute-sanitizer", f"{place}/compute-sanitizer"):
            found = found or (path if place and os.access(path, os.X_OK) and os.path.isfile(path) else None)
    return found


def sanitizer(tool):
    def work(check, seconds):
        program = find_sanitizer()
        if program is None:
            return Result("skipped", "compute-sanitizer is not installed")
        # Refused launches are tested for: what the driver says to those is no error of ours.
        prefix = [program, "--tool", tool, "--error-exitcode", "99"]
        if tool == "memcheck":
            prefix += ["--report-api-errors", "no"]
        files = [tag for tag in check.tags() if tag.startswith("kernels_")] + ["device_test", "simt_contracts_test"]
        # In random order: where time runs out, some of everything has been seen, and not the same every time.
        order = ["--order", "rand", "--rng-seed", str(int(time.time()) % 100000)]
        ran = tests(check, seconds, files, ON_GPU, prefix, order, pieces=3)
        wrong = [piece for piece in ran.pieces if gpu_report.sanitizer_errors(piece.text) or piece.status == 99]
        if wrong:
            errors = sum(gpu_report.sanitizer_errors(piece.text) for piece in wrong)
            return Result("failed", f"{errors or 'some'} errors; {gpu_report.first_sanitizer_error(wrong[0].text)}", ran.text)
        for piece in ran.pieces:
            if not piece.cut and "SUMMARY" not in piece.text:
                return Result("failed", f"the tool gave no summary: {gpu_report.last_line(piece.text)}", ran.text)
        result = judged(ran)
        result.detail = f"no errors of {tool}; {result.detail}"
        return result

    return work


def measured(title, ran):
    """The result of a program that measures, of which everything that it did not do must be told."""
    failures, remarks = gpu_report.failures_of(ran.text), gpu_report.remarks_of(ran.text)
    bad = bool(failures) or (not ran.cut and ran.status not in (0, INCOMPLETE))
    left = any(remark.startswith("left out") for remark in remarks)
    state = "failed" if bad else "cut" if ran.cut or left else "skipped" if ran.status == INCOMPLETE else "passed"
    how_far = [gpu_report.last_line(ran.text)] if ran.cut or bad else []
    detail = "; ".join(dict.fromkeys(failures + how_far + remarks)) or f"see {title.lower()}"
    return Result(state, detail, ran.text, gpu_report.section(title, ran.text))


def kernel_times(title, file, only=(), environment=None):
    def work(check, seconds):
        command = [check.program(DEVICE_BENCH), "--device", "cuda", "--budget", int(seconds * 0.8), *only]
        return measured(title, check.run([*command, "--json", check.out / file], seconds, environment))

    return work


def comparison(title, script, program, *options):
    def work(check, seconds):
        folder = Path(__file__).resolve().parent
        command = [sys.executable, folder / script, "--braid", check.program(program), "--budget", int(seconds * 0.85), *options]
        if seconds < PATIENT:
            command += ["--repeats", "3"]
        # What it writes for the rivals may have a gigabyte; when its time is over it can no longer remove that.
        data = folder_of_data()
        try:
            return measured(title, check.run([*command, "--data", data], seconds, {"PYTHONUNBUFFERED": "1"}))
        finally:
            shutil.rmtree(data, ignore_errors=True)

    return work


STEPS = [
    Step("contracts", "wrappers of the facade against their emulated twins", 20, contracts),
    Step("kernels", "tests of kernels on cuda", 70, kernels),
    Step("goldens", "Keras's results on cuda", 50, goldens),
    Step("graph", "bits of a training run, recorded and not, twice", 30, graph),
    Step("suite", "all other tests with the default device cuda", 80, suite),
    *(Step(tool, f"compute-sanitizer {tool} over the tests of kernels", 45, sanitizer(tool)) for tool in SANITIZERS),
    Step("examples", "the examples on cuda", 30, examples),
    Step("kernel-times", "each kernel at the shapes of the reference models", 40, kernel_times("Kernels", "kernels.json"), True),
    Step("own-products", "Dense's products by Braid's kernels alone, without cuBLASLt", 10,
         kernel_times("Dense without cuBLASLt", "own_products.json", ["--only", "Dense"], {"BRAID_CUBLASLT": "none"}), True),
    Step("rounded-products", "Dense's products in bfloat16", 10,
         kernel_times("Dense in bfloat16", "rounded_products.json", ["--only", "Dense", "--precision", "bfloat16"]), True),
    Step("steps", "steps of the models against PyTorch and JAX, in float32", 90,
         comparison("Steps of the models", "run.py", STEP_BENCH, "--device", "cuda", "--with-goals"), True),
    Step("steps-tf32", "the same in tf32", 70,
         comparison("Steps of the models in tf32", "run.py", STEP_BENCH, "--device", "cuda", "--with-goals", "--precision", "tf32"), True),
    Step("steps-bfloat16", "model 2 with many rows in bfloat16, against PyTorch", 20,
         comparison("Steps of model 2 in bfloat16", "run.py", STEP_BENCH, "--device", "cuda", "--with-goals", "--precision", "bfloat16",
                    "--rivals", "torch", "torch-graph"), True),
    Step("goals", "large layers against PyTorch; launching, memory, data from the host", 60,
         comparison("Goals", "goals.py", STEP_BENCH), True),
    Step("lstm-layers", "the LSTM against cuDNN called directly", 50, comparison("LSTM layers", "lstm_layers.py", DEVICE_BENCH), True),
    Step("lstm-tf32", "LSTMs of 256 units in tf32", 20,
         comparison("LSTM layers in tf32", "lstm_layers.py", DEVICE_BENCH, "--precision", "tf32", "--units", "256",
                    "--rows", "256", "32", "512", "8", "--algorithms", "standard", "static"), True),
    Step("lstm-rounded", "LSTMs of many units in bfloat16, against cuDNN's in bfloat16 and float16", 30,
         comparison("LSTM layers in bfloat16", "lstm_layers.py", DEVICE_BENCH, "--precision", "bfloat16", "--units", "512", "256", "1024",
                    "--rows", "256", "32", "512", "--algorithms", "standard", "static"), True),
]


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
