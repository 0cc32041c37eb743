"""The machine code of one kernel, as nvdisasm lists it.

A word of 128 bits holds the instruction and what the compiler decided about its timing: cycles until
the next one may go out, and which of six counters it waits for or keeps busy until it is done.
"""
import re
import subprocess

GUARD = re.compile(r"@(!?U?P[0-9T]+)\s+(.*)")
LINE = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?);\s+/\* 0x[0-9a-f]{16} \*/")
SECOND_HALF = re.compile(r"\s+/\* 0x([0-9a-f]{16}) \*/")
LABEL = re.compile(r"(\.L_x_\d+|\$\S+):")


class Instruction:
    def __init__(self, address, text):
        self.address = address
        self.text = text
        guard = GUARD.match(text)
        self.guard = guard.group(1) if guard else None
        name, _, rest = (guard.group(2) if guard else text).partition(" ")
        self.opcode, *self.modifiers = name.split(".")
        rest = re.sub(r"\(\*.*\*\)", "", rest).replace(".reuse", "")
        self.operands = split_operands(rest)
        self.next = None

    def set_control(self, word):
        control = word >> 41
        self.stall = max(1, control & 15)
        self.until_written, self.until_read = control >> 5 & 7, control >> 8 & 7
        self.waits_for = [c for c in range(6) if control >> 11 >> c & 1]

    def has(self, modifier):
        return modifier in self.modifiers


def split_operands(text):
    """At the commas that stand in no bracket."""
    operands, depth, word = [], 0, ""
    for char in text + ",":
        depth += (char in "[(") - (char in ")]")
        if char == "," and depth == 0:
            if word.strip():
                operands.append(word.strip())
            word = ""
        else:
            word += char
    return operands


class Listing:
    def __init__(self, cubin):
        run = subprocess.run(["nvdisasm", "-c", "-hex", cubin], capture_output=True, text=True, check=True)
        self.at, self.labels = {}, {}
        names, last = [], None
        for line in run.stdout.splitlines():
            if label := LABEL.match(line):
                names.append(label.group(1))
            elif code := LINE.match(line):
                address = int(code.group(1), 16)
                last = self.at[address] = Instruction(address, code.group(2).strip())
                self.labels.update(dict.fromkeys(names, address))
                names = []
            elif last and (half := SECOND_HALF.match(line)):
                last.set_control(int(half.group(1), 16))
        addresses = sorted(self.at)
        for address, following in zip(addresses, addresses[1:]):
            self.at[address].next = following
        self.jump_table = constant_bank(cubin)


def constant_bank(cubin, number=2):
    """Where jumps through a table find their targets."""
    sections = subprocess.run(["readelf", "-SW", cubin], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"\.nv\.constant{number}\.\S+\s+PROGBITS\s+\S+\s+(\S+)\s+(\S+)", sections)
    if not found:
        return b""
    offset, size = (int(field, 16) for field in found.groups())
    with open(cubin, "rb") as file:
        file.seek(offset)
        return file.read(size)
