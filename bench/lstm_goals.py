"""The goals of bench/lstm_layers.py: how fast an LSTM layer should be, alone and beside cuDNN's algorithms."""

from dataclasses import dataclass

ALGORITHMS = ("standard", "static", "dynamic", "small")
# By precision: those of cuDNN beside it.
CUDNN_PRECISIONS = {"float32": ["float32"], "tf32": ["tf32"], "bfloat16": ["bfloat16", "float16"]}


@dataclass(frozen=True)
class Goal:
    """Of layers with these units, rows, lengths and precisions of Braid's: so many microseconds a step, forward, or so many
    times as fast as the best algorithm of cuDNN, at the same precision unless another is named."""

    name: str
    units: tuple
    most_us: float = None
    ratio: float = None
    column: str = "both"  # of the ratio
    least_rows: int = 8
    most_rows: int = 1024
    lengths: tuple = ("full", "ragged")
    precisions: tuple = tuple(CUDNN_PRECISIONS)
    cudnn: str = None
    algorithms: tuple = ALGORITHMS

    def is_of(self, units, rows, lengths, precision):
        in_rows = rows is None or self.least_rows <= rows <= self.most_rows
        return units in self.units and in_rows and lengths in (None, *self.lengths) and precision in self.precisions


GOALS = (
    Goal("G7", (64,), most_us=0.3, lengths=("full",)),
    Goal("G7", (128,), most_us=0.4, lengths=("full",)),
    Goal("G7", (64, 128), ratio=3, lengths=("full",)),
    Goal("G7", (64, 128), ratio=12, lengths=("ragged",)),
    Goal("G8", (256,), most_us=0.7, most_rows=512, precisions=("tf32", "bfloat16")),
    Goal("G8", (256,), ratio=5, most_rows=512, precisions=("tf32", "bfloat16")),
    Goal("G8", (256,), ratio=1.5, most_rows=512, precisions=("bfloat16",), cudnn="float16", algorithms=("static",)),
    Goal("G9", (512,), most_us=1, precisions=("bfloat16",)),
    Goal("G9", (512,), ratio=4, precisions=("bfloat16",)),
    Goal("G9", (512,), ratio=1.2, precisions=("bfloat16",), cudnn="float16", algorithms=("static", "dynamic")),
    Goal("G9", (1024,), ratio=1, column="forward", most_rows=511),
    Goal("G9", (1024,), ratio=1, most_rows=511),
    Goal("G9", (1024,), ratio=1.15, column="forward", least_rows=512),
    Goal("G9", (1024,), ratio=1.15, least_rows=512),
)
