#!/usr/bin/env python3
"""Breaks the GPU kernels on purpose, one small change at a time, and reports which changes no test notices.

Usage: mutate.py <build> [--files kernels/x_cuda.cu ...] [--sample N] [--seed S] [--list] [--jobs J]

After `cmake --build <build> --target braid_mutation_tests`. A change drops a barrier or a wait, shifts a bound by one, swaps
rows and columns or two operators, or turns a sum into an assignment, in a kernel source or a header of device functions. Only
the objects of what includes the changed file are compiled again; the tests that execute a kernel of these then run on the
emulated device, the quick ones first. A first run, without a change, tells which those are and how long they take, and must
pass; a change whose tests take several times as long is noticed, and counted apart. What survives and is no mistake stands in
tests/mutation_equivalents.txt, with the reason.
"""
import argparse
import collections
import contextlib
import concurrent.futures
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

import kernel_sources

ROOT = kernel_sources.ROOT
EQUIVALENTS = ROOT / "tests/mutation_equivalents.txt"
PATIENCE = 5  # how many times as long as without a change tests may take
LEAST_PATIENCE = 30  # seconds: a program that starts beside compilers is slow
QUICK = 1  # seconds of a test

KERNEL = re.compile(r"\b(\w+_kernel)\(")

# Name, what is changed, what it becomes.
CHANGES = [
    ("drop a barrier", r"\b(?:__syncthreads|__syncwarp|grid_sync)\(\);", ";"),
    ("drop a barrier", r"\bnamed_barrier_(?:sync|arrive)\([^;]*\);", ";"),
    ("drop a wait", r"\bcp_async_wait<\d+>\(\);", ";"),
    ("drop a wait", r"\bmbarrier_wait\([^;]*\);", ";"),
    ("wait for less", r"\bcp_async_wait<0>", "cp_async_wait<1>"),
    ("shift a bound", r" < (?!<)", " <= "),
    ("shift a bound", r" <= ", " < "),
    ("shift a bound", r" > (?!>)", " >= "),
    ("shift a bound", r" >= ", " > "),
    ("shift by one", r" \+ 1\b(?!\.)", " + 0"),
    ("shift by one", r" - 1\b(?!\.)", " - 0"),
    ("shift by one", r"= 0;", "= 1;"),
    ("swap strides", r"\.columns\b", ".rows"),
    ("swap strides", r"\.rows\b", ".columns"),
    ("swap strides", r" % ", " / "),
    ("swap strides", r" / (?!/)", " % "),
    ("change a sum", r" \+= ", " = "),
    ("change a sum", r" \+ (?!\d)", " - "),
    ("change a sum", r" - (?!\d)", " + "),
    ("change a product", r" \* (?=[a-z_0-9(])", " + "),
    ("turn a condition", r" == ", " != "),
    ("turn a condition", r" != ", " == "),
    ("turn a condition", r" && ", " || "),
    ("turn a condition", r" \|\| ", " && "),
    ("turn a condition", r"\bif \((?!constexpr)", "if (!("),
]


def close_negation(line, start):
    """After "if (!(" closes the bracket that "if (" opened."""
    depth = 0
    for i in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[i], 0)
        if depth == 0:
            return line[:i] + ")" + line[i:]
    return None


def changes_of(path):
    """(line number, operator, changed line) for each small change of a kernel file."""
    found = []
    for number, line in enumerate(path.read_text().splitlines()):
        code = line.split("//")[0]
        stripped = code.strip()
        if not stripped or stripped.startswith(("#", "template", "constexpr", "namespace", "static_assert", "using")):
            continue
        if "__global__" in code or "launch_kernel" in code:
            continue
        for name, pattern, becomes in CHANGES:
            for match in re.finditer(pattern, code):
                changed = code[: match.start()] + becomes + code[match.end():]
                if becomes == "if (!(":
                    changed = close_negation(changed, match.start() + 5)
                if changed is not None and changed != code:
                    found.append((number, name, changed))
    return found


class Build:
    """Compiles the kernel objects that a changed file is part of and links the tests with them."""

    def __init__(self, folder):
        self.folder = folder
        commands = subprocess.run(["ninja", "-C", str(folder), "-t", "commands", "braid_mutation_tests"], check=True,
                                  capture_output=True, text=True).stdout.splitlines()
        self.link = commands[-1]
        self.compile = {}
        for command in commands:
            match = re.search(r"-o (tests/CMakeFiles/braid_mutation_kernels\.dir/\S+) -c (\S+)$", command)
            if match:
                self.compile[pathlib.Path(os.path.normpath(folder / match[2]))] = (command, match[1])

    def make(self, changed, text, scratch):
        """None if the changed file does not compile."""
        copy = scratch / changed.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        link = re.sub(r"-o tests/braid_mutation_tests\b", f"-o {scratch / 'tests_with_a_change'}", self.link)
        for source in kernel_sources.sources_with(changed):
            command, built = self.compile[source]
            new_object = scratch / (source.name + ".o")
            arguments = [a for a in shlex.split(command) if a != "-MD" and "ccache" not in a]
            for flag in ("-MT", "-MF"):
                while flag in arguments:
                    at = arguments.index(flag)
                    del arguments[at:at + 2]
            arguments[arguments.index("-o") + 1] = str(new_object)
            arguments[arguments.index("-c") + 1] = str(copy if source == changed else source)
            # Found before the tree's own.
            arguments[1:1] = ["-I" + str(scratch), "-w"]
            if subprocess.run(arguments, cwd=self.folder, capture_output=True).returncode != 0:
                return None
            link = link.replace(" " + built + " ", " " + str(new_object) + " ")
        subprocess.run(link, cwd=self.folder, shell=True, check=True, capture_output=True)
        return scratch / "tests_with_a_change"


@contextlib.contextmanager
def names_in_a_file(tests):
    """As Catch2 reads them: a comma would end a name."""
    with tempfile.NamedTemporaryFile("w") as names:
        names.write("".join(test.replace(",", "\\,") + "\n" for test in tests))
        names.flush()
        yield names.name


class Tests:
    """Which tests execute a source's kernels, and their seconds: of a run without a change."""

    def __init__(self, program):
        with tempfile.NamedTemporaryFile("r") as log:
            environment = dict(os.environ, BRAID_TEST_BACKENDS="emulated", BRAID_KERNEL_LOG=log.name)
            run = subprocess.run([str(program), "~simt*", "-d", "yes"], env=environment, capture_output=True, text=True)
            executed = log.read()
        if run.returncode != 0:
            sys.exit(f"failed: the tests without a change\n{run.stdout[-4000:]}")
        self.seconds = {name: float(time) for time, name in re.findall(r"^(\d+\.\d+) s: (.*)$", run.stdout, re.MULTILINE)}
        self.of_kernel = collections.defaultdict(set)
        for line in executed.splitlines():
            kernel, _, _, test = line.split("\t")
            self.of_kernel[kernel.split("<")[0]].add(test)
        with names_in_a_file(self.seconds) as file:
            listed = subprocess.run([str(program), "--input-file", file, "--list-test-names-only"], capture_output=True, text=True)
        if set(listed.stdout.splitlines()) != set(self.seconds):
            sys.exit("failed: tests are not found by their names")

    def of(self, path):
        """Those that execute a kernel which a change of the file may change, and those that may look at its launches alone, of its
        subject and of all: the quick ones and the others."""
        kernels = {name for source in kernel_sources.sources_with(path) for name in KERNEL.findall(source.read_text())}
        subject = path.stem.split("_")[0]  # "lstm" of lstm_forward_cuda.cu
        tests = {test for test in self.seconds if test.startswith((subject, "kernel shapes"))}.union(*(self.of_kernel[kernel] for kernel in kernels))
        quick = {test for test in tests if self.seconds[test] < QUICK}
        return [sorted(some) for some in (quick, tests - quick) if some]

    def notice_change(self, program, path):
        """"caught", "timed out" or "survived"."""
        for tests in self.of(path):
            limit = max(LEAST_PATIENCE, PATIENCE * sum(self.seconds[test] for test in tests))
            with names_in_a_file(tests) as file:
                command = [str(program), "--input-file", file, "--abort"]
                environment = dict(os.environ, BRAID_TEST_BACKENDS="emulated")
                try:
                    run = subprocess.run(command, timeout=limit, env=environment, capture_output=True)
                except subprocess.TimeoutExpired:
                    return "timed out"
            if run.returncode != 0:
                return "caught"
        return "survived"


def equivalents():
    known = set()
    for line in EQUIVALENTS.read_text().splitlines():
        if line and not line.startswith("#"):
            known.add(line.split(" :: ")[0].strip())
    return known


def shown(path, number, changed):
    """The changed line; behind the last words before it, where it has none of its own."""
    if re.search(r"\w", changed):
        return changed.strip()
    before = [line.strip() for line in path.read_text().splitlines()[:number]]
    words = next((line for line in reversed(before) if re.search(r"\w", line)), "")
    return f"{words} {changed.strip()}"


def key_of(path, number, name, changed):
    return f"{path.name} | {name} | {shown(path, number, changed)}"


def outcome_of(build, tests, change):
    """"caught", "timed out", "survived", or "refused" by the compiler."""
    path, number, _, changed = change
    lines = path.read_text().splitlines()
    lines[number] = changed
    with tempfile.TemporaryDirectory() as scratch:
        program = build.make(path, "\n".join(lines) + "\n", pathlib.Path(scratch))
        if program is None:
            return "refused"
        return tests.notice_change(program, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--files", nargs="*", type=pathlib.Path)
    parser.add_argument("--sample", type=int, default=0, help="this many changes, drawn by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="changes that are tried at once")
    parser.add_argument("--list", action="store_true", help="only show the changes")
    options = parser.parse_args()
    files = [f.resolve() for f in options.files] if options.files else kernel_sources.sources() + kernel_sources.headers()
    known = equivalents()
    changes = [(path, *change) for path in files for change in changes_of(path)]
    listed = [c for c in changes if key_of(*c) in known]
    gone = known - {key_of(*c) for c in listed}
    if gone and not options.files:
        sys.exit(f"failed: {EQUIVALENTS.name} lists what is no change of a kernel any more\n" + "\n".join(sorted(gone)))
    changes = [c for c in changes if key_of(*c) not in known]
    if options.sample:
        random.Random(options.seed).shuffle(changes)
        changes = changes[: options.sample]
    if options.list:
        for path, number, name, changed in changes:
            print(f"{path.name}:{number + 1}: {name}: {shown(path, number, changed)}")
        return
    build = Build(options.build.resolve())
    tests = Tests(build.folder / "tests/braid_mutation_tests")
    outcomes = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for change, outcome in zip(changes, pool.map(lambda c: outcome_of(build, tests, c), changes)):
            outcomes[outcome] += 1
            path, number, name, changed = change
            if outcome in ("survived", "timed out"):
                print(f"{outcome}: {path.name}:{number + 1}: {name}: {shown(path, number, changed)}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{outcomes.total()} of {len(changes)}", end="", file=sys.stderr, flush=True)
            elif outcomes.total() % 10 == 0:
                print(f"{outcomes.total()} of {len(changes)} tried", flush=True)
    noticed = outcomes["caught"] + outcomes["timed out"]
    tried = noticed + outcomes["survived"]
    print(
        f"{noticed} of {tried} changes were noticed, {outcomes['timed out']} of them as tests did not come to their end; "
        f"{outcomes['refused']} did not compile, {len(listed)} are known to change nothing"
    )
    sys.exit(1 if tried == 0 or noticed < 0.95 * tried else 0)


main()
