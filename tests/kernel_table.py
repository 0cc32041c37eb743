#!/usr/bin/env python3
"""Writes the table of all GPU kernels: registers, shared memory, spills and occupancy, and which tests executed each; and
sections of what tests measure: launches, bytes, steps of the LSTM.

Usage: kernel_table.py <build> <table> [--sections], after `cmake --build <build> --target braid_tests braid_race_tests`. nvcc
must be there; what it says of a source is kept under <build>/kernel_table until the source, a header of it or the command changes. Fails
if a kernel of the LSTM or of Dense spills registers, if no test executed a kernel, or if a GPU would refuse a block that a test
launched. --sections: only the sections are written anew, and nvcc is not needed.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURES = ("80", "90a", "100")
# What CMake gives nvcc for a release (cmake/gpu_kernels.cmake).
OPTIONS = ["-std=c++20", "-O3", "-DNDEBUG", "--expt-relaxed-constexpr", "--diag-suppress=554"]
MUST_NOT_SPILL = re.compile(r"lstm_|dense_|row_program_")
# Of a multiprocessor: (threads, blocks, shared memory, of which a block costs without asking for any). All have 65536 registers.
PROCESSORS = {
    "80": (2048, 32, 164 * 1024, 1024),
    "90a": (2048, 32, 228 * 1024, 1024),
    "100": (2048, 32, 228 * 1024, 1024),
}
ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
# In PTX, and what a report says of it.
BOUND_IN_PTX = re.compile(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)")
BOUND = re.compile(r"At most (\d+) threads for '(\w+)' on 'sm_(\w+)'")
MOST_THREADS = 1024  # of a block, where a kernel sets no bounds


def is_fresh(report, dependencies, command, said_by):
    if not report.exists() or not dependencies.exists() or not said_by.exists() or said_by.read_text() != command:
        return False
    names = re.sub(r"\\\n", " ", dependencies.read_text()).split(":", 1)[1].split()
    return all(os.path.exists(name) and os.path.getmtime(name) <= report.stat().st_mtime for name in names)


def report_of(source, build, compiler):
    """What ptxas says of a source's kernels on every architecture, and the bounds of their launches."""
    folder = build / "kernel_table"
    folder.mkdir(exist_ok=True)
    report = folder / (source.stem + ".txt")
    dependencies = folder / (source.stem + ".d")
    said_by = folder / (source.stem + ".command")
    command = ["nvcc", *OPTIONS, "-I", str(ROOT), "-I", str(build / "include"), "-Xptxas", "-v", "-fatbin", str(source), "-o",
               str(folder / (source.stem + ".fatbin")), "-MD", "-MF", str(dependencies)]
    if source.name == "optimizer_cuda.cu":
        command.append("-fmad=false")
    for architecture in ARCHITECTURES:
        command += ["-gencode", f"arch=compute_{architecture},code=sm_{architecture}"]
    command_in_words = f"{compiler}: {' '.join(command)}"
    if not is_fresh(report, dependencies, command_in_words, said_by):
        with tempfile.TemporaryDirectory() as kept:
            run = subprocess.run([*command, "--keep", "--keep-dir", kept], capture_output=True, text=True)
            if run.returncode != 0:
                sys.exit(f"failed: nvcc {source.name}\n{run.stderr}")
            bounds = [f"At most {most} threads for '{symbol}' on 'sm_{architecture}'\n" for architecture in ARCHITECTURES
                      for symbol, most in BOUND_IN_PTX.findall(
                          pathlib.Path(kept, f"{source.stem}.compute_{architecture}.ptx").read_text())]
        report.write_text(run.stderr + "".join(bounds))
        said_by.write_text(command_in_words)
    return report.read_text()


def files_of_kernels():
    """Sources of the GPU's kernels and the headers in kernels/ that they include; other headers there are the processor's."""
    found = set((ROOT / "kernels").glob("*.cu"))
    looked_at = set()
    while found != looked_at:
        for path in found - looked_at:
            looked_at.add(path)
            found |= {ROOT / "kernels" / name for name in re.findall(r'^#include "kernels/(\w+\.hpp)"', path.read_text(), re.M)}
    return sorted(found) + [ROOT / "kernels/simt" / name for name in ("device.hpp", "elements.hpp", "rows.hpp")]


def digest_of_kernels():
    """FNV-1a over the code of the kernels, comments and spaces aside: tests see by it that the table is of these."""
    digest = 0xCBF29CE484222325
    for path in files_of_kernels():
        for line in path.read_text().splitlines():
            for byte in "".join(line.split("//")[0].split()).encode():
                digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest:016x}"


def enumerators():
    """{"(Precision)1": "Precision::tf32", ...} of the kernels' headers: c++filt writes numbers."""
    names = {}
    for header in sorted((ROOT / "kernels").glob("*.hpp")):
        for kind, body in re.findall(r"enum class (\w+)[^{;]*\{([^}]*)\}", header.read_text()):
            words = re.findall(r"\w+", re.sub(r"//.*", "", body))
            names.update({f"({kind}){number}": f"{kind}::{word}" for number, word in enumerate(words)})
    return names


ENUMERATORS = enumerators()
# And how c++filt does.
HOW_GCC_WRITES = (("<unnamed>::", ""), ("braid::simt::", ""), ("long unsigned int", "unsigned long"), ("long int", "long"))


def short_name(symbol):
    """embedding_forward_kernel<4>, from what the linker knows it by."""
    full = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout.strip()
    full = full.replace("(anonymous namespace)::", "").replace("braid::kernels::", "").replace("void ", "", 1)
    depth = 0
    for place, sign in enumerate(full):
        depth += {"<": 1, ">": -1}.get(sign, 0)
        if sign == "(" and depth == 0:
            full = full[:place]
            break
    return re.sub(r"\(\w+\)\d+", lambda number: ENUMERATORS.get(number[0], number[0]), full)


def kernels_of(text):
    """{name: {architecture: {registers, static shared memory, stack, spilled, most threads of a block}}}"""
    found = {}
    entry = None
    for line in text.splitlines():
        if match := ENTRY.search(line):
            entry = found.setdefault(short_name(match[1]), {}).setdefault(match[2], {"most": MOST_THREADS})
        elif match := BOUND.search(line):
            found[short_name(match[2])][match[3]]["most"] = int(match[1])
        elif match := STACK.search(line):
            if entry is not None:
                entry["stack"] = int(match[1])
                entry["spilled"] = int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and entry is not None:
            entry["registers"] = int(match[1])
            shared = SHARED.search(line)
            entry["shared"] = int(shared[1]) if shared else 0
            entry = None
    return found


def occupancy(architecture, threads, registers, shared):
    """Threads that a multiprocessor runs at once, as a share of those that it could."""
    most_threads, most_blocks, memory, reserved = PROCESSORS[architecture]
    of_warp = (registers * 32 + 255) // 256 * 256  # registers are given to warps, 256 at a time
    by_registers = 65536 // of_warp // (threads // 32)
    blocks = min(most_threads // threads, most_blocks, by_registers, memory // (shared + reserved))
    return blocks * threads / most_threads


def run_program(program, tests, **variables):
    """Tests of these names, on the emulated device."""
    environment = dict(os.environ, BRAID_TEST_BACKENDS="emulated", **variables)
    run = subprocess.run([str(program), tests], env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"failed: {program.name}\n{run.stdout[-4000:]}")


def run_tests(build, tests):
    """{kernel: threads, dynamic shared memory and tests} of the tests on the emulated device, and the sections' text."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        log = folder / "kernels"
        log.touch()
        run_program(build / "tests/braid_tests", tests, BRAID_KERNEL_LOG=str(log), BRAID_KERNEL_TABLES=scratch)
        run_program(build / "tests/braid_race_tests", RACE_TESTS, BRAID_KERNEL_TABLES=scratch)
        text = log.read_text()
        sections = "".join(head + (folder / name).read_text() for name, head in SECTIONS.items())
    found = {}
    for line in text.splitlines():
        name, threads, shared, test = line.split("\t")
        for own, other in HOW_GCC_WRITES:
            name = name.replace(own, other)
        entry = found.setdefault(name, {"threads": 0, "shared": 0, "tests": []})
        entry["threads"] = max(entry["threads"], int(threads))
        entry["shared"] = max(entry["shared"], int(shared))
        entry["tests"].append(test)
    return found, sections


def shares_of(compiled, executed):
    return [occupancy(architecture, executed["threads"], compiled[architecture]["registers"],
                      compiled[architecture]["shared"] + executed["shared"]) for architecture in ARCHITECTURES]


def refusal(compiled, executed):
    """Why a GPU would not launch this kernel as a test did, or nothing. Where it has less shared memory than tests ask for, launches
    ask for less."""
    most = most_threads(compiled)
    if executed["threads"] > most:
        return f"launched with {executed['threads']} threads, and compiled for {most}"
    for architecture, share in zip(ARCHITECTURES, shares_of(compiled, executed)):
        _, _, memory, reserved = PROCESSORS[architecture]
        if share == 0 and compiled[architecture]["shared"] + executed["shared"] + reserved <= memory:
            return f"not one block fits a multiprocessor of sm_{architecture}"
    return ""


def most_threads(compiled):
    return min(compiled[architecture]["most"] for architecture in ARCHITECTURES)


def row_of(name, compiled, executed):
    each = [compiled[architecture] for architecture in ARCHITECTURES]
    registers = " / ".join(str(one["registers"]) for one in each)
    shared = " / ".join(str(one["shared"]) for one in each)
    if len({one["shared"] for one in each}) == 1:
        shared = str(each[0]["shared"])
    if executed["shared"]:
        shared += f" + {executed['shared']}"
    spilled = " / ".join(str(one["spilled"]) for one in each) if any(one["spilled"] for one in each) else "0"
    filled = " / ".join(f"{100 * share:.0f}" for share in shares_of(compiled, executed))
    tests = f"{len(executed['tests'])}: {executed['tests'][0]}".replace("|", "\\|")
    threads = f"{executed['threads']} of {most_threads(compiled)}"
    return f"| `{name}` | {threads} | {registers} | {spilled} | {shared} | {filled} | {tests} |"


INTRODUCTION = """# The kernels of GPUs

Written by `make kernels`: what {compiler} makes of every kernel for {architectures}, in this order where they differ, and the
tests that executed it on the emulated device. Threads are the most of a block in any test, of those that the kernel is compiled
for, shared memory the static bytes plus the most that a launch of a test asked for, spilled the bytes of registers that are stored
and loaded again, occupancy the threads that a multiprocessor can run at once for such a launch, in percent. Digest of the kernels' code: `{digest}`.

| kernel | threads | registers | spilled | shared memory | occupancy | executed by tests, the first of them |
|---|---|---|---|---|---|---|
"""
# What tests write down, by the name of the file. Other tests find the sections by their titles.
SECTIONS = {"launches.md": """
## Launches of a training step

A recorded step of the reference models (`bench/reference_models.cpp`) as it is replayed: m1 two inputs, m2 a sequence and
features, m3 two outputs. The goals are 3, 9 and 3. Inputs, the rate and the number of the step are uploaded beside it.

""", "bytes.md": """
## Bytes that a training step moves

Of such a step of 32 rows, by the race flavour of the emulated device: the bytes of the device's memory that a launch reads and
writes, each counted once a launch, without what it reads of its own results. Caches save some of it between launches; what falls
out of them within one comes on top. At least: what no way to compute the step can avoid, of weights, moments, gradients and data.

""", "lstm_steps.md": """
## Steps of the LSTM

What a time step of its persistent kernels (units, rows of a block, default activations) waits for, measured on the emulated
device: barriers of the block, exchanges of a warp, and loads from global memory of what the same step needs. Inputs are asked
for so many steps before theirs; so are places, which are read only where there is a mask.

""", "lstm_team_steps.md": """
## Steps of the LSTM by teams

What a time step and tile of its kernels for more than 128 units pass, measured likewise: barriers of a block and exchanges of a
warp. Beside them a step waits for what the other blocks of the team leave of the step before, and passes one fence in four steps.

"""}
# The tests that write them.
SECTION_TESTS = "launches: a step of a reference model*,lstm on a gpu: a step passes*,lstm by teams: a step passes*"
RACE_TESTS = "moved bytes: of the reference models*"
# Those that judge the table wait until it is there; those that are hidden are run by others.
ALL_TESTS = "~[.]~kernel table*"


def main():
    only_sections = "--sections" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--sections"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    build = pathlib.Path(arguments[0]).resolve()
    table = pathlib.Path(arguments[1])
    if only_sections:
        kernels = table.read_text().split("\n## ")[0]
        table.write_text(kernels + run_tests(build, SECTION_TESTS)[1])
        return
    version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    compiler = "nvcc " + re.search(r"V([\d.]+)", version)[1]
    compiled = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for report in pool.map(lambda source: report_of(source, build, compiler), sorted((ROOT / "kernels").glob("*_cuda.cu"))):
            compiled.update(kernels_of(report))
    executed, sections = run_tests(build, ALL_TESTS)
    wrong = []
    rows = []
    for name in sorted(compiled):
        seen = executed.get(name)
        if seen is None:
            wrong.append(f"no test executes {name}")
            continue
        if MUST_NOT_SPILL.match(name) and any(one["spilled"] for one in compiled[name].values()):
            wrong.append(f"registers of {name} are spilled")
        if why := refusal(compiled[name], seen):
            wrong.append(f"{name}: {why}")
        rows.append(row_of(name, compiled[name], seen))
    architectures = ", ".join("sm_" + name for name in ARCHITECTURES)
    introduction = INTRODUCTION.format(compiler=compiler, architectures=architectures, digest=digest_of_kernels())
    text = introduction + "\n".join(rows) + "\n" + sections
    table.write_text(text)
    print(text)
    if wrong:
        sys.exit("failed: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
