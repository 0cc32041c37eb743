"""cuDNN's LSTM called directly, one layer, recorded in a CUDA graph. BENCH_PRECISION: float32, tf32, or with arrays of that type
bfloat16 or float16.

Requests: cudnn ALGORITHM ROWS STEPS FEATURES UNITS LENGTHS, with ALGORITHM one of standard, static, dynamic and small, and
LENGTHS 0: none, all rows are full, and cuDNN may take its unpadded path; 1: random ones. Memory, streams, graphs and the library
come from PyTorch, whose own LSTM says what must come out.
"""

import ctypes
import json
import os
import statistics
import sys
import time

precision = os.environ.get("BENCH_PRECISION", "float32")
BLOCKS = 7
BLOCK_SECONDS = 0.02
MOST_REPLAYS = 200

# Numbers of cudnn_adv.h and cudnn_graph.h.
ALGORITHMS = {"standard": 0, "static": 1, "dynamic": 2, "small": 3}
FLOAT, LSTM, DOUBLE_BIAS, UNIDIRECTIONAL, LINEAR_INPUT = 0, 2, 2, 0, 0
DATA_TYPES = {"float32": FLOAT, "tf32": FLOAT, "bfloat16": 9, "float16": 2}
DEFAULT_MATH, TENSOR_OP_MATH, FMA_MATH = 0, 1, 3
MATH_TYPES = {"float32": FMA_MATH, "tf32": DEFAULT_MATH, "bfloat16": TENSOR_OP_MATH, "float16": TENSOR_OP_MATH}
# Of the outputs, which are between -1 and 1: each step rounds what the next one takes.
TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 1e-1, "float16": 2e-2}
SEQUENCE_FIRST_UNPACKED, SEQUENCE_FIRST_PACKED = 0, 1
TRAINING, ADD_GRADIENT = 1, 0
PADDED_IO = 1


def library_of(torch):
    """The one that PyTorch has loaded, else the one of its package."""
    torch.backends.cudnn.version()
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split()[-1] for line in maps if "/libcudnn.so" in line}
    for path in [*sorted(paths), "libcudnn.so.9", "libcudnn.so"]:
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise RuntimeError("libcudnn.so is nowhere to be found")


class Cudnn:
    def __init__(self, torch):
        self.functions = library_of(torch)
        self.handle = ctypes.c_void_p()
        self.call("cudnnCreate", ctypes.byref(self.handle))

    def call(self, name, *arguments):
        status = getattr(self.functions, name)(*arguments)
        if status != 0:
            text = self.functions.cudnnGetErrorString
            text.restype = ctypes.c_char_p
            raise RuntimeError(f"{name}: {text(status).decode()}")

    def made(self, kind):
        descriptor = ctypes.c_void_p()
        self.call(f"cudnnCreate{kind}", ctypes.byref(descriptor))
        return descriptor


def integers(*values):
    return (ctypes.c_int * len(values))(*values)


class Layer:
    """One LSTM with its data; `forward` and `backward` launch on PyTorch's current stream."""

    def __init__(self, torch, cudnn, algorithm, rows, steps, features, units, ragged):
        self.torch, self.cudnn, self.ragged = torch, cudnn, ragged
        generator = torch.Generator().manual_seed(7)
        lengths = torch.randint(1, steps + 1, (rows,), generator=generator) if ragged else torch.full((rows,), steps)
        lengths[0] = steps
        kind = torch.float32 if precision == "tf32" else getattr(torch, precision)
        self.module = torch.nn.LSTM(features, units).cuda()
        flat = self.module._flat_weights[0].untyped_storage()  # flattened: cuDNN's own layout
        self.weights = torch.empty(0, device="cuda").set_(flat).to(kind)
        self.x = torch.randn(steps, rows, features, generator=generator).to("cuda", kind)
        self.y = torch.empty(steps, rows, units, device="cuda", dtype=kind)
        self.dy = torch.randn(steps, rows, units, generator=generator).to("cuda", kind)
        self.dx = torch.empty_like(self.x)
        self.d_weights = torch.zeros_like(self.weights)
        self.lengths = lengths
        self.there = lengths.to(torch.int32).cuda()
        call, made = cudnn.call, cudnn.made
        dropout = made("DropoutDescriptor")
        call("cudnnSetDropoutDescriptor", dropout, cudnn.handle, ctypes.c_float(0), None, ctypes.c_size_t(0), ctypes.c_ulonglong(0))
        self.rnn = made("RNNDescriptor")
        self.data_type = DATA_TYPES[precision]
        call("cudnnSetRNNDescriptor_v8", self.rnn, ALGORITHMS[algorithm], LSTM, DOUBLE_BIAS, UNIDIRECTIONAL, LINEAR_INPUT,
             self.data_type, FLOAT, MATH_TYPES[precision], features, units, units, 1, dropout, ctypes.c_uint32(PADDED_IO if ragged else 0))
        if algorithm == "dynamic":
            call("cudnnBuildRNNDynamic", cudnn.handle, self.rnn, rows)
        self.x_descriptor = self.sequence(steps, rows, features, lengths)
        self.y_descriptor = self.sequence(steps, rows, units, lengths)
        self.h_descriptor = made("TensorDescriptor")
        call("cudnnSetTensorNdDescriptor", self.h_descriptor, self.data_type, 3, integers(1, rows, units),
             integers(rows * units, units, 1))
        size, reserve = ctypes.c_size_t(), ctypes.c_size_t()
        call("cudnnGetRNNWeightSpaceSize", cudnn.handle, self.rnn, ctypes.byref(size))
        if size.value != self.weights.nbytes:
            raise RuntimeError(f"cuDNN's weights have {size.value} bytes, PyTorch's {self.weights.nbytes}")
        call("cudnnGetRNNTempSpaceSizes", cudnn.handle, self.rnn, TRAINING, self.x_descriptor, ctypes.byref(size), ctypes.byref(reserve))
        self.work = torch.empty(max(size.value, 1), dtype=torch.uint8, device="cuda")
        self.reserve = torch.empty(max(reserve.value, 1), dtype=torch.uint8, device="cuda")

    def sequence(self, steps, rows, columns, lengths):
        descriptor = self.cudnn.made("RNNDataDescriptor")
        fill = ctypes.c_float(0)
        # Full rows lie the same way in both layouts.
        layout = SEQUENCE_FIRST_UNPACKED if self.ragged else SEQUENCE_FIRST_PACKED
        self.cudnn.call("cudnnSetRNNDataDescriptor", descriptor, self.data_type, layout, steps, rows, columns,
                        integers(*lengths.tolist()), ctypes.byref(fill))
        return descriptor

    @staticmethod
    def at(tensor):
        return ctypes.c_void_p(tensor.data_ptr())

    @property
    def spaces(self):
        return (ctypes.c_size_t(self.work.numel()), self.at(self.work), ctypes.c_size_t(self.reserve.numel()), self.at(self.reserve))

    def forward(self):
        cudnn = self.cudnn
        cudnn.call("cudnnSetStream", cudnn.handle, ctypes.c_void_p(self.torch.cuda.current_stream().cuda_stream))
        cudnn.call("cudnnRNNForward", cudnn.handle, self.rnn, TRAINING, self.at(self.there), self.x_descriptor, self.at(self.x),
                   self.y_descriptor, self.at(self.y), self.h_descriptor, None, None, self.h_descriptor, None, None,
                   ctypes.c_size_t(self.weights.nbytes), self.at(self.weights), *self.spaces)

    def both(self):
        self.forward()
        cudnn, weights = self.cudnn, ctypes.c_size_t(self.weights.nbytes)
        # Through time; its gradient of the inputs cannot be left out.
        cudnn.call("cudnnRNNBackwardData_v8", cudnn.handle, self.rnn, self.at(self.there), self.y_descriptor, self.at(self.y),
                   self.at(self.dy), self.x_descriptor, self.at(self.dx), self.h_descriptor, None, None, None, self.h_descriptor,
                   None, None, None, weights, self.at(self.weights), *self.spaces)
        cudnn.call("cudnnRNNBackwardWeights_v8", cudnn.handle, self.rnn, ADD_GRADIENT, self.at(self.there), self.x_descriptor,
                   self.at(self.x), self.h_descriptor, None, self.y_descriptor, self.at(self.y), weights, self.at(self.d_weights),
                   *self.spaces)

    def check(self):
        """Against PyTorch, whose arrays are float32, at valid steps."""
        self.forward()
        with self.torch.no_grad():
            expected = self.module(self.x.float())[0]
        steps = self.torch.arange(expected.shape[0])[:, None] < self.lengths[None, :]
        error = (self.y.float() - expected)[steps.cuda()].abs().max().item()
        if not error < TOLERANCES[precision]:
            raise RuntimeError(f"its outputs are {error:.1e} away from PyTorch's")


def recorded_microseconds(torch, work):
    """Of `work` in a CUDA graph: least and median of several blocks of replays."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    graph.replay()
    torch.cuda.synchronize()
    replays = max(1, min(MOST_REPLAYS, int(BLOCK_SECONDS / (time.perf_counter() - begin))))
    times = []
    for _ in range(BLOCKS):
        begin = time.perf_counter()
        for _ in range(replays):
            graph.replay()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) / replays * 1e6)
    return min(times), statistics.median(times)


def answer(torch, cudnn, words):
    request, algorithm, *numbers = words
    if request != "cudnn":
        raise ValueError(f"unknown request {request}")
    layer = Layer(torch, cudnn, algorithm, *map(int, numbers))
    layer.check()
    forward, forward_median = recorded_microseconds(torch, layer.forward)
    both, both_median = recorded_microseconds(torch, layer.both)
    return {"forward_us": forward, "forward_median_us": forward_median, "both_us": both, "both_median_us": both_median}


def main():
    answers, sys.stdout = sys.stdout, sys.stderr

    def reply(value):
        print(json.dumps(value), file=answers, flush=True)

    try:
        import torch

        if not torch.cuda.is_available():
            return reply({"error": f"torch {torch.__version__} finds no GPU"})
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        cudnn = Cudnn(torch)
    except ImportError as error:
        return reply({"error": f"not installed ({error})"})
    except RuntimeError as error:
        return reply({"error": str(error)})
    reply({"name": "cuDNN", "detail": f"cuDNN {torch.backends.cudnn.version()} of torch {torch.__version__}, {precision}"})
    for line in sys.stdin:
        try:
            reply(answer(torch, cudnn, line.split()))
        except Exception as error:  # an algorithm that does not take this size
            reply({"error": f"{type(error).__name__}: {error}"})


main()
