"""What the rivals' processes have in common: the requests of bench/step_bench.cpp, the data, the clock.

A rival is a class with
  name, detail           for the table
  Model(name, batches, singles)
      reset()            initial weights, optimizer anew
      step(i) -> float   one training step on batch i, with its loss
      loss(i) -> float   the same for rivals whose step returns something else than the loss
      predict(i)         numpy results of single row i
      launch(i), fetch   for devices: a step whose loss may wait, and the loss of one
      memory()           for devices: bytes of a step on the first batch
      steps_at_once      that launch takes from i on, in turn (1)
      longest_rows       ragged rows are padded to the longest of all, not of their batch (no)
"""

import gc
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

MAX_STEPS = 1000
WARM_SECONDS = 0.05
BLOCK_STEPS = 200  # between two looks at the clock, where losses may wait
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


def timed(count, seconds, step):
    """Microseconds of step(0) .. step(count - 1), taken in turn: least and median of each."""
    start = time.perf_counter()
    for i in range(count):
        if i >= 2 and time.perf_counter() - start > WARM_SECONDS:
            break
        step(i)
    times = [[] for _ in range(count)]
    steps = 0
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    while steps == 0 or (time.perf_counter() - start < seconds and steps < MAX_STEPS):
        for i in range(count):
            begin = time.perf_counter_ns()
            step(i)
            times[i].append((time.perf_counter_ns() - begin) / 1000)
            if time.perf_counter() - start > LONGEST_ROUND:
                raise TimeoutError(f"{count} steps take more than {LONGEST_ROUND} seconds")
        steps += count
    gc.enable()
    return {
        "least": [min(of_one) for of_one in times],
        "median": [statistics.median(of_one) for of_one in times],
        "steps": steps,
    }


def streamed(count, seconds, model):
    """Microseconds of a step where losses may wait: least and median of blocks of many steps."""
    at_once = getattr(model, "steps_at_once", 1)
    done = 0

    def block(steps, longest):
        nonlocal done
        start = time.perf_counter()
        fetched = begun = done
        while done - begun < steps and time.perf_counter() - start < longest:
            loss = model.launch(done % count)
            done += at_once
            if done - fetched >= FETCH_STEPS:
                model.fetch(loss)
                fetched = done
        model.fetch(loss)
        return (time.perf_counter() - start) / (done - begun) * 1e6

    block(max(count, 50), 1)
    gc.collect()
    gc.disable()
    times = []
    start = time.perf_counter()
    while not times or time.perf_counter() - start < seconds:
        times.append(block(BLOCK_STEPS, max(seconds, 0.2)))
    gc.enable()
    return {"least": [min(times)], "median": [statistics.median(times)], "steps": done}


class Worker:
    def __init__(self, rival, folder):
        self.rival = rival
        self.folder = folder
        self.data = {}
        self.models = {}

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
            self.models[key] = self.rival.Model(name, data.weights, batches, singles)
        return self.models[key]

    def answer(self, request, name, *numbers):
        if request == "predict":
            count, seconds = int(numbers[0]), float(numbers[1])
            model = self.model(name, 0, count)
            return timed(count, seconds, model.predict)
        if request == "outputs":
            values = {}
            for i in range(int(numbers[0])):
                for key, array in self.model(name, 0, int(numbers[0])).predict(i).items():
                    values.setdefault(key, []).extend(float(value) for value in array.ravel())
            return {"outputs": values}
        batch, count = int(numbers[0]), int(numbers[1])
        model = self.model(name, batch, count)
        model.reset()
        if request == "losses":
            loss = getattr(model, "loss", model.step)
            return {"losses": [loss(i % count) for i in range(int(numbers[2]))]}
        if request == "memory":
            return {"bytes": model.memory()}
        if request == "stream":
            return streamed(count, float(numbers[2]), model)
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
        except Exception as error:  # the run goes on with the other rivals
            reply({"error": f"{type(error).__name__}: {error}"})
