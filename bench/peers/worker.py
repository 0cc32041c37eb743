"""What the rivals' processes have in common: the requests of bench/step_bench.cpp, the data, the clock.

To those of step_bench.cpp come `forget`: all models are released, as rivals share one GPU; and `adam COUNT`. Replies have more than Braid's:
  prepared_seconds       losses, outputs: what it took to make the model, compile it and take its first step, where it is new
  spread                 stream: the slowest block as so many times the fastest
  device_us              stream: microseconds of a step between events of the device, the least of the blocks
  remark                 stream, predict: what a compiler did while it was timed, or left out

A rival is a class with
  name, detail           for the table
  on_gpu                 idle ones are slow: it is made to work before its times are taken (no)
  forget()               releases what it holds beside its models (nothing)
  adam(count)            least_us and median_us of an update of so many parameters, alone
  Model(name, weights, batches, singles)
      reset()            initial weights, optimizer anew
      step(i) -> float   one training step on batch i, with its loss
      loss(i) -> float   the same for rivals whose step returns something else than the loss
      predict(i)         numpy results of single row i
      launch(i), fetch   for devices: a step whose loss may wait, and the loss of one
      mark(), between    for devices: an event behind what was launched, and the microseconds between two of them (no events)
      memory()           for devices: bytes of a step on the first batch
      watch()            a function that tells what a compiler did since then or leaves out, "" for nothing (no compiler)
      steps_at_once      that launch takes from i on, in turn (1)
      longest_rows       ragged rows are padded to the longest of all, not of their batch (no)
"""

import contextlib
import gc
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

MAX_STEPS = 1000
WARM_SECONDS = 0.05
SPIN_SECONDS = float(os.environ.get("BENCH_SPIN", "1"))  # that a GPU works before the first times after a start or `forget`
GPU_WARM_STEPS, GPU_WARM_SECONDS = 50, 1  # before the blocks, whichever is less: steps of many milliseconds need no fifty
BLOCK_STEPS = 200  # where losses may wait, if a block of them is not longer than this:
LEAST_BLOCK_SECONDS = 0.2
FETCH_STEPS = 100  # a loss is fetched so often
LONGEST_ROUND = 10  # seconds: threads that wait for each other by spinning can take minutes on a busy machine
LENGTH_STEP = 8  # sequences are padded to a multiple of this: few shapes to compile


class Absent(Exception):
    """Why a rival cannot take part."""


def padded(values, splits, begin, end, to_all):
    """Rows of ids as one array with zeros behind them."""
    lengths = np.diff(splits[begin : end + 1])
    longest = int(np.diff(splits).max()) if to_all else -(-int(lengths.max()) // LENGTH_STEP) * LENGTH_STEP
    rows = np.zeros((end - begin, longest), np.int32)
    for row in range(end - begin):
        first = splits[begin + row]
        rows[row, : lengths[row]] = values[first : first + lengths[row]]
    return rows, lengths


class Data:
    """Rows and initial weights of one reference model, as Braid wrote them."""

    def __init__(self, folder, name):
        with np.load(folder / f"{name}.npz") as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}
        with np.load(folder / f"{name}-weights.npz") as weights:
            self.weights = {key: weights[key] for key in weights.files}  # in Keras's order

    def batch(self, begin, end, longest_rows=False):
        """Inputs and targets by name; a ragged input is padded, and has its lengths beside it."""
        x, y = {}, {}
        for key, array in self.arrays.items():
            kind, name = key.split("/", 1)
            if kind == "single":
                continue
            if name.endswith("/values"):
                name = name.removesuffix("/values")
                splits = self.arrays[f"x/{name}/splits"]
                x[name], x[name + "/lengths"] = padded(array, splits, begin, end, longest_rows)
            elif not name.endswith("/splits"):
                (x if kind == "x" else y)[name] = array[begin:end]
        return x, y

    def single(self, row):
        return {
            key.removeprefix("single/"): array[row : row + 1]
            for key, array in self.arrays.items()
            if key.startswith("single/")
        }


@contextlib.contextmanager
def undisturbed():
    """Python collects its garbage before, not meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def warm(count, step, steps, longest):
    """Two steps at least."""
    start = time.perf_counter()
    for number in range(steps):
        if number >= 2 and time.perf_counter() - start > longest:
            break
        step(number % count)


def timed(count, seconds, step, on_gpu=False, spin=0):
    """Microseconds of step(0) .. step(count - 1), taken in turn: least and median of each."""
    start = time.perf_counter()
    while time.perf_counter() - start < spin:
        step(0)
    if on_gpu:
        warm(count, step, max(count, GPU_WARM_STEPS), GPU_WARM_SECONDS)
    else:
        warm(count, step, count, WARM_SECONDS)
    times = [[] for _ in range(count)]
    steps = 0
    with undisturbed():
        start = time.perf_counter()
        while steps == 0 or (time.perf_counter() - start < seconds and steps < MAX_STEPS):
            for i in range(count):
                begin = time.perf_counter_ns()
                step(i)
                times[i].append((time.perf_counter_ns() - begin) / 1000)
                if time.perf_counter() - start > LONGEST_ROUND:
                    raise TimeoutError(f"{count} steps take more than {LONGEST_ROUND} seconds")
            steps += count
    return {
        "least": [min(of_one) for of_one in times],
        "median": [statistics.median(of_one) for of_one in times],
        "steps": steps,
    }


class Stream:
    """Steps where losses may wait: only at the end of a block is it known how long they took."""

    def __init__(self, count, model):
        self.count, self.model = count, model
        self.at_once = getattr(model, "steps_at_once", 1)
        self.mark = getattr(model, "mark", None)
        self.done = 0

    def block(self, steps):
        """Microseconds of a step: by the clock, and between events of the device."""
        begun = fetched = self.done
        start = time.perf_counter()
        first = self.mark() if self.mark else None
        while self.done - begun < steps:
            loss = self.model.launch(self.done % self.count)
            self.done += self.at_once
            if self.done - fetched >= FETCH_STEPS:
                self.model.fetch(loss)
                fetched = self.done
        last = self.mark() if self.mark else None
        self.model.fetch(loss)
        wall = (time.perf_counter() - start) * 1e6
        device = self.model.between(first, last) if self.mark else wall
        return wall / (self.done - begun), device / (self.done - begun)

    def steps_within(self, steps, seconds, one):
        """So many steps, or those that `seconds` suffice for; every batch as often as every other."""
        affordable = min(steps, int(seconds * 1e6 / one))
        return max(1, -(-affordable // self.count)) * self.count


def streamed(count, seconds, model, spin=0):
    """Microseconds of a step where losses may wait: least and median of blocks of many steps."""
    stream = Stream(count, model)
    one, _ = stream.block(2)
    warm_steps = stream.steps_within(GPU_WARM_STEPS, GPU_WARM_SECONDS, one)
    start = time.perf_counter()
    while time.perf_counter() - start < spin:
        stream.block(warm_steps)
    if spin:
        model.reset()  # gradients of a model that has learnt everything by heart are too small to be typical
    one, _ = stream.block(warm_steps)
    steps = stream.steps_within(BLOCK_STEPS, max(seconds, LEAST_BLOCK_SECONDS), one)
    times = []
    with undisturbed():
        start = time.perf_counter()
        while not times or time.perf_counter() - start < seconds:
            times.append(stream.block(steps))
    walls, devices = zip(*times)
    answer = {"least": [min(walls)], "median": [statistics.median(walls)], "steps": stream.done}
    answer["spread"] = max(walls) / min(walls)
    return {**answer, "device_us": min(devices)} if stream.mark else answer


class Worker:
    def __init__(self, rival, folder):
        self.rival = rival
        self.folder = folder
        self.on_gpu = getattr(rival, "on_gpu", False)
        self.data = {}
        self.forget()

    def forget(self):
        """All models, and with them what lies on a device. Rows stay as Braid wrote them: they are on the host."""
        self.models = {}
        self.made_seconds = {}  # of models that have not taken a step yet
        self.idle = self.on_gpu  # until it has worked for a second
        gc.collect()
        getattr(self.rival, "forget", lambda: None)()

    def model(self, name, batch, count):
        """Made once: compiled programs stay. With a batch of 0 it only predicts."""
        key = (name, batch, count)
        if key not in self.models:
            if name not in self.data:
                self.data[name] = Data(self.folder, name)
            data = self.data[name]
            longest_rows = getattr(self.rival.Model, "longest_rows", False)
            batches = [data.batch(i * batch, (i + 1) * batch, longest_rows) for i in range(count)] if batch else []
            singles = [] if batch else [data.single(i) for i in range(count)]
            start = time.perf_counter()
            self.models[key] = self.rival.Model(name, data.weights, batches, singles)
            self.made_seconds[key] = time.perf_counter() - start
        return self.models[key]

    def prepared(self, key, first):
        """What the first step returned, and how long it took until then, making the model included; {} where it is not new."""
        start = time.perf_counter()
        result = first()
        made = self.made_seconds.pop(key, None)
        return result, {} if made is None else {"prepared_seconds": made + time.perf_counter() - start}

    def spin(self):
        """Seconds that the device must work before it is as fast as it can be."""
        idle, self.idle = self.idle, False
        return SPIN_SECONDS if idle else 0

    @staticmethod
    def watched(model, measure):
        """What was measured, with the remark on it."""
        remark = getattr(model, "watch", lambda: lambda: "")()
        answer = measure()
        told = remark()
        return {**answer, "remark": told} if told else answer

    def answer(self, request, name="-", *numbers):
        if request == "forget":
            self.forget()
            return {}
        if request == "adam":
            return self.rival.adam(int(name))
        if request in ("predict", "outputs"):
            count = int(numbers[0])
            model = self.model(name, 0, count)
            first, seconds = self.prepared((name, 0, count), lambda: model.predict(0))
            if request == "predict":
                measure = lambda: timed(count, float(numbers[1]), model.predict, self.on_gpu, self.spin())
                return self.watched(model, measure)
            values = {}
            for results in [first, *(model.predict(i) for i in range(1, count))]:
                for key, array in results.items():
                    values.setdefault(key, []).extend(float(value) for value in array.ravel())
            return {"outputs": values, **seconds}
        batch, count = int(numbers[0]), int(numbers[1])
        model = self.model(name, batch, count)
        model.reset()
        if request == "losses":
            loss = getattr(model, "loss", model.step)
            first, seconds = self.prepared((name, batch, count), lambda: loss(0))
            return {"losses": [first, *(loss(i % count) for i in range(1, int(numbers[2])))], **seconds}
        if request == "memory":
            return {"bytes": model.memory()}
        if request == "stream":
            return self.watched(model, lambda: streamed(count, float(numbers[2]), model, self.spin()))
        if request == "train":
            for i in range(count):  # compiles what a batch of new shape needs
                if self.first_time(model, i):
                    model.step(i)
            return timed(count, float(numbers[2]), model.step)
        raise ValueError(f"unknown request {request}")

    @staticmethod
    def first_time(model, i):
        seen = model.__dict__.setdefault("seen", set())
        new = i not in seen
        seen.add(i)
        return new


def serve(load):
    """Answers requests until standard input ends. `load` imports the rival and returns it."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries print what they like

    def reply(value):
        print(json.dumps(value), file=answers, flush=True)

    try:
        rival = load()
    except ImportError as error:
        reply({"error": f"not installed ({error})"})
        return
    except (Absent, RuntimeError) as error:
        reply({"error": str(error)})
        return
    reply({"name": rival.name, "detail": rival.detail})
    worker = Worker(rival, Path(sys.argv[1]))
    for line in sys.stdin:
        try:
            reply(worker.answer(*line.split()))
        except Absent as reason:
            reply({"error": str(reason)})
        except Exception as error:  # the run goes on with the other rivals
            reply({"error": f"{type(error).__name__}: {error}"})
