#!/usr/bin/env python3
"""Breaks the GPU kernels on purpose, one small change at a time, and reports which changes no test notices.

Usage: mutate.py <build> [--files kernels/x_cuda.cu ...] [--sample N] [--seed S] [--list]

After `cmake --build <build> --target braid_mutation_tests`. A change drops a barrier or a wait, shifts a bound by one, swaps
rows and columns or two operators, or turns a sum into an assignment. Only the object of the changed file is compiled again; the
tests of kernels then run on the emulated device. What survives and is no mistake stands in tests/mutation_equivalents.txt, with
the reason.
"""
import argparse
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EQUIVALENTS = ROOT / "tests/mutation_equivalents.txt"

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
    """Compiles one kernel object and links the tests with it."""

    def __init__(self, folder, scratch):
        self.folder = folder
        self.scratch = scratch
        commands = subprocess.run(["ninja", "-C", str(folder), "-t", "commands", "braid_mutation_tests"], check=True,
                                  capture_output=True, text=True).stdout.splitlines()
        self.link = commands[-1]
        self.compile = {}
        for command in commands:
            match = re.search(r"-o (tests/CMakeFiles/braid_mutation_kernels\.dir/\S+) -c (\S+)$", command)
            if match:
                self.compile[pathlib.Path(os.path.normpath(folder / match[2]))] = (command, match[1])
        self.program = scratch / "tests_with_a_change"

    def make(self, source, text):
        """None if the changed source does not compile."""
        command, built = self.compile[source]
        changed = self.scratch / source.name
        changed.write_text(text)
        new_object = self.scratch / (source.name + ".o")
        arguments = [a for a in shlex.split(command) if a != "-MD" and "ccache" not in a]
        for flag in ("-MT", "-MF"):
            while flag in arguments:
                at = arguments.index(flag)
                del arguments[at:at + 2]
        arguments[arguments.index("-o") + 1] = str(new_object)
        arguments[arguments.index("-c") + 1] = str(changed)
        arguments += ["-I" + str(source.parent), "-w"]
        if subprocess.run(arguments, cwd=self.folder, capture_output=True).returncode != 0:
            return None
        link = re.sub(r"-o tests/braid_mutation_tests\b", "-o " + str(self.program), self.link)
        link = link.replace(" " + built + " ", " " + str(new_object) + " ")
        subprocess.run(link, cwd=self.folder, shell=True, check=True, capture_output=True)
        return self.program


def tests_notice(program, limit):
    run_environment = dict(os.environ, BRAID_TEST_BACKENDS="emulated")
    try:
        run = subprocess.run([str(program), "~simt*", "--abort"], timeout=limit, env=run_environment, capture_output=True)
    except subprocess.TimeoutExpired:
        return True
    return run.returncode != 0


def equivalents():
    known = set()
    for line in EQUIVALENTS.read_text().splitlines():
        if line and not line.startswith("#"):
            known.add(line.split(" :: ")[0].strip())
    return known


def key_of(path, name, changed):
    return f"{path.name} | {name} | {changed.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--files", nargs="*", type=pathlib.Path)
    parser.add_argument("--sample", type=int, default=0, help="this many changes, drawn by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120, help="seconds that the tests may take")
    parser.add_argument("--list", action="store_true", help="only show the changes")
    options = parser.parse_args()
    files = [f.resolve() for f in options.files] if options.files else sorted((ROOT / "kernels").glob("*_cuda.cu"))
    known = equivalents()
    changes = [(path, *change) for path in files for change in changes_of(path)]
    listed = [c for c in changes if key_of(c[0], c[2], c[3]) in known]
    changes = [c for c in changes if key_of(c[0], c[2], c[3]) not in known]
    if options.sample:
        random.Random(options.seed).shuffle(changes)
        changes = changes[: options.sample]
    if options.list:
        for path, number, name, changed in changes:
            print(f"{path.name}:{number + 1}: {name}: {changed.strip()}")
        return
    caught = 0
    refused = 0
    survivors = []
    with tempfile.TemporaryDirectory() as scratch:
        build = Build(options.build.resolve(), pathlib.Path(scratch))
        for path, number, name, changed in changes:
            lines = path.read_text().splitlines()
            lines[number] = changed
            program = build.make(path, "\n".join(lines) + "\n")
            if program is None:
                refused += 1
            elif tests_notice(program, options.limit):
                caught += 1
            else:
                survivors.append(key_of(path, name, changed))
                print(f"survived: {path.name}:{number + 1}: {name}: {changed.strip()}", flush=True)
    tried = caught + len(survivors)
    print(f"{caught} of {tried} changes were noticed; {refused} did not compile, {len(listed)} are known to change nothing")
    sys.exit(1 if tried and caught < 0.95 * tried else 0)


main()
