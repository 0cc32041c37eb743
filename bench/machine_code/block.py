"""When the warps of one block would carry out their instructions.

The compiler's stalls and counters are taken at their word. Besides: what a load waits for, by where
the line was last seen, and what fetching code costs the first time that a line of it is met. Left
out: that warps of a quarter of the multiprocessor take turns, bank conflicts, other blocks, and
that lines are forgotten again. So the numbers compare two states of a program; they are no
measurements.
"""
import struct

from instructions import carry_out
from memory import SHARED
from warp import LANES, Warp

LINE_BYTES = 128
INSTRUCTION_BYTES = 16
PARAMETERS = 0x210  # in the constant bank, on sm_90
READ_AFTER = 12  # until a store or a load has read its operands
BARRIER = 22
LATENCY = {
    "LDS": 29, "SHFL": 24, "LDC": 38, "ULDC": 38, "S2R": 40, "S2UR": 40, "MUFU": 22, "I2F": 20, "F2I": 20, "F2F": 20,
    "IMAD": 10, "ISETP": 12, "UISETP": 12, "FLO": 15, "POPC": 15, "ATOM": 600, "ATOMG": 600, "MEMBAR": 265,
    "DADD": 40, "DMUL": 40, "DFMA": 40, "DSETP": 40,
}
OTHERS = 12
IN_SHARED, NEAR, FAR = 36, 36, 265  # loads of shared memory, of the level-1 cache, of the level-2 cache


class Block:
    def __init__(self, listing, memory, parameters, threads, number, blocks, cycles_of_fetch):
        constants = {0: threads, 4: 1, 8: 1, 0xC: blocks, 0x10: 1, 0x14: 1, 0x28: 0xFFFD00, "blocks": blocks}
        for i, (word,) in enumerate(struct.iter_unpack("<I", parameters)):
            constants[PARAMETERS + 4 * i] = word
        self.listing = listing
        self.warps = [Warp(w, constants, listing.jump_table, number, memory) for w in range(threads // LANES)]
        for warp in self.warps:
            warp.labels = listing.labels
            warp.time, warp.count, warp.at_barrier, warp.counters = 0, 0, False, [0] * 6
        self.fetch = cycles_of_fetch * LINE_BYTES // INSTRUCTION_BYTES
        self.code, self.lines = {}, {}  # when what has been asked for is there

    def run(self, visit=lambda warp, instruction: None):
        """Calls visit before each instruction of each warp; returns the cycles of the whole block."""
        while running := [warp for warp in self.warps if warp.alive.any()]:
            ready = [warp for warp in running if not warp.at_barrier]
            if ready:
                self.step(min(ready, key=lambda warp: warp.time), visit)
            else:
                time = max(warp.time for warp in running) + BARRIER
                for warp in running:
                    warp.at_barrier, warp.time = False, time
        return max(warp.time for warp in self.warps)

    def step(self, warp, visit):
        address = int(warp.at[warp.alive].min())  # lanes that are behind go first
        instruction = self.listing.at[address]
        visit(warp, instruction)
        there = self.code.setdefault(address // LINE_BYTES, warp.time + self.fetch)
        time = max([warp.time, there] + [warp.counters[c] for c in instruction.waits_for])
        lanes = warp.alive & (warp.at == address)
        warp.at[lanes] = instruction.next or 0
        warp.active = lanes & warp.predicate(instruction.guard) if instruction.guard else lanes
        addresses = carry_out(warp, instruction)
        warp.at_barrier = instruction.opcode == "BAR"
        if instruction.until_written < 6:
            done = time + LATENCY.get(instruction.opcode, OTHERS)
            if instruction.opcode in ("LD", "LDG"):
                done = max((self.arrival(int(a), time) for a in addresses), default=done)
            warp.counters[instruction.until_written] = max(warp.counters[instruction.until_written], done)
        if instruction.until_read < 6:
            warp.counters[instruction.until_read] = max(warp.counters[instruction.until_read], time + READ_AFTER)
        warp.time = time + instruction.stall
        warp.count += 1

    def arrival(self, address, time):
        if address >> 32 == SHARED:
            return time + IN_SHARED
        first = self.lines.setdefault(address // LINE_BYTES, time + FAR)
        return max(first, time + NEAR)
