"""The steps of bench/gpu_check.py: what each runs, and what it makes of it."""

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import gpu_report
from gpu_programs import tests
from gpu_report import Result
from processes import folder_of_data

INCOMPLETE = 4  # also of a program that measures and lacks what it would measure against
SHORTEST = 5  # seconds: with less left, a step is not begun
PATIENT = 240  # seconds: comparisons that have more repeat as often as they like
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
# Of no concern to a GPU: the source tree, and planted bugs that the emulated device must find.
NOT_ON_GPUS = ("structure_test", "emulated_gpus_test", "simt_bugs_test", "simt_reports_test", "simt_samples_test")
STEP_BENCH, DEVICE_BENCH = "bench/braid_step_bench", "bench/braid_device_bench"
ON_GPU = {"BRAID_TEST_BACKENDS": "cuda", "BRAID_DEVICE": "cuda"}


@dataclass
class Step:
    name: str
    what: str
    weight: float  # its share of the time that is left
    work: object  # work(check, seconds) -> Result
    is_timed: bool = False  # runs alone on the machine


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
