"""What instructions of sm_90 do to a warp, as far as row programs have them.

NVIDIA documents no meanings; those below are what the listings of known sources show. An
instruction that is not here ends the run by name. Numbers are exact but for approximate functions.
"""
import re

import numpy as np

from memory import SHARED
from warp import HALF, IN_SHARED, LANES, LOW, WORD, ZERO

OPERATIONS = {}


def operation(*names):
    def remember(function):
        OPERATIONS.update(dict.fromkeys(names, function))
        return function
    return remember


def carry_out(warp, instruction):
    """Returns the addresses that lanes read or write, if it goes to memory."""
    function = OPERATIONS.get(instruction.opcode)
    if function is None:
        raise NotImplementedError(f"{instruction.address:#x} {instruction.text}")
    with np.errstate(all="ignore"):
        return function(warp, instruction, instruction.operands)


def is_predicate(operand):
    return re.fullmatch(r"U?P[0-9T]", operand) is not None


def split_results(operands):
    """Predicates that stand before a result's register, or behind it, and the rest."""
    rest, carries = list(operands), []
    result = rest.pop(0)
    while rest and is_predicate(rest[0]):
        carries.append(rest.pop(0))
    return result, carries, rest


def set_sum(warp, result, carries, total):
    warp.set(result, total & LOW)
    for i, carry in enumerate(carries):
        warp.set_predicate(carry, total >> HALF > np.uint64(i))


# Whole numbers.
@operation("IADD3", "UIADD3")
def add(warp, code, operands):
    result, carries, rest = split_results(operands)
    extended = code.has("X")
    total = np.zeros(LANES, np.uint64)
    for operand in rest[:3]:
        if re.match(r"-(U?R|c\[)", operand):  # a complement; and one, unless a carry stands for it
            total = total + (~warp.word(operand[1:])).astype(np.uint64) + np.uint64(not extended)
        else:
            total = total + warp.word(operand).astype(np.uint64)
    for carry in rest[3:] if extended else []:
        total = total + warp.predicate(carry).astype(np.uint64)
    set_sum(warp, result, carries, total)


@operation("VIADD")
def add_two(warp, code, operands):
    warp.set(operands[0], warp.word(operands[1]) + warp.word(operands[2]))


@operation("IMAD", "UIMAD")
def multiply_add(warp, code, operands):
    result, carries, (a, b, c, *more) = split_results(operands)
    signed = not code.has("U32")
    if code.has("MOV"):
        return warp.set(result, warp.word(c))
    if code.has("WIDE") or code.has("HI"):
        kind = np.int64 if signed else np.uint64
        factor = lambda operand: (warp.word(operand).view(np.int32) if signed else warp.word(operand)).astype(kind)
        product = (factor(a) * factor(b)).view(np.uint64)
        total = product + warp.wide(c)
        if code.has("HI"):
            return warp.set(result, total >> HALF)
        for carry in more if code.has("X") else []:
            total = total + warp.predicate(carry).astype(np.uint64)
        warp.set_wide(result, total)
        for carry in carries:
            warp.set_predicate(carry, total < product)
        return None
    total = (warp.word(a).astype(np.uint64) * warp.word(b).astype(np.uint64) & LOW) + warp.word(c).astype(np.uint64)
    for carry in more if code.has("X") else []:
        total = total + warp.predicate(carry).astype(np.uint64)
    return set_sum(warp, result, carries, total)


@operation("LEA", "ULEA")
def shift_add(warp, code, operands):
    result, carries, rest = split_results(operands)
    shift = next((int(o, 16) for o in reversed(rest) if o.startswith("0x")), 0)
    a, b = warp.word(rest[0]), warp.word(rest[1]).astype(np.uint64)
    if not code.has("HI"):
        return set_sum(warp, result, carries, (a.astype(np.uint64) << np.uint64(shift) & LOW) + b)
    if code.has("SX32"):
        upper = (a.view(np.int32).astype(np.int64) << shift >> 32).view(np.uint64) & LOW
    else:
        above = ZERO if rest[2].startswith("0x") else warp.word(rest[2])
        whole = above.astype(np.uint64) << HALF | a.astype(np.uint64)
        upper = whole >> np.uint64(32 - shift) & LOW
    total = upper + b
    if code.has("X"):
        total = total + warp.predicate(rest[-1]).astype(np.uint64)
    return set_sum(warp, result, carries, total)


def look_up(table, a, b, c):
    result = np.zeros_like(a)
    for row in range(8):
        if table >> row & 1:
            result |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    return result


@operation("LOP3", "ULOP3")
def logic(warp, code, operands):
    rest = list(operands)
    not_zero = rest.pop(0) if is_predicate(rest[0]) else None
    result, a, b, c, table, *more = rest
    value = look_up(int(table, 16), warp.word(a), warp.word(b), warp.word(c))
    warp.set(result, value)
    if not_zero:
        warp.set_predicate(not_zero, (value != 0) | warp.predicate(more[0]))


@operation("PLOP3", "UPLOP3")
def predicate_logic(warp, code, operands):
    result, _, a, b, c, table, *_ = operands
    warp.set_predicate(result, look_up(int(table, 16), warp.predicate(a), warp.predicate(b), warp.predicate(c)))


@operation("SHF", "USHF")
def shift(warp, code, operands):
    result, low, count, high = operands
    count = warp.word(count).astype(np.uint64)
    upper = warp.word(high)
    both = upper.astype(np.uint64) << HALF | warp.word(low).astype(np.uint64)
    wide = code.has("U64") or code.has("S64")
    if code.has("L"):
        value = both << np.minimum(count, 63 if wide else 32)
        if not code.has("HI"):
            value = warp.word(low).astype(np.uint64) << np.minimum(count, 32) if not wide else value
    elif code.has("S32"):
        value = (upper.view(np.int32).astype(np.int64) >> np.minimum(count, 31).astype(np.int64)).view(np.uint64)
        return warp.set(result, value & LOW)
    elif wide:
        value = (both.view(np.int64) >> np.minimum(count, 63).astype(np.int64)).view(np.uint64) if code.has("S64") else both >> np.minimum(count, 63)
    elif code.has("HI"):
        return warp.set(result, upper.astype(np.uint64) >> np.minimum(count, 32))
    else:
        value = both >> np.minimum(count, 32)
    return warp.set(result, value >> HALF if code.has("HI") else value & LOW)


COMPARISONS = {
    "LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal, "EQ": np.equal, "NE": np.not_equal,
}


def set_comparison(warp, code, results, value, other):
    joined = np.logical_and if code.has("AND") else np.logical_or
    for result, truth in zip(results, (value, ~value)):
        warp.set_predicate(result, joined(truth, other))


@operation("ISETP", "UISETP")
def compare(warp, code, operands):
    first, second, a, b, other, *lower = operands
    kind = WORD if code.has("U32") else np.int32
    a, b = warp.word(a).view(kind), warp.word(b).view(kind)
    name = code.modifiers[0]
    value = COMPARISONS[name](a, b)
    if code.has("EX"):  # the upper halves; what the lower ones gave decides where these are equal
        below = warp.predicate(lower[0])
        value = {"EQ": value & below, "NE": value | below}.get(name, np.where(a == b, below, value))
    set_comparison(warp, code, (first, second), value, warp.predicate(other))


@operation("SEL", "USEL")
def select(warp, code, operands):
    warp.set(operands[0], np.where(warp.predicate(operands[3]), warp.word(operands[1]), warp.word(operands[2])))


def lesser(warp, code, result, a, b, least):
    kind = WORD if code.has("U32") else np.int32
    a, b = a.view(kind), b.view(kind)
    warp.set(result, np.where(warp.predicate(least), np.minimum(a, b), np.maximum(a, b)))


@operation("IMNMX", "VIMNMX")
def minimum(warp, code, operands):
    lesser(warp, code, operands[0], warp.word(operands[1]), warp.word(operands[2]), operands[3])


@operation("VIADDMNMX")
def add_minimum(warp, code, operands):
    lesser(warp, code, operands[0], warp.word(operands[1]) + warp.word(operands[2]), warp.word(operands[3]), operands[4])


@operation("IABS")
def absolute(warp, code, operands):
    warp.set(operands[0], np.abs(warp.word(operands[1]).view(np.int32)))


@operation("PRMT")
def permute(warp, code, operands):
    result, low, selector, high = operands
    low, selector, high = warp.word(low), warp.word(selector), warp.word(high)
    value = np.zeros(LANES, WORD)
    for byte in range(4):
        chosen = selector >> WORD(4 * byte) & WORD(15)
        found = np.where(chosen & 4, high, low) >> (chosen & WORD(3)) * WORD(8) & WORD(255)
        found = np.where(chosen & 8, np.where(found & 128, WORD(255), WORD(0)), found)
        value |= found.astype(WORD) << WORD(8 * byte)
    warp.set(result, value)


@operation("MOV", "UMOV", "R2UR", "LDC", "ULDC")
def move(warp, code, operands):
    if code.has("64"):
        return warp.set_wide(operands[0], warp.wide(operands[1]))
    return warp.set(operands[0], warp.word([o for o in operands[1:] if not is_predicate(o)][0]))


@operation("CS2R")
def clear(warp, code, operands):
    warp.set_wide(operands[0], np.zeros(LANES, np.uint64))


@operation("HFMA2")
def move_halves(warp, code, operands):
    """-RZ * RZ plus two constants: how the compiler moves some numbers."""
    halves = np.array([float(operands[4]), float(operands[3])], np.float16)
    warp.set(operands[0], np.full(LANES, halves.view(WORD)[0], WORD))


@operation("S2R", "S2UR")
def special_register(warp, code, operands):
    lanes = np.arange(LANES, dtype=WORD)
    values = {
        "SR_TID.X": LANES * WORD(warp.number) + lanes, "SR_CTAID.X": np.full(LANES, warp.block, WORD),
        "SR_LANEID": lanes, "SR_SWINHI": np.full(LANES, SHARED, WORD), "SR_CgaCtaId": ZERO,
    }
    warp.set(operands[0], values[operands[1]])


@operation("P2R")
def predicates_to_word(warp, code, operands):
    *old, mask = operands[2:]
    bits = sum(warp.predicates[i].astype(WORD) << WORD(i) for i in range(7))
    mask = warp.word(mask)
    warp.set(operands[0], (warp.word(old[0]) if old else ZERO) & ~mask | bits & mask)


@operation("R2P")
def word_to_predicates(warp, code, operands):
    bits, mask = warp.word(operands[1]), int(operands[2], 16)
    for i in range(7):
        if mask >> i & 1:
            warp.set_predicate(f"P{i}", (bits >> WORD(i) & WORD(1)).astype(bool))


# Floats.
@operation("FADD")
def add_floats(warp, code, operands):
    warp.set(operands[0], warp.floats(operands[1]) + warp.floats(operands[2]))


@operation("FMUL")
def multiply_floats(warp, code, operands):
    warp.set(operands[0], warp.floats(operands[1]) * warp.floats(operands[2]))


@operation("FFMA")
def fused(warp, code, operands):
    a, b, c = (warp.floats(operand).astype(np.float64) for operand in operands[1:4])
    warp.set(operands[0], (a * b + c).astype(np.float32))


@operation("FSEL")
def select_float(warp, code, operands):
    warp.set(operands[0], np.where(warp.predicate(operands[3]), warp.floats(operands[1]), warp.floats(operands[2])).astype(np.float32))


@operation("FMNMX")
def lesser_float(warp, code, operands):
    a, b = warp.floats(operands[1]), warp.floats(operands[2])
    warp.set(operands[0], np.where(warp.predicate(operands[3]), np.fmin(a, b), np.fmax(a, b)).astype(np.float32))


def compared_floats(name, a, b):
    unordered = np.isnan(a) | np.isnan(b)
    if name in ("NUM", "NAN"):
        return ~unordered if name == "NUM" else unordered
    value = COMPARISONS[name.removesuffix("U")](a, b)
    return value | unordered if name.endswith("U") else value & ~unordered


@operation("FSETP")
def compare_floats(warp, code, operands):
    value = compared_floats(code.modifiers[0], warp.floats(operands[2]), warp.floats(operands[3]))
    set_comparison(warp, code, operands[:2], value, warp.predicate(operands[4]))


@operation("FSET")
def compare_to_float(warp, code, operands):
    name = next(m for m in code.modifiers if m not in ("BF", "AND"))
    value = compared_floats(name, warp.floats(operands[1]), warp.floats(operands[2])) & warp.predicate(operands[3])
    warp.set(operands[0], value.astype(np.float32))


@operation("FCHK")
def check_division(warp, code, operands):
    warp.set_predicate(operands[0], np.zeros(LANES, bool))


@operation("MUFU")
def approximate(warp, code, operands):
    functions = {"RCP": lambda x: 1 / x, "RSQ": lambda x: 1 / np.sqrt(x), "EX2": np.exp2, "LG2": np.log2, "TANH": np.tanh, "SQRT": np.sqrt}
    if function := functions.get(code.modifiers[0]):  # the others are steps of divisions in double
        warp.set(operands[0], function(warp.floats(operands[1]).astype(np.float64)).astype(np.float32))


@operation("I2F", "I2FP")
def to_float(warp, code, operands):
    whole = warp.word(operands[1]) if code.has("U32") else warp.word(operands[1]).view(np.int32)
    if code.has("F64"):
        return warp.set_wide(operands[0], whole.astype(np.float64).view(np.uint64))
    value = whole.astype(np.float32)
    if code.has("RP"):
        value = np.where(value < whole.astype(np.float64), np.nextafter(value, np.float32(np.inf)), value).astype(np.float32)
    return warp.set(operands[0], value)


@operation("F2I")
def to_whole(warp, code, operands):
    value = np.nan_to_num(warp.floats(operands[1]).astype(np.float64))
    value = np.trunc(value) if code.has("TRUNC") else np.rint(value)
    if code.has("U32"):
        return warp.set(operands[0], np.clip(value, 0, 2**32 - 1).astype(np.uint64))
    return warp.set(operands[0], np.clip(value, -2**31, 2**31 - 1).astype(np.int32))


@operation("DADD", "DMUL", "DFMA", "F2F", "DSETP", "VOTE", "VOTEU", "FLO", "POPC")
def leave_alone(warp, code, operands):
    """Changes no way that a row program takes."""


# Memory.
def bytes_moved(code):
    sizes = {"64": 8, "128": 16, "U8": 1, "S8": 1, "U16": 2, "S16": 2}
    return next((sizes[m] for m in code.modifiers if m in sizes), 4)


@operation("LD", "LDG", "LDS")
def load(warp, code, operands):
    size, shared = bytes_moved(code), code.opcode == "LDS"
    addresses = warp.address(operands[-1], not shared)
    if shared:
        addresses = addresses | IN_SHARED
    for lane in np.flatnonzero(warp.active):
        data = warp.memory.read(int(addresses[lane]), size)
        if operands[0] != "RZ":
            first = int(operands[0][1:])
            for i in range(0, size, 4):
                warp.words[first + i // 4][lane] = int.from_bytes(data[i:i + 4], "little")
    return addresses[warp.active]


@operation("ST", "STG", "STS")
def store(warp, code, operands):
    size, shared = bytes_moved(code), code.opcode == "STS"
    addresses = warp.address(operands[0], not shared)
    if shared:
        addresses = addresses | IN_SHARED
    for lane in np.flatnonzero(warp.active):
        words = [0] * 4 if operands[1] == "RZ" else [int(warp.words[int(operands[1][1:]) + i][lane]) for i in range((size + 3) // 4)]
        warp.memory.write(int(addresses[lane]), b"".join(w.to_bytes(4, "little") for w in words)[:size])
    return addresses[warp.active]


@operation("LDGSTS")
def copy_to_shared(warp, code, operands):
    size = bytes_moved(code)
    to, source = warp.address(operands[0], False) | IN_SHARED, warp.address(operands[1], True)
    for lane in np.flatnonzero(warp.active):
        warp.memory.write(int(to[lane]), warp.memory.read(int(source[lane]), size))
    return source[warp.active]


@operation("SHFL")
def shuffle(warp, code, operands):
    valid, result, value, amount, _ = operands
    lanes, amount = np.arange(LANES), warp.word(amount).astype(int)
    moved = {"BFLY": lanes ^ amount, "DOWN": lanes + amount, "UP": lanes - amount, "IDX": amount}[code.modifiers[0]]
    inside = (moved >= 0) & (moved < LANES)
    warp.set(result, warp.word(value)[np.where(inside, moved, lanes)])
    warp.set_predicate(valid, inside)


@operation("ATOM", "ATOMG")
def atomic(warp, code, operands):
    """The one of a row program: how many blocks have ended. This block is to be the last."""
    warp.set(operands[1] if is_predicate(operands[0]) else operands[0], np.full(LANES, warp.constants["blocks"] - 1, WORD))


# Where to go on.
def label_of(operand):
    return re.search(r"`\((\S+)\)", operand).group(1)


@operation("BRA")
def branch(warp, code, operands):
    taken = warp.active & warp.predicate(operands[0]) if len(operands) == 2 else warp.active
    warp.at[taken] = warp.labels[label_of(operands[-1])]


@operation("BRX")
def branch_to_word(warp, code, operands):
    register, offset = operands[0].split()
    target = warp.word(register).astype(np.int64) + code.address + 16 + int(offset, 16)
    warp.at[warp.active] = (target & 0xFFFFFFFF)[warp.active]


@operation("CALL")
def call(warp, code, operands):
    warp.at[warp.active] = warp.labels[label_of(operands[0])]


@operation("RET")
def come_back(warp, code, operands):
    register = re.search(r"R\d+", operands[0]).group(0)
    warp.at[warp.active] = warp.word(register).astype(np.int64)[warp.active]


@operation("EXIT")
def end(warp, code, operands):
    warp.alive = warp.alive & ~warp.active


@operation("BAR", "BSSY", "BSYNC", "BREAK", "WARPSYNC", "NOP", "YIELD", "MEMBAR", "ERRBAR", "CGAERRBAR", "CCTL", "DEPBAR", "LDGDEPBAR")
def no_effect(warp, code, operands):
    """Lanes that are behind go first, so they meet by themselves; block.py knows barriers."""
