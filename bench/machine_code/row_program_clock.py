#!/usr/bin/env python3
"""Works out, without a GPU, what the waves of a model's row program cost a block on an H100.

  row_program_clock.py BUILD [--model m1] [--rows 32] [--fetch 5] [--profile FIRST LAST] [--cubin FILE]

The program and the data are those of a fit on the emulated device: gdb stops BUILD's step bench at
its seventh launch, and the first block's instructions are carried out one by one on what its memory
holds (instructions.py), by a clock (block.py). They come from nvcc, which takes a minute, or from --cubin:
kernels/row_program_cuda.cu for sm_90a, with -lineinfo for profiles. Wants nvcc, nvdisasm, gdb,
readelf and numpy.

Prints the cycles of each wave: from the time its first warp begins until the next one does. Behind
each step stands how many instructions the warp with the most of them carries out. Where code runs
once, much of the time is fetching it: --fetch gives the cycles of an instruction; 7 were measured on
an H200. --profile prints the source lines that the first warp spends most on, from the FIRST step
to the LAST.
"""
import argparse
import collections
import os
import re
import struct
import subprocess
import tempfile

from block import Block
from listing import Listing
from memory import Memory

THREADS = 256
PROGRAM_BYTES = 56  # of the launch's arguments
HEAD_OF_STEP = 16
LAUNCHES_BEFORE = 6
FUNCTION = "braid::kernels::emulated::run(braid::kernels::Stream const&, braid::kernels::RowProgram const&)"


def compiled(source, build, folder):
    cubin = os.path.join(folder, "row_program.cubin")
    flags = ["-std=c++20", "-O3", "--expt-relaxed-constexpr", "--extended-lambda", "-diag-suppress", "554", "-lineinfo"]
    subprocess.run(["nvcc", *flags, f"-I{source}", f"-I{build}/include", "-gencode", "arch=compute_90a,code=sm_90a",
                    "-cubin", f"{source}/kernels/row_program_cuda.cu", "-o", cubin], check=True)
    return cubin


def stopped_process(step_bench, model, rows, folder):
    """A core file of a fit at a launch, and the address of the launch's arguments."""
    core = os.path.join(folder, "core")
    commands = ["set pagination off", f"break {FUNCTION}", f"ignore 1 {LAUNCHES_BEFORE}", "run", "print/x $rsi",
                f"gcore {core}", "kill"]
    request = f"fit {model} {rows} 8 0.01"
    run = subprocess.run(
        ["gdb", "-q", "-batch", *(part for command in commands for part in ("-ex", command)), "--args", step_bench,
         "--device", "emulated", "--large", "--ask", request], capture_output=True, text=True)
    found = re.search(r"\$1 = (0x[0-9a-f]+)", run.stdout)
    if not found or not os.path.exists(core):
        raise SystemExit(f"{model} with {rows} rows launches no row program:\n{run.stdout}{run.stderr}")
    return core, int(found.group(1), 16)


def steps_of(memory, parameters, source):
    """(name, whether it begins a wave) of a block's steps and of the closing ones."""
    with open(os.path.join(source, "kernels/row_program.hpp")) as file:
        header = file.read()
    names = re.findall(r"\w+", re.search(r"using RowKernels =\s*std::tuple<([^>]*)>", header).group(1))
    step_bytes = HEAD_OF_STEP + int(re.search(r"kMostBytes = (\d+)", header).group(1))
    first, blocks, of_block, closing = struct.unpack_from("<Qqqq", parameters)
    places = [*range(of_block), *range(blocks * of_block, blocks * of_block + closing)]
    steps = []
    for place in places:
        kernel, _, waits = struct.unpack("<iHB", memory.read(first + place * step_bytes + 8, 7))
        steps.append((names[kernel], bool(waits)))
    return steps


def loop_of_steps(listing):
    """Where the loop over the steps begins: the innermost one around most of the kernel's code."""
    jumps = [(i.address, listing.labels[label.group(1)]) for i in listing.at.values()
             if i.opcode == "BRA" and (label := re.search(r"`\((\S+)\)", i.operands[-1]))]
    return max(to for address, to in jumps if address - to > 0.9 * max(listing.at))


class Visits:
    """Counts the steps that warps have begun, and what they spend on the lines of the source."""

    def __init__(self, loop, sources, profiled):
        self.loop, self.sources, self.profiled = loop, sources, profiled
        self.begun = collections.defaultdict(list)  # by warp
        self.spent, self.last = collections.Counter(), None

    def __call__(self, warp, instruction):
        if instruction.address == self.loop:
            self.begun[warp.number].append((warp.time, warp.count))
        if warp.number != 0:
            return
        if self.last:
            self.spent[self.last[0]] += warp.time - self.last[1]
        step = len(self.begun[0]) - 1
        inside = self.profiled and self.profiled[0] <= step <= self.profiled[1]
        self.last = (self.sources.get(instruction.address, "?"), warp.time) if inside else None


def source_lines(cubin):
    run = subprocess.run(["nvdisasm", "-gi", "-c", cubin], capture_output=True, text=True, check=True)
    sources, lines, fresh = {}, [], []
    for line in run.stdout.splitlines():
        if place := re.search(r'//## File "([^"]+)", line (\d+)', line):
            fresh.append(f"{os.path.basename(place.group(1))}:{place.group(2)}")
        elif code := re.search(r"/\*([0-9a-f]{4,})\*/", line):
            lines, fresh = fresh or lines, []
            sources[int(code.group(1), 16)] = " < ".join(lines[:3])
    return sources


def print_waves(steps, begun, cycles):
    starts = [min(warp[i][0] for warp in begun.values()) for i in range(len(steps))] + [cycles]
    waves = [i for i, (_, waits) in enumerate(steps) if waits or i == 0] + [len(steps)]
    for first, behind in zip(waves, waves[1:]):
        names = []
        for i in range(first, behind):
            counts = [warp[i + 1][1] - warp[i][1] for warp in begun.values() if len(warp) > i + 1]
            names.append(f"{steps[i][0]} ({max(counts)})" if counts else steps[i][0])
        print(f"{starts[behind] - starts[first]:7.0f}  {', '.join(names)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--model", default="m1")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--fetch", type=float, default=5)
    parser.add_argument("--profile", type=int, nargs=2, metavar=("FIRST", "LAST"))
    parser.add_argument("--cubin")
    options = parser.parse_args()

    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with tempfile.TemporaryDirectory() as folder:
        core, arguments = stopped_process(f"{options.build}/bench/braid_step_bench", options.model, options.rows, folder)
        memory = Memory(core)
        cubin = options.cubin or compiled(source, options.build, folder)
        listing = Listing(cubin)
        sources = source_lines(cubin) if options.profile else {}
    parameters = memory.read(arguments, PROGRAM_BYTES)
    steps = steps_of(memory, parameters, source)
    (blocks,) = struct.unpack_from("<q", parameters, 8)
    visits = Visits(loop_of_steps(listing), sources, options.profile)
    block = Block(listing, memory, parameters, THREADS, 0, blocks, options.fetch)
    cycles = block.run(visits)
    print(f"{cycles:7.0f}  cycles of a block of {options.model}, {options.rows} rows in {blocks} blocks, "
          f"{options.fetch:g} cycles to fetch an instruction")
    print_waves(steps, visits.begun, cycles)
    if options.profile:
        for line, spent in visits.spent.most_common(40):
            print(f"{spent:7.0f}  {line}")


if __name__ == "__main__":
    main()
