#!/usr/bin/env python3
"""Fails if a line of a GPU kernel was executed by no test.

Usage: kernel_coverage.py <build>, after `cmake --build <build> --target braid_coverage_tests`. The kernels ran on the emulated
device; gcov counted their lines.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import kernel_sources

ROOT = pathlib.Path(__file__).resolve().parent.parent
COUNTED = {path.relative_to(ROOT).as_posix() for path in kernel_sources.sources() + kernel_sources.headers()}


def counts_of(build):
    """{file: {line: executions}} over all objects of the kernels."""
    objects = build / "tests/CMakeFiles/braid_coverage_kernels.dir"
    notes = sorted(objects.rglob("*.cu*.gcno"))
    if not notes:
        sys.exit(f"failed: no kernels compiled with --coverage under {objects}")
    counts = {}
    with tempfile.TemporaryDirectory() as scratch:
        for note in notes:
            run = subprocess.run(["gcov", "--json-format", "--stdout", str(note)], cwd=scratch, capture_output=True,
                                 text=True, check=True)
            for text in run.stdout.splitlines():
                for file in json.loads(text)["files"]:
                    path = pathlib.Path(os.path.normpath(build / file["file"]))
                    try:
                        name = path.relative_to(ROOT).as_posix()
                    except ValueError:
                        continue
                    if name not in COUNTED:
                        continue
                    lines = counts.setdefault(name, {})
                    for line in file["lines"]:
                        number = line["line_number"]
                        lines[number] = lines.get(number, 0) + line["count"]
    return counts


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    for stale in (build / "tests/CMakeFiles/braid_coverage_kernels.dir").rglob("*.gcda"):
        stale.unlink()
    tests = subprocess.run([str(build / "tests/braid_coverage_tests")], env=dict(os.environ, BRAID_TEST_BACKENDS="emulated"))
    if tests.returncode != 0:
        sys.exit("failed: the tests of the kernels")
    counts = counts_of(build)
    missed = 0
    for name in sorted(counts):
        source = (ROOT / name).read_text().splitlines()
        for number in sorted(counts[name]):
            if counts[name][number] == 0:
                missed += 1
                print(f"never executed: {name}:{number}: {source[number - 1].strip()}")
    lines = sum(len(each) for each in counts.values())
    print(f"Kernel lines executed on the emulated device: {lines - missed} of {lines}, in {len(counts)} files")
    sys.exit(1 if missed or not counts else 0)


main()
