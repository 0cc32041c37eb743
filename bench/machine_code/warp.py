"""The registers of a warp, as instructions name them: one number for each lane."""
import re

import numpy as np

from memory import SHARED

LANES = 32
WORD = np.uint32
ZERO = np.zeros(LANES, WORD)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
IN_SHARED = np.uint64(SHARED << 32)  # turns a place there into an address


class Warp:
    def __init__(self, number, constants, jump_table, block, memory):
        self.number, self.block, self.memory = number, block, memory
        self.constants, self.jump_table = constants, jump_table
        self.words = np.zeros((256, LANES), WORD)
        self.uniform = [0] * 64
        self.predicates = np.zeros((8, LANES), bool)
        self.uniform_predicates = [False] * 8
        self.at = np.zeros(LANES, np.int64)  # each lane's next instruction
        self.alive = np.ones(LANES, bool)
        self.active = self.alive  # lanes that carry out the present instruction

    # Operands. A sign or bar before or around one belongs to it.
    def word(self, operand, upper=False):
        negative, inverse, operand = operand[0] == "-", operand[0] == "~", operand.lstrip("-~")
        absolute, operand = operand[0] == "|", operand.strip("|")
        value = self._plain(operand, upper)
        if absolute:
            value = np.abs(value.view(np.int32)).view(WORD)
        return ZERO - value if negative else ~value if inverse else value

    def _plain(self, operand, upper):
        name = operand.split(".")[0]
        if name in ("RZ", "URZ"):
            return ZERO
        if re.fullmatch(r"R\d+", name):
            return self.words[int(name[1:]) + upper]
        if re.fullmatch(r"UR\d+", name):
            return np.full(LANES, self.uniform[int(name[2:]) + upper], WORD)
        if operand.startswith("c["):
            return np.full(LANES, self._constant(operand, upper), WORD)
        return np.full(LANES, int(operand, 0) & 0xFFFFFFFF, WORD)

    def _constant(self, operand, upper):
        bank, place = re.fullmatch(r"c\[0x(\w+)\]\[(.*)\]", operand).groups()
        offset = sum(int(self.word(term)[0]) if term.startswith("R") else int(term, 16) for term in place.split("+"))
        if bank == "2":
            return int.from_bytes(self.jump_table[offset:offset + 4], "little")
        return self.constants.get(offset + 4 * upper, 0)

    def floats(self, operand):
        negative, operand = operand[0] == "-", operand.lstrip("-")
        absolute, operand = operand[0] == "|", operand.strip("|")
        if re.match(r"U?R|c\[", operand):
            value = self._plain(operand, False).view(np.float32)
        else:
            value = np.full(LANES, float(operand.lower().replace("qnan", "nan")), np.float32)
        value = np.abs(value) if absolute else value
        return -value if negative else value

    def wide(self, operand):
        """Two neighbouring registers, or a small number."""
        if re.fullmatch(r"-?0x[0-9a-f]+", operand) or operand in ("RZ", "URZ"):
            return self.word(operand).astype(np.uint64)
        if operand[0] == "-":
            return np.uint64(0) - self.wide(operand[1:])
        return self.word(operand).astype(np.uint64) | self.word(operand, True).astype(np.uint64) << HALF

    def predicate(self, operand):
        negated, name = operand[0] == "!", operand.lstrip("!")
        if name in ("PT", "UPT"):
            value = np.ones(LANES, bool)
        elif name[0] == "U":
            value = np.full(LANES, self.uniform_predicates[int(name[2:])])
        else:
            value = self.predicates[int(name[1:])]
        return ~value if negated else value

    def address(self, operand, wide):
        terms = re.search(r"\[([^\]]*)\]$", operand).group(1).split("+")
        total = np.zeros(LANES, np.uint64)
        for term in terms:
            if re.fullmatch(r"-?0x[0-9a-f]+", term):
                total = total + np.uint64(int(term, 16) & 0xFFFFFFFFFFFFFFFF)
            elif ".64" in term or (wide and term.startswith("UR")):
                total = total + self.wide(term.split(".")[0])
            else:
                total = total + self.word(term).astype(np.uint64)
        return total if wide else total & LOW

    # Results, of active lanes.
    def set(self, operand, value):
        value = np.asarray(value)
        value = (value.astype(np.uint64) & LOW).astype(WORD) if value.dtype == np.uint64 else value.view(WORD)
        if operand.startswith("UR"):
            if operand != "URZ":
                self.uniform[int(operand[2:])] = int(value[np.argmax(self.active)])
        elif operand != "RZ":
            self.words[int(operand[1:])][self.active] = value[self.active]

    def set_wide(self, operand, value):
        if operand not in ("RZ", "URZ"):
            prefix, number = re.fullmatch(r"(U?R)(\d+)", operand).groups()
            self.set(operand, value & LOW)
            self.set(prefix + str(int(number) + 1), value >> HALF)

    def set_predicate(self, operand, value):
        if operand in ("PT", "UPT"):
            return
        if operand[0] == "U":
            self.uniform_predicates[int(operand[2:])] = bool(value[np.argmax(self.active)])
        else:
            self.predicates[int(operand[1:])][self.active] = value[self.active]
