"""PyTorch on a GPU, its data there too. BENCH_VARIANT: how a step is run

  eager             fused Adam, packed sequences
  padded            the same, sequences padded behind: cuDNN's faster algorithms are open to it
  compile           torch.compile of forward pass and loss, and of Adam, padded
  reduce-overhead   the same with torch.compile's own recorded graphs
  max-autotune      the same, and every product made by the fastest of many kernels: it compiles for long
  graph             the whole step, fused Adam included, in a CUDA graph for each batch, padded

BENCH_PRECISION: float32, tf32 or bfloat16 (autocast; the LSTM's arrays are rounded by hand). BENCH_DEVICE=cpu shows without a GPU
that all but recorded steps compute the right thing.
"""

import os

from worker import Absent, serve

variant = os.environ.get("BENCH_VARIANT", "eager")
precision = os.environ.get("BENCH_PRECISION", "float32")
place = os.environ.get("BENCH_DEVICE", "cuda")
MODES = {"compile": "default", "reduce-overhead": "reduce-overhead", "max-autotune": "max-autotune"}  # of torch.compile
RECORDING = ("reduce-overhead", "max-autotune")  # torch.compile records graphs
WARM_STEPS = 5  # before a step is recorded; torch.compile itself records a third one
BLOCKS, BLOCK_MS, MOST_UPDATES = 9, 5, 200  # of updates alone; as bench/launch_clock.hpp has them
CHECKED_STEPS = 20  # of the recorded step, against the same step as it is written
TOLERANCES = {"float32": 1e-4, "tf32": 1e-3, "bfloat16": 1e-3}


def load():
    import math
    import statistics
    import time

    import torch
    import torch_models
    from torch_models import EPSILON, RATE

    if place == "cuda" and not torch.cuda.is_available():
        raise Absent(f"torch {torch.__version__} finds no GPU")
    if variant in MODES and not hasattr(torch, "compile"):
        raise Absent(f"torch {torch.__version__} has no torch.compile")
    if variant == "graph" and place != "cuda":
        raise Absent("graphs are recorded on a GPU alone")
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    device = torch.device(place)

    def tensors(arrays):
        there = {}
        for key, array in arrays.items():
            tensor = torch.from_numpy(array.copy())
            # Packing wants lengths on the host.
            there[key] = tensor if variant == "eager" and key.endswith("/lengths") else tensor.to(device)
        return there

    def on_host(arrays):
        """Page-locked, so that copies to a GPU need not be waited for."""
        there = {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}
        return {key: tensor.pin_memory() for key, tensor in there.items()} if place == "cuda" else there

    def recorded(run, pool=None):
        """A graph of what is launched, and what that returned."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            result = run()
        return graph, result

    def warmed(run):
        """What is recorded later has been run on another stream before."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_STEPS):
                run()
        torch.cuda.current_stream().wait_stream(side)

    def timing_event():
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    class Model:
        longest_rows = variant != "eager"  # one shape for all batches

        def __init__(self, name, weights, batches, singles):
            self.name, self.initial = name, weights
            self.batches = [(tensors(x), tensors(y)) for x, y in batches]
            self.singles = [on_host(x) for x in singles]
            lstm_type = torch.bfloat16 if precision == "bfloat16" else torch.float32
            self.module = torch_models.make(name, weights, variant == "eager", lstm_type).to(device)
            with torch.no_grad():
                self.module.set(weights)
            self.trained = [weight for weight in self.module.parameters() if weight.requires_grad]
            self.number = 0
            self.prepare()

        def prepare(self):
            on_gpu = {"fused": True, "capturable": True} if place == "cuda" else {"foreach": True}
            self.optimizer = torch.optim.Adam(self.trained, lr=RATE, eps=EPSILON, **on_gpu)

        def reset(self):
            with torch.no_grad():
                self.module.set(self.initial)
                for state in self.optimizer.state.values():
                    for value in state.values():
                        value.zero_()
            self.number = 0

        def logits_of(self, x, *done):
            with torch.autocast(place, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                logits = self.module(x, *done)
            return {key: numbers.float() for key, numbers in logits.items()}

        def loss_of(self, x, y, *done):
            return torch_models.loss_of(self.logits_of(x, *done), y)

        def probabilities_of(self, x, *done):
            return torch_models.probabilities(self.name, self.logits_of(x, *done))

        def one_step(self, i, epsilon):
            x, y = self.batches[i]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss_of(x, y)
            loss.backward()
            self.optimizer.param_groups[0]["eps"] = epsilon
            self.optimizer.step()
            return loss.detach()

        def launch(self, i):
            """A step whose loss may wait. Keras adds its epsilon to the root before the root is corrected for bias."""
            self.number += 1
            return self.one_step(i, EPSILON / math.sqrt(1 - 0.999**self.number))

        def fetch(self, loss):
            return loss.item()

        def step(self, i):
            return self.fetch(self.launch(i))

        def mark(self):
            return timing_event()

        def between(self, first, last):
            """Both have happened: a loss was fetched since then."""
            return 1000 * first.elapsed_time(last)

        def memory(self):
            """Bytes that a step takes at most, beside weights, optimizer and inputs."""
            if place != "cuda":
                raise Absent("memory is counted on a GPU alone")
            if variant == "graph" or variant in RECORDING:
                raise Absent("a recorded step holds its memory all the time")
            for _ in range(WARM_STEPS):
                self.step(0)
            for weight in self.trained:
                weight.grad = None
            torch.cuda.synchronize()
            held = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.step(0)
            return torch.cuda.max_memory_allocated() - held

        def predict(self, i):
            """From the host to the host."""
            if variant == "padded":
                raise Absent("single rows are not padded: it predicts as eager does")
            with torch.inference_mode():
                x = {key: tensor.to(device, non_blocking=True) for key, tensor in self.singles[i].items()}
                return {key: array.cpu().numpy() for key, array in self.probabilities_of(x).items()}

    class FusedAdam:
        """An update of so many parameters of one tensor, recorded on a GPU."""

        def __init__(self, count):
            weight = torch.nn.Parameter(torch.rand(count, device=device))
            weight.grad = torch.rand(count, device=device) - 0.5
            on_gpu = {"fused": True, "capturable": True} if place == "cuda" else {"foreach": True}
            self.optimizer = torch.optim.Adam([weight], lr=RATE, eps=EPSILON, **on_gpu)
            self.updates = 1
            self.graph = None
            if place != "cuda":
                return
            warmed(self.optimizer.step)
            first = timing_event()
            self.optimizer.step()
            last = timing_event()
            last.synchronize()
            self.updates = max(1, min(MOST_UPDATES, int(BLOCK_MS / first.elapsed_time(last))))
            self.graph, _ = recorded(lambda: [self.optimizer.step() for _ in range(self.updates)])

        def microseconds(self):
            """Of each block, by events of the device; by the clock where there is none."""
            times = []
            for _ in range(BLOCKS + 1):
                if self.graph is None:
                    start = time.perf_counter()
                    self.optimizer.step()
                    times.append((time.perf_counter() - start) * 1e6)
                    continue
                first = timing_event()
                self.graph.replay()
                last = timing_event()
                last.synchronize()
                times.append(1000 * first.elapsed_time(last) / self.updates)
            return times[1:]

    class Compiled(Model):
        """All but an LSTM, which stays cuDNN's: a model that has one torch.compile would leave as it is, by itself."""

        def prepare(self):
            import torch._dynamo

            # Else other sizes than those of the model before would be compiled for sizes that change, and a limit would be
            # reached beyond which nothing is compiled.
            torch.compiler.reset()
            torch._dynamo.config.fail_on_recompile_limit_hit = True
            self.counters = torch._dynamo.utils.counters
            self.counters.clear()
            compiled = lambda function, mode=MODES[variant]: torch.compile(function, mode=mode, dynamic=False, fullgraph=True)
            self.compiled_loss = compiled(self.loss_of)
            self.compiled_probabilities = compiled(self.probabilities_of)
            self.adam = compiled(torch_models.keras_adam)
            self.has_lstm = hasattr(self.module, "lstm")
            if self.has_lstm:  # a recorded graph would copy the gradient that comes from cuDNN
                self.embedded = compiled(self.module.embedded, "default")
            self.momenta = [torch.zeros_like(weight, requires_grad=False) for weight in self.trained]
            self.velocities = [torch.zeros_like(weight, requires_grad=False) for weight in self.trained]
            self.rates = torch.tensor([0.9, 0.999], device=device)
            self.decays = torch.ones_like(self.rates)
            # A recorded graph would copy them otherwise.
            for tensor in [*self.trained, *self.momenta, *self.velocities, self.decays, self.rates]:
                torch._dynamo.mark_static_address(tensor)
            for _ in range(WARM_STEPS):
                if self.batches:
                    self.step(0)
                if self.singles:
                    self.predict(0)

        def reset(self):
            with torch.no_grad():
                self.module.set(self.initial)
                for tensor in [*self.momenta, *self.velocities]:
                    tensor.zero_()
                self.decays.fill_(1)

        def launch(self, i):
            if variant in RECORDING:
                torch.compiler.cudagraph_mark_step_begin()
            x, y = self.batches[i]
            loss = self.compiled_loss(x, y, *self.before(x))
            gradients = torch.autograd.grad(loss, self.trained)
            self.adam(self.trained, list(gradients), self.momenta, self.velocities, self.decays, self.rates)
            return loss.detach()

        def before(self, x):
            """What the rest needs that is not compiled together with it."""
            return [self.module.last_output(x, self.embedded(x))] if self.has_lstm else []

        @torch.no_grad()
        def predict(self, i):
            if variant in RECORDING:
                torch.compiler.cudagraph_mark_step_begin()
            x = {key: tensor.to(device, non_blocking=True) for key, tensor in self.singles[i].items()}
            return {key: array.cpu().numpy() for key, array in self.compiled_probabilities(x, *self.before(x)).items()}

        def watch(self):
            inductor = self.counters["inductor"]
            compiled = lambda: self.counters["stats"]["unique_graphs"]
            copied_inputs = lambda: inductor["cudagraph_recorded_non_static_inputs"]  # more of them with each graph recorded
            before = compiled(), copied_inputs()

            def remark():
                told = ["its LSTM not compiled"] if self.has_lstm else []
                if not compiled():
                    told.append("nothing compiled")
                if compiled() > before[0]:
                    told.append(f"compiled {compiled() - before[0]} graphs meanwhile")
                if copied_inputs() > before[1]:
                    told.append("recorded graphs meanwhile")
                if breaks := sum(self.counters["graph_break"].values()):
                    told.append(f"{breaks} breaks of graphs")
                if variant in RECORDING and inductor["cudagraph_skips"]:
                    told.append(f"{inductor['cudagraph_skips']} graphs not recorded")
                return f"({'; '.join(told)})" if told else ""

            return remark

    class Recorded(Model):
        """A recorded step has an epsilon that stands still. Losses are compared step by step without recording."""

        def prepare(self):
            super().prepare()
            self.graphs = []
            if self.batches:
                self.record_steps()
            if self.singles:
                self.record_prediction()

        def loss(self, i):
            return super().launch(i).item()

        def launch(self, i):
            graph, loss = self.graphs[i]
            graph.replay()
            return loss

        def record_steps(self):
            warmed(lambda: self.one_step(0, EPSILON))
            for i in range(len(self.batches)):
                self.optimizer.zero_grad(set_to_none=True)
                pool = self.graphs[0][0].pool() if self.graphs else None
                self.graphs.append(recorded(lambda: self.one_step(i, EPSILON), pool))
            order = [step % len(self.batches) for step in range(CHECKED_STEPS)]
            self.reset()
            written = [self.one_step(i, EPSILON).item() for i in order]
            self.reset()
            replayed = [self.step(i) for i in order]
            worst = max(abs(a - b) / max(1, abs(a)) for a, b in zip(written, replayed))
            if not worst < TOLERANCES[precision]:
                raise RuntimeError(f"the recorded step computes something else: losses are {worst:.1e} apart")

        @torch.no_grad()
        def record_prediction(self):
            shapes = [{key: tensor.shape for key, tensor in x.items()} for x in self.singles]
            if any(shape != shapes[0] for shape in shapes):
                raise Absent("single rows of several shapes would need a graph each")
            self.x = {key: tensor.to(device) for key, tensor in self.singles[0].items()}
            warmed(lambda: self.probabilities_of(self.x))
            self.prediction, self.outputs = recorded(lambda: self.probabilities_of(self.x))

        @torch.no_grad()
        def predict(self, i):
            for key, tensor in self.singles[i].items():
                self.x[key].copy_(tensor, non_blocking=True)
            self.prediction.replay()
            return {key: array.cpu().numpy() for key, array in self.outputs.items()}

    class Torch:
        name = f"PyTorch {variant}"
        on_gpu = place == "cuda"
        rounding = "bfloat16 (autocast, and an LSTM's arrays)" if precision == "bfloat16" else precision
        detail = f"torch {torch.__version__}, {variant}, {rounding}" + (
            f", cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}" if place == "cuda" else ", on the CPU"
        )

        update = (0, None)  # of so many parameters

        def adam(self, count):
            if self.update[0] != count:
                self.forget()
                self.update = count, FusedAdam(count)
            times = self.update[1].microseconds()
            return {"least_us": min(times), "median_us": statistics.median(times)}

        def forget(self):
            self.update = 0, None
            if variant in MODES:
                torch.compiler.reset()  # compiled programs hold the memory of recorded graphs
            if place == "cuda":
                torch.cuda.empty_cache()

    if place != "cuda":
        Model.mark = None  # no events
    Torch.Model = Compiled if variant in MODES else Recorded if variant == "graph" else Model
    return Torch()


serve(load)
