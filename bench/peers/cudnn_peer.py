"""cuDNN's LSTM called directly, one layer, recorded in a CUDA graph. BENCH_PRECISION: float32, tf32, or with arrays of that type
bfloat16 or float16. BENCH_DEVICE=cpu puts PyTorch's own LSTM in its place, in float32: that shows without a GPU that everybody
means the same by what Braid writes.

Requests:
  load FILE            a layer, its data and what Braid makes of them (bench/lstm_exchange.hpp)
  compare ALGORITHM    runs it: how far its results are from Braid's, each by the largest number of its array
  time ALGORITHM       microseconds forward, and forward and backward: least and median
  spin                 keeps the GPU busy until its clock is high
ALGORITHM is one of standard, static, dynamic and small. Where all rows are full cuDNN is not told of padding, and may take its
unpadded path. Memory, streams, graphs and the library come from PyTorch.
"""

import ctypes
import gc
import json
import os
import statistics
import sys
import time

precision = os.environ.get("BENCH_PRECISION", "float32")
place = os.environ.get("BENCH_DEVICE", "cuda")
# As Braid's (bench/launch_clock.hpp, bench/ceilings.cpp).
BLOCKS = 9
BLOCK_SECONDS = 5e-3
MOST_LAUNCHES = 200
SPIN_SECONDS = 1

# Numbers of cudnn_adv.h and cudnn_graph.h.
ALGORITHMS = {"standard": 0, "static": 1, "dynamic": 2, "small": 3}
FLOAT, LSTM, DOUBLE_BIAS, UNIDIRECTIONAL, LINEAR_INPUT = 0, 2, 2, 0, 0
DATA_TYPES = {"float32": FLOAT, "tf32": FLOAT, "bfloat16": 9, "float16": 2}
DEFAULT_MATH, TENSOR_OP_MATH, FMA_MATH = 0, 1, 3
MATH_TYPES = {"float32": FMA_MATH, "tf32": DEFAULT_MATH, "bfloat16": TENSOR_OP_MATH, "float16": TENSOR_OP_MATH}
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


class Case:
    """A layer as Braid wrote it. Arrays with values for each step have the steps first."""

    def __init__(self, torch, path):
        import numpy

        with numpy.load(path) as arrays:
            of = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        self.rows, self.steps, self.features, self.units = of["size"].tolist()
        self.lengths = of["lengths"]
        self.ragged = int(self.lengths.min()) < self.steps
        self.kind = torch.float32 if precision == "tf32" else getattr(torch, precision)
        self.valid = (torch.arange(self.steps)[:, None] < self.lengths[None, :]).to(place)  # [T, B]
        self.x = self.steps_first(of["in_numbers"], self.features).to(self.kind)
        self.dy = (self.steps_first(of["grad_numbers"], self.units) * self.valid[:, :, None]).to(self.kind)
        self.module = torch.nn.LSTM(self.features, self.units).to(place)
        with torch.no_grad():
            self.module.weight_ih_l0.copy_(of["kernel"].T)
            self.module.weight_hh_l0.copy_(of["recurrent"].T)
            self.module.bias_ih_l0.copy_(of["bias"])
            self.module.bias_hh_l0.zero_()  # Braid has one
        self.written = of["written"].long().to(place)
        self.expected = {key: of[key].to(place) for key in ("kernel_grad", "recurrent_grad", "bias_grad")}
        for key in ("outputs", "in_grad"):
            self.expected[key] = of[key].to(place).transpose(0, 1)

    def steps_first(self, numbers, columns):
        count = self.rows * self.steps * columns
        values = numbers.to(place).repeat(-(-count // len(numbers)))[:count]
        return values.view(self.rows, self.steps, columns).transpose(0, 1).contiguous()

    def deviations(self, results):
        """By the largest number of each array, at valid steps."""

        def of(key, got):
            expected, got = self.expected[key], got.float()
            if key in ("outputs", "in_grad"):
                there = self.valid[:, self.written]
                expected, got = expected[there], got[:, self.written][there]
            if expected.shape != got.shape:
                raise RuntimeError(f"{key} is {list(got.shape)}, and Braid's {list(expected.shape)}")
            return ((got - expected).abs().max() / expected.abs().max()).item()

        return {key: of(key, got) for key, got in results.items()}


class TorchLayer:
    """PyTorch's own LSTM, with the methods of a layer that is compared."""

    def __init__(self, torch, case):
        self.torch, self.case = torch, case

    def results(self):
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        case, module = self.case, self.case.module
        module.zero_grad()
        x = case.x.clone().requires_grad_()
        y = module(pack_padded_sequence(x, case.lengths, enforce_sorted=False))[0]
        y = pad_packed_sequence(y, total_length=case.steps)[0]
        y.backward(case.dy)
        return {
            "outputs": y.detach(),
            "in_grad": x.grad,
            "kernel_grad": module.weight_ih_l0.grad.T,
            "recurrent_grad": module.weight_hh_l0.grad.T,
            "bias_grad": module.bias_ih_l0.grad,
        }


class CudnnLayer:
    """One LSTM with its results; `forward` and `both` launch on PyTorch's current stream."""

    def __init__(self, torch, cudnn, algorithm, case):
        self.torch, self.cudnn, self.case = torch, cudnn, case
        rows, steps, features, units = case.rows, case.steps, case.features, case.units
        # Flattened: cuDNN's own layout, in which PyTorch's weights are places.
        flat = case.module._flat_weights[0].untyped_storage()
        self.weights = torch.empty(0, device="cuda").set_(flat).to(case.kind)
        self.y = torch.empty(steps, rows, units, device="cuda", dtype=case.kind)
        self.dx = torch.empty_like(case.x)
        self.d_weights = torch.zeros_like(self.weights)
        self.there = case.lengths.to(torch.int32).cuda()
        call, made = cudnn.call, cudnn.made
        dropout = made("DropoutDescriptor")
        call("cudnnSetDropoutDescriptor", dropout, cudnn.handle, ctypes.c_float(0), None, ctypes.c_size_t(0),
             ctypes.c_ulonglong(0))
        self.rnn = made("RNNDescriptor")
        self.data_type = DATA_TYPES[precision]
        call("cudnnSetRNNDescriptor_v8", self.rnn, ALGORITHMS[algorithm], LSTM, DOUBLE_BIAS, UNIDIRECTIONAL, LINEAR_INPUT,
             self.data_type, FLOAT, MATH_TYPES[precision], features, units, units, 1, dropout,
             ctypes.c_uint32(PADDED_IO if case.ragged else 0))
        if algorithm == "dynamic":
            call("cudnnBuildRNNDynamic", cudnn.handle, self.rnn, rows)
        self.x_descriptor = self.sequence(features)
        self.y_descriptor = self.sequence(units)
        self.h_descriptor = made("TensorDescriptor")
        call("cudnnSetTensorNdDescriptor", self.h_descriptor, self.data_type, 3, integers(1, rows, units),
             integers(rows * units, units, 1))
        size, reserve = ctypes.c_size_t(), ctypes.c_size_t()
        call("cudnnGetRNNWeightSpaceSize", cudnn.handle, self.rnn, ctypes.byref(size))
        if size.value != self.weights.nbytes:
            raise RuntimeError(f"cuDNN's weights have {size.value} bytes, PyTorch's {self.weights.nbytes}")
        call("cudnnGetRNNTempSpaceSizes", cudnn.handle, self.rnn, TRAINING, self.x_descriptor, ctypes.byref(size),
             ctypes.byref(reserve))
        self.work = torch.empty(max(size.value, 1), dtype=torch.uint8, device="cuda")
        self.reserve = torch.empty(max(reserve.value, 1), dtype=torch.uint8, device="cuda")
        self.recordings = {}

    def sequence(self, columns):
        case, descriptor = self.case, self.cudnn.made("RNNDataDescriptor")
        fill = ctypes.c_float(0)
        # Full rows lie the same way in both layouts.
        layout = SEQUENCE_FIRST_UNPACKED if case.ragged else SEQUENCE_FIRST_PACKED
        self.cudnn.call("cudnnSetRNNDataDescriptor", descriptor, self.data_type, layout, case.steps, case.rows, columns,
                        integers(*case.lengths.tolist()), ctypes.byref(fill))
        return descriptor

    @staticmethod
    def at(tensor):
        return ctypes.c_void_p(tensor.data_ptr())

    @property
    def spaces(self):
        return [argument for space in (self.work, self.reserve)
                for argument in (ctypes.c_size_t(space.numel()), self.at(space))]

    def forward(self):
        cudnn = self.cudnn
        cudnn.call("cudnnSetStream", cudnn.handle, ctypes.c_void_p(self.torch.cuda.current_stream().cuda_stream))
        cudnn.call("cudnnRNNForward", cudnn.handle, self.rnn, TRAINING, self.at(self.there), self.x_descriptor,
                   self.at(self.case.x), self.y_descriptor, self.at(self.y), self.h_descriptor, None, None, self.h_descriptor,
                   None, None, ctypes.c_size_t(self.weights.nbytes), self.at(self.weights), *self.spaces)

    def both(self):
        self.forward()
        cudnn, case, weights = self.cudnn, self.case, ctypes.c_size_t(self.weights.nbytes)
        # Through time; its gradient of the inputs cannot be left out.
        cudnn.call("cudnnRNNBackwardData_v8", cudnn.handle, self.rnn, self.at(self.there), self.y_descriptor, self.at(self.y),
                   self.at(case.dy), self.x_descriptor, self.at(self.dx), self.h_descriptor, None, None, None, self.h_descriptor,
                   None, None, None, weights, self.at(self.weights), *self.spaces)
        # It adds; making the sums 0 before is left out.
        cudnn.call("cudnnRNNBackwardWeights_v8", cudnn.handle, self.rnn, ADD_GRADIENT, self.at(self.there), self.x_descriptor,
                   self.at(case.x), self.h_descriptor, None, self.y_descriptor, self.at(self.y), weights, self.at(self.d_weights),
                   *self.spaces)

    def results(self):
        self.d_weights.zero_()
        self.both()
        self.torch.cuda.synchronize()

        def grad_of(weight):
            begin = weight.storage_offset()
            return self.d_weights[begin : begin + weight.numel()].view(weight.shape)

        module = self.case.module
        return {
            "outputs": self.y,
            "in_grad": self.dx,
            "kernel_grad": grad_of(module.weight_ih_l0).T,
            "recurrent_grad": grad_of(module.weight_hh_l0).T,
            "bias_grad": grad_of(module.bias_ih_l0),
        }

    def times(self):
        found = {}
        for name, work in (("forward", self.forward), ("both", self.both)):
            if name not in self.recordings:
                self.recordings[name] = recorded(self.torch, work)
            found[f"{name}_us"], found[f"{name}_median_us"] = microseconds(self.torch, *self.recordings[name])
        return found


def seconds_of_replay(torch, graph):
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    graph.replay()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) * 1e-3


def recorded(torch, work):
    """A CUDA graph of as many launches of `work` as fill a block, and how many these are."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
        work()
    torch.cuda.current_stream().wait_stream(side)

    def graph_of(launches):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(launches):
                work()
        return graph

    # By a replay: not recorded, launches of some algorithms cost the host more than the GPU.
    one = graph_of(1)
    seconds_of_replay(torch, one)
    once = max(seconds_of_replay(torch, one), 1e-6)
    launches = max(1, min(MOST_LAUNCHES, int(BLOCK_SECONDS / once)))
    return (one if launches == 1 else graph_of(launches)), launches


def microseconds(torch, graph, launches):
    """Of a launch: least and median of the blocks behind the first one."""
    times = [seconds_of_replay(torch, graph) / launches * 1e6 for _ in range(BLOCKS + 1)][1:]
    return min(times), statistics.median(times)


class Server:
    """Answers requests about the layer that was loaded last; what was made for an algorithm is kept until the next one."""

    def __init__(self, torch, cudnn):
        self.torch, self.cudnn = torch, cudnn
        self.case, self.layers = None, {}

    def layer(self, algorithm):
        if self.case is None:
            raise RuntimeError("no layer was loaded")
        if algorithm not in self.layers:
            self.layers[algorithm] = (TorchLayer(self.torch, self.case) if self.cudnn is None else
                                      CudnnLayer(self.torch, self.cudnn, algorithm, self.case))
        return self.layers[algorithm]

    def load(self, path):
        self.case = None
        self.layers.clear()
        gc.collect()
        if place == "cuda":
            self.torch.cuda.empty_cache()  # others share the GPU
        self.case = Case(self.torch, path)
        return {"loaded": path}

    def spin(self):
        torch = self.torch
        start = time.monotonic()
        a, b = (torch.ones(1 << 28, device=place) for _ in range(2))
        while time.monotonic() - start < SPIN_SECONDS:
            for _ in range(8):
                a.copy_(b)
            torch.cuda.synchronize()
        return {"seconds": time.monotonic() - start}

    def answer(self, request, *words):
        if request == "load":
            return self.load(*words)
        if request == "compare":
            results = self.layer(*words).results()
            return self.case.deviations(results)
        if request == "time" and place == "cuda":
            return self.layer(*words).times()
        if request == "spin" and place == "cuda":
            return self.spin()
        raise ValueError(f"unknown request {request}, on {place}")


def main():
    answers, sys.stdout = sys.stdout, sys.stderr

    def reply(value):
        print(json.dumps(value), file=answers, flush=True)

    try:
        import torch

        if place == "cpu":
            name, cudnn = "PyTorch", None
            detail = f"PyTorch's own LSTM of torch {torch.__version__}, on the CPU"
        elif not torch.cuda.is_available():
            return reply({"error": f"torch {torch.__version__} finds no GPU"})
        else:
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            name, cudnn = "cuDNN", Cudnn(torch)
            detail = f"cuDNN {torch.backends.cudnn.version()} of torch {torch.__version__}, {precision}"
    except ImportError as error:
        return reply({"error": f"not installed ({error})"})
    except RuntimeError as error:
        return reply({"error": str(error)})
    reply({"name": name, "detail": detail})
    server = Server(torch, cudnn)
    for line in sys.stdin:
        try:
            reply(server.answer(*line.split()))
        except Exception as error:  # an algorithm that does not take this size
            reply({"error": f"{type(error).__name__}: {error}"})


main()
