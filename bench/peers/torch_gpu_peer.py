"""PyTorch on a GPU, its data there too. BENCH_VARIANT: how a step is run

  eager             fused Adam, packed sequences
  padded            the same, sequences padded behind: cuDNN's faster algorithms are open to it
  compile           torch.compile of forward pass and loss, padded
  reduce-overhead   the same with torch.compile's own recorded graphs
  graph             the whole step, fused Adam included, in a CUDA graph for each batch, padded

BENCH_PRECISION: float32, tf32 or bfloat16 (autocast). BENCH_DEVICE=cpu shows without a GPU that eager and padded steps
compute the right thing.
"""

import os

from worker import Absent, serve

variant = os.environ.get("BENCH_VARIANT", "eager")
precision = os.environ.get("BENCH_PRECISION", "float32")
place = os.environ.get("BENCH_DEVICE", "cuda")
WARM_STEPS = 5  # before a step is recorded
CHECKED_STEPS = 20  # of the recorded step, against the same step as it is written
EPSILON = 1e-7


def load():
    import math

    import torch
    import torch_models

    if place == "cuda" and not torch.cuda.is_available():
        raise Absent(f"torch {torch.__version__} finds no GPU")
    if variant in ("compile", "reduce-overhead") and not hasattr(torch, "compile"):
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

    class Model:
        longest_rows = variant != "eager"  # one shape for all batches

        def __init__(self, name, weights, batches, singles):
            self.name, self.initial = name, weights
            self.batches = [(tensors(x), tensors(y)) for x, y in batches]
            self.singles = [tensors(x) for x in singles]
            self.module = torch_models.make(name, weights, packs=variant == "eager").to(device)
            trained = [weight for weight in self.module.parameters() if weight.requires_grad]
            on_gpu = {"fused": True, "capturable": True} if place == "cuda" else {"foreach": True}
            self.optimizer = torch.optim.Adam(trained, lr=1e-3, eps=EPSILON, **on_gpu)
            self.loss_function = self.loss_of
            if variant == "compile":
                torch.compiler.reset()  # else another batch size would be compiled for sizes that change
                self.loss_function = torch.compile(self.loss_of)
            elif variant == "reduce-overhead":
                self.loss_function = torch.compile(self.loss_of, mode="reduce-overhead")
            self.graphs = {}
            self.reset()
            if variant == "graph" and batches:
                self.record()

        def reset(self):
            with torch.no_grad():
                self.module.set(self.initial)
                for state in self.optimizer.state.values():
                    for value in state.values():
                        value.zero_()
            self.number = 0

        def logits_of(self, x):
            with torch.autocast(place, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                logits = self.module(x)
            return {key: numbers.float() for key, numbers in logits.items()}

        def loss_of(self, x, y):
            return torch_models.loss_of(self.logits_of(x), y)

        def one_step(self, i, epsilon):
            if variant == "reduce-overhead":
                torch.compiler.cudagraph_mark_step_begin()
            x, y = self.batches[i]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss_function(x, y)
            loss.backward()
            self.optimizer.param_groups[0]["eps"] = epsilon
            self.optimizer.step()
            return loss.detach()

        def written_step(self, i):
            # Keras adds its epsilon to the root before the root is corrected for bias.
            self.number += 1
            return self.one_step(i, EPSILON / math.sqrt(1 - 0.999**self.number))

        def loss(self, i):
            return self.written_step(i).item()

        def launch(self, i):
            """A step whose loss may wait. A recorded one has an epsilon that stands still."""
            if variant != "graph":
                return self.written_step(i)
            graph, loss = self.graphs[i]
            graph.replay()
            return loss

        def fetch(self, loss):
            return loss.item()

        def step(self, i):
            return self.fetch(self.launch(i))

        def record(self):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_STEPS):
                    self.one_step(0, EPSILON)
            torch.cuda.current_stream().wait_stream(side)
            pool = None
            for i in range(len(self.batches)):
                graph = torch.cuda.CUDAGraph()
                self.optimizer.zero_grad(set_to_none=True)
                with torch.cuda.graph(graph, pool=pool):
                    loss = self.one_step(i, EPSILON)
                pool = graph.pool()
                self.graphs[i] = (graph, loss)
            order = [step % len(self.batches) for step in range(CHECKED_STEPS)]
            self.reset()
            written = [self.one_step(i, EPSILON).item() for i in order]
            self.reset()
            recorded = [self.step(i) for i in order]
            worst = max(abs(a - b) / max(1, abs(a)) for a, b in zip(written, recorded))
            if not worst < 1e-4:
                raise RuntimeError(f"the recorded step computes something else: losses are {worst:.1e} apart")
            self.reset()

        def memory(self):
            """Bytes that a step takes at most, beside weights, optimizer and inputs."""
            if place != "cuda":
                raise Absent("memory is counted on a GPU alone")
            for _ in range(WARM_STEPS):
                self.step(0)
            self.optimizer.zero_grad(set_to_none=True)
            torch.cuda.synchronize()
            held = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.step(0)
            return torch.cuda.max_memory_allocated() - held

        def predict(self, i):
            with torch.inference_mode():
                results = torch_models.probabilities(self.name, self.logits_of(self.singles[i]))
            return {key: array.cpu().numpy() for key, array in results.items()}

    class Torch:
        name = f"PyTorch {variant}"
        detail = f"torch {torch.__version__}, {variant}, {precision}" + (
            f", cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}" if place == "cuda" else ", on the CPU"
        )

    Torch.Model = Model
    return Torch


serve(load)
