"""PyTorch eager: Adam over lists of tensors, packed sequences. BENCH_THREADS sets the threads."""

import os

threads = os.environ.get("BENCH_THREADS", "2")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = threads

from worker import serve

LEAST_SPEED = 20e9  # operations a second of a product of 512 x 512: below it the BLAS is the reference one


def load():
    import math
    import time

    import torch
    import torch_models

    torch.set_num_threads(int(threads))

    square = torch.randn(512, 512)
    best = math.inf
    start = time.perf_counter()
    while 2 * 512**3 / best < LEAST_SPEED and time.perf_counter() - start < 3:  # the machine may be busy
        begin = time.perf_counter()
        square @ square
        best = min(best, time.perf_counter() - begin)
    if 2 * 512**3 / best < LEAST_SPEED:
        raise RuntimeError(
            f"not timed: a product of 512 x 512 runs at {2 * 512**3 / best / 1e9:.0f} GFLOP/s; install libopenblas0-pthread"
        )

    def tensors(arrays):
        return {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}

    class Model:
        def __init__(self, name, weights, batches, singles):
            self.name, self.initial = name, weights
            self.batches = [(tensors(x), tensors(y)) for x, y in batches]
            self.singles = [tensors(x) for x in singles]
            self.module = torch_models.make(name, weights)
            self.reset()

        def reset(self):
            with torch.no_grad():
                self.module.set(self.initial)
            trained = [weight for weight in self.module.parameters() if weight.requires_grad]
            self.optimizer = torch.optim.Adam(trained, lr=1e-3, foreach=True)
            self.number = 0

        def step(self, i):
            x, y = self.batches[i]
            self.optimizer.zero_grad(set_to_none=True)
            loss = torch_models.loss_of(self.module(x), y)
            loss.backward()
            # Keras adds its epsilon to the root before the root is corrected for bias.
            self.number += 1
            self.optimizer.param_groups[0]["eps"] = 1e-7 / math.sqrt(1 - 0.999**self.number)
            self.optimizer.step()
            return loss.item()

        def predict(self, i):
            with torch.inference_mode():
                results = torch_models.probabilities(self.name, self.module(self.singles[i]))
            return {key: array.numpy() for key, array in results.items()}

    class Torch:
        name = "PyTorch"
        detail = f"torch {torch.__version__}, eager, packed sequences"

    Torch.Model = Model
    return Torch


serve(load)
