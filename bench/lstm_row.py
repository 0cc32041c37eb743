"""A row of bench/lstm_layers.py: one size of the LSTM layer, who agrees with Braid on it, how long they take, and its goals."""

import operator
from dataclasses import dataclass, field

from lstm_goals import ALGORITHMS, GOALS
from report import ALONE, BRAID_FAILED, NOT_COMPARED

STEPS = 200
# Of results, by the largest of their array: several times as far as roundings lead in 200 steps, and in float32 less than those
# of tf32 do.
TOLERANCES = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 5e-2, "float16": 1e-2}
COMPARED = {
    "outputs": "outputs",
    "in_grad": "gradients of inputs",
    "kernel_grad": "gradients of the kernel",
    "recurrent_grad": "gradients of the recurrent kernel",
    "bias_grad": "gradients of the bias",
}
COLUMNS = ("forward", "both")
SLOW = 3  # times the best of its precision, in both columns: it is not asked again


@dataclass
class Side:
    """Braid, or cuDNN at one precision with one of its algorithms, in one row."""

    name: str  # in a line
    program: object
    request: tuple  # that times it
    precision: str
    algorithm: str = ""
    full_name: str = ""
    answers: list = field(default_factory=list)
    why: str = ""  # it is not timed
    deviates: bool = False
    is_slow: bool = False

    @property
    def is_timed(self):
        return bool(self.answers) and not self.why

    def least(self, column):
        return min(answer[f"{column}_us"] for answer in self.answers) / STEPS

    def median(self, column):
        values = sorted(answer[f"{column}_median_us"] for answer in self.answers)
        return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2 / STEPS

    def floor(self, column):
        return max(answer.get(f"{column}_floor_us") or 0 for answer in self.answers) / STEPS


def best_of(sides, precision, algorithms, time_of):
    """The least time of cuDNN at a precision; None if it has none."""
    there = [side for side in sides if side.is_timed and side.precision == precision and side.algorithm in algorithms]
    return min(map(time_of, there), default=None)


def least_of(sides, precision):
    """Of each column, as one algorithm may be the fastest forward, and another with gradients."""
    return [best_of(sides, precision, ALGORITHMS, lambda side: side.least(column)) for column in COLUMNS]


def title_of(size):
    rows, _, _, units, ragged = size
    return f"H={units} B={rows} {'ragged' if ragged else 'full'}"


def pair(numbers):
    return " / ".join(f"{number:.3g}" for number in numbers)


def ratios(above, below):
    return " / ".join(f"{a / b:.2f}x" for a, b in zip(above, below))


class Row:
    """One size: who is timed, and what came out."""

    def __init__(self, size, precision, braid, rivals, algorithms):
        self.size, self.precision, self.title = size, precision, title_of(size)
        self.braid = Side("Braid", braid, ("lstm", *size), precision)
        self.deviations = {}  # by precision of cuDNN: the largest of whoever agrees
        self.cudnn = []
        for kind, rival in rivals.items():
            shown = "" if kind == precision else f"{kind} "
            for algorithm in algorithms if rival.programs else ():
                names = shown + algorithm, f"{rival.name} {algorithm}"
                self.cudnn.append(Side(names[0], rival.programs[0], ("time", algorithm), kind, algorithm, names[1]))

    @property
    def sides(self):
        return [self.braid, *self.cudnn]

    @property
    def is_alone(self):
        """Somebody answered, and nobody's results are Braid's."""
        return any(side.deviates for side in self.cudnn) and not self.deviations

    def judge(self, side, answer):
        tolerance = max(TOLERANCES[side.precision], TOLERANCES[self.precision])
        values = {key: answer[key] for key in COMPARED}
        wrong = [f"{COMPARED[key]} by {value:.1e}" for key, value in values.items() if not value <= tolerance]
        if wrong:
            side.deviates, side.why = True, f"its results deviate: {', '.join(wrong)}"
        else:
            self.deviations[side.precision] = max(self.deviations.get(side.precision, 0), *values.values())

    def drop_slow(self):
        """Algorithms that will not be the best of their precision are not asked again."""
        for side in self.cudnn:
            if side.is_timed:
                best = least_of(self.cudnn, side.precision)
                side.is_slow = all(side.least(column) > SLOW * least for column, least in zip(COLUMNS, best))

    def goals(self):
        """(title, whether it was reached, by medians, and what was found; or None and why it cannot be looked at)."""
        if not self.braid.is_timed:
            return []
        rows, _, _, units, ragged = self.size
        lengths = "ragged" if ragged else "full"
        return [self.looked_at(goal) for goal in GOALS if goal.is_of(units, rows, lengths, self.precision)]

    def looked_at(self, goal):
        if goal.most_us is not None:
            ours, floor = self.braid.median("forward"), self.braid.floor("forward")
            title = f"{goal.name} forward {goal.most_us:g} us"
            # Nobody goes below what work and memory take.
            return (title, ours <= goal.most_us, f"{ours:.3g} us") if floor <= goal.most_us else (title, None, "below the floor")
        kind, column = goal.cudnn or self.precision, goal.column
        title = f"{goal.name}{' forward' if column == 'forward' else ''} {goal.ratio:g}x"
        if goal.cudnn:
            title += f" {kind} {'/'.join(goal.algorithms)}"
        theirs = best_of(self.cudnn, kind, goal.algorithms, lambda side: side.median(column))
        if theirs is None:
            return title, None, "cuDNN has no time"
        ratio = theirs / self.braid.median(column)
        return title, ratio >= goal.ratio, f"{ratio:.2f}x"

    @staticmethod
    def shown(side):
        if side.why:
            return f"{side.name}: {side.why};"
        if not side.answers:
            return ""
        times = f"{side.name} {pair(map(side.least, COLUMNS))} ({pair(map(side.median, COLUMNS))})"
        return f"{times} ({SLOW}x the best: not repeated)," if side.is_slow else f"{times},"

    def line(self):
        parts = [f"{self.title}:", self.shown(self.braid)]
        ours = list(map(self.braid.least, COLUMNS)) if self.braid.is_timed else None
        floors = list(map(self.braid.floor, COLUMNS)) if ours else []
        if ours and all(floors):
            parts.append(f"{pair(map(operator.truediv, ours, floors))} times its floor of {pair(floors)};")
        parts += map(self.shown, self.cudnn)
        for kind in dict.fromkeys(side.precision for side in self.cudnn if side.is_timed) if ours else ():
            parts.append(f"cuDNN's best in {kind} takes {ratios(least_of(self.cudnn, kind), ours)};")
        verdicts = {True: "reached", False: "missed", None: "not looked at"}
        goals = [f"{title} {verdicts[reached]} ({found})" for title, reached, found in self.goals()]
        parts += [f"goals: {', '.join(goals)}"] if goals else []
        return " ".join(filter(None, parts)).rstrip(";,")

    def agreement(self):
        """The line of a row that is only compared."""
        found = [f"its results are Braid's within {value:.1e}" for value in self.deviations.values()]
        return f"{self.title}: PyTorch: {'; '.join(found + [side.why for side in self.cudnn if side.why]) or 'not asked'}"

    def remarks(self):
        """What bench/gpu_check.py looks for."""
        lines = [f"{NOT_COMPARED}{self.title}, {side.full_name}: {side.why}" for side in self.cudnn if side.deviates]
        if self.cudnn and all(side.why for side in self.cudnn) and not lines:
            lines.append(f"{NOT_COMPARED}{self.title}, cuDNN: none of its algorithms")
        if self.is_alone:
            lines.append(ALONE + self.title)
        if self.braid.why:
            lines.append(f"{BRAID_FAILED}{self.title}: {self.braid.why}")
        return lines
