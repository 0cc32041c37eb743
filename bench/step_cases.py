"""The rows of bench/run.py: models, batch sizes and goals."""

from dataclasses import dataclass, field


@dataclass
class Case:
    """A row of the table: training steps of `batch` rows, or with 0 the prediction of one row."""

    model: str
    batch: int
    count: int  # batches or rows that are taken in turn
    goals: dict  # how many times faster than the fastest rival (""), or than a rival by name
    limits: dict = field(default_factory=dict)  # microseconds that a step may take, by precision
    precisions: tuple = ("float32",)  # that the goals are meant for
    only_if_asked: bool = False  # for its batch size
    device: str = "cpu"

    @property
    def title(self):
        return f"{self.model} B={self.batch}" if self.batch else f"{self.model} one row"

    @property
    def work(self):
        if not self.batch:
            return ("predict", self.model, self.count)
        # On a GPU nobody waits for each loss; what waiting costs Braid is a column of its own.
        return ("train" if self.device == "cpu" else "stream", self.model, self.batch, self.count)


CASES = [
    Case("m1", 32, 16, {"": 5, "PyTorch": 18, "Keras": 50}),
    Case("m1", 256, 16, {"": 2.5, "PyTorch": 6}),
    Case("m1", 1024, 4, {"": 2.3, "PyTorch": 4}),
    Case("m3", 32, 16, {"": 3, "PyTorch": 7}),
    Case("m3", 256, 16, {"": 2.4, "PyTorch": 3}),
    Case("m3", 1024, 4, {"": 1.7, "PyTorch": 2.2}),
    Case("m2", 32, 8, {"": 4, "PyTorch": 10}),
    Case("m6", 32, 8, {}),
    Case("m6", 256, 4, {}),
    Case("m1", 0, 8, {"": 8, "PyTorch": 8}),
    Case("m3", 0, 8, {"": 6, "PyTorch": 6}),
    Case("m2", 0, 8, {"": 3, "PyTorch": 15}),
    Case("m6", 0, 8, {}),
]

EAGER, COMPILE, OVERHEAD, GRAPH, MANY = "PyTorch eager", "PyTorch compile", "PyTorch reduce-overhead", "PyTorch graph", "JAX many"
COMPILED = lambda ratio: {COMPILE: ratio, OVERHEAD: ratio}
SMALL = {EAGER: 50, OVERHEAD: 8, GRAPH: 6, MANY: 4}
RAGGED = {EAGER: 30, "JAX": 25, "JAX cuDNN": 20}
ROUNDED = ("tf32",)
# Those that say most come first: time may run out. Batches in turn, where there are several, are more than a GPU's cache holds.
CUDA_CASES = [
    Case("m1", 32, 16, SMALL, {"float32": 8}),
    Case("m2", 256, 8, RAGGED, {"tf32": 130}, ROUNDED),
    Case("m3", 1024, 8, COMPILED(8), {"float32": 10}),
    Case("m1", 1024, 16, SMALL, {"float32": 8}),
    Case("m2f", 256, 8, {"PyTorch padded": 8, GRAPH: 5}, {}, ROUNDED),
    Case("m1", 8192, 16, {OVERHEAD: 6}, {"tf32": 11}, ROUNDED),
    Case("m3", 8192, 4, COMPILED(6), {"float32": 18}),
    Case("m2", 32, 16, RAGGED, {"tf32": 130}, ROUNDED),
    Case("m2", 1024, 8, RAGGED, {"tf32": 250}, ROUNDED),
    Case("m2", 8192, 1, {EAGER: 4, "JAX cuDNN": 5}, {"tf32": 2000, "bfloat16": 1100}, ("tf32", "bfloat16")),
    Case("m1", 256, 16, SMALL, {"float32": 8}),
    Case("m1", 65536, 4, {OVERHEAD: 6}, {"tf32": 28}, ROUNDED),
    Case("m3", 32, 16, COMPILED(8), {"float32": 10}),
    Case("m3", 256, 16, COMPILED(8), {"float32": 10}),
    Case("m3", 65536, 1, COMPILED(3), {"float32": 85}),
    Case("m3u", 65536, 1, COMPILED(3), {"float32": 55}),
    Case("m1", 0, 8, {EAGER: 5}, {"float32": 12}),
    Case("m3", 0, 8, {EAGER: 5}, {"float32": 12}),
    Case("m2", 0, 8, {}),
    # With 8192 rows a step takes 3.9 GB of Braid, 3.2 of PyTorch eager and 15.6 of those that pad; eight times that are 31, 26 and 125
    # GB, on a GPU that all share.
    Case("m2", 65536, 1, {EAGER: 4}, {"tf32": 16000, "bfloat16": 9000}, ("tf32", "bfloat16"), only_if_asked=True),
]
