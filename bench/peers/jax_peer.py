"""One jitted step of plain JAX: gradients, Keras's Adam, buffers given back. BENCH_THREADS sets the threads.

BENCH_DEVICE=cuda: on a GPU, at BENCH_PRECISION (float32, tf32 or bfloat16). BENCH_VARIANT=many: so many steps in one jitted
call that handing them over costs nothing. BENCH_VARIANT=cudnn: the LSTM is cuDNN's by JAX's own binding; a CPU takes the binding's
reference for it, which shows that the weights are handed over rightly.
"""

import math
import os

place = os.environ.get("BENCH_DEVICE", "cpu")
many, by_cudnn = (os.environ.get("BENCH_VARIANT") == variant for variant in ("many", "cudnn"))
precision = os.environ.get("BENCH_PRECISION", "float32")
os.environ["JAX_PLATFORMS"] = place
if place == "cpu":
    threads = os.environ.get("BENCH_THREADS", "2")
    os.environ["NPROC"] = threads  # the size of XLA's thread pool
    if threads == "1":
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")
else:
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the GPU is shared with the other rivals

from worker import Absent, serve

STEPS_AT_ONCE = 32
UNROLLED = (1, 8)  # of those; the faster one is kept
TRIED_CALLS = 3
TOLERANCES = {"float32": 1e-4, "tf32": 1e-3, "bfloat16": 1e-3}
# On a GPU JAX's name "bfloat16" only means that any precision will do, which is tf32.
PRODUCTS = {"float32": "highest", "tf32": "TF32_TF32_F32", "bfloat16": "BF16_BF16_F32"}


def load():
    import time

    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import rnn

    if place == "cpu":
        # A step is waited for anyway: handing it to another thread only costs time.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    if place != "cpu" or precision != "float32":
        try:
            jax.config.update("jax_default_matmul_precision", PRODUCTS[precision])
        except ValueError as error:
            raise Absent(f"jax {jax.__version__} cannot be told to multiply in {precision}") from error
    try:
        gpu = "" if place == "cpu" else f", {precision}, {jax.devices()[0].device_kind}"
    except (RuntimeError, AssertionError) as error:
        raise Absent(f"jax {jax.__version__} finds no GPU") from error
    if by_cudnn and precision == "bfloat16":
        raise Absent("JAX's binding of cuDNN takes no bfloat16")

    def dense(weights, layer, x):
        return x @ weights[layer + "/kernel"] + weights[layer + "/bias"]

    def relu_dense(weights, layer, x):
        return jax.nn.relu(dense(weights, layer, x))

    def last_output_by_cudnn(weights, ids):
        """An LSTM of cuDNN over the embedded ids, which are 0 only behind the others."""
        vectors = weights["embedding/embeddings"][ids]  # [B, T, E]
        kernel, recurrent, bias = (weights["lstm/" + name] for name in ("kernel", "recurrent_kernel", "bias"))
        sizes = {"input_size": kernel.shape[0], "hidden_size": recurrent.shape[0], "num_layers": 1, "bidirectional": False}
        # Keras's gates are in the order of cuDNN's, which has a second bias.
        flat = jnp.concatenate([kernel.T.ravel(), recurrent.T.ravel(), bias, jnp.zeros_like(bias)])
        zero = jnp.zeros((1, ids.shape[0], sizes["hidden_size"]), jnp.float32)
        lengths = (ids != 0).sum(axis=1, dtype=jnp.int32)
        if place == "cpu":
            _, h, _ = rnn.lstm_ref(vectors, zero, zero, *rnn.unpack_lstm_weights(flat, **sizes), lengths, dropout=0.0, **sizes)
        else:
            rounding = jax.lax.Precision.HIGH if precision == "tf32" else jax.lax.Precision.HIGHEST
            _, h, _ = rnn.lstm(vectors, zero, zero, flat, lengths, dropout=0.0, precision=rounding, **sizes)
        return h[0]

    def last_output(weights, ids):
        """An LSTM over the embedded ids, which stands still where an id is 0."""
        if by_cudnn:
            return last_output_by_cudnn(weights, ids)
        vectors = weights["embedding/embeddings"][ids.T]  # [T, B, E]
        projected = vectors @ weights["lstm/kernel"] + weights["lstm/bias"]
        recurrent = weights["lstm/recurrent_kernel"]

        def cell(state, step):
            h, c = state
            z, valid = step
            i, f, g, o = jnp.split(z + h @ recurrent, 4, axis=-1)
            new_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            new_h = jax.nn.sigmoid(o) * jnp.tanh(new_c)
            return (jnp.where(valid, new_h, h), jnp.where(valid, new_c, c)), None

        zero = jnp.zeros((ids.shape[0], recurrent.shape[0]), jnp.float32)
        (h, _), _ = jax.lax.scan(cell, (zero, zero), (projected, (ids.T != 0)[..., None]))
        return h

    def two_inputs(weights, x):
        merged = [relu_dense(weights, "dense", x["text"]), relu_dense(weights, "dense_1", x["numeric"])]
        return {"label": dense(weights, "label", jnp.concatenate(merged, axis=-1))}

    def sequence_and_features(weights, x):
        merged = [last_output(weights, x["sequence"]), relu_dense(weights, "dense", x["features"])]
        return {"label": dense(weights, "label", jnp.concatenate(merged, axis=-1))}

    def two_outputs(weights, x):
        """The image is float32, or bytes whose values are taken as they are."""
        image = relu_dense(weights, "image_class/dense", x["image"].reshape(x["image"].shape[0], -1).astype(jnp.float32))
        text = relu_dense(weights, "text_class/dense", x["text"])
        return {
            "image_class": dense(weights, "image_class/dense_1", image),
            "text_class": dense(weights, "text_class/dense_1", text),
        }

    def many_features(weights, x):
        h = relu_dense(weights, "dense_1", relu_dense(weights, "dense", x["features"]))
        return {"label": dense(weights, "label", h)}

    def binary_loss(logits, y):
        per_row = jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))
        return per_row.mean()

    def class_loss(logits, y):
        return -(y * jax.nn.log_softmax(logits)).sum(axis=-1).mean()

    sequences, images = dict.fromkeys(("m2", "m2f"), sequence_and_features), dict.fromkeys(("m3", "m3u"), two_outputs)
    forwards = {"m1": two_inputs, **sequences, **images, "m6": many_features}

    def make_steps(step, batches, unroll):
        """Steps on batch after batch in one call: returns the last loss."""
        count = len(batches)
        stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *batches)

        def steps(state, data, first):
            def one(state, number):
                x, y = jax.tree.map(lambda array: array[(first + number) % count], data)
                return step(state, x, y)

            state, losses = jax.lax.scan(one, state, jnp.arange(STEPS_AT_ONCE), unroll=unroll)
            return state, losses[-1]

        jitted = jax.jit(steps, donate_argnums=0)
        return lambda state, first: jitted(state, stacked, first)

    def packed(weights):
        return {"all": jnp.concatenate([array.ravel() for array in weights.values()])}

    def make_step(name, shapes):
        """Small weights lie in one vector: handing over many small arrays costs more than the step. Large ones would be copied."""
        forward = forwards[name]

        def unpacked(arrays):
            if "all" not in arrays:
                return arrays
            vector = arrays["all"]
            weights, begin = {}, 0
            for key, shape in shapes.items():
                end = begin + math.prod(shape)
                weights[key] = vector[begin:end].reshape(shape)
                begin = end
            return weights

        def loss_of(weights, x, y):
            logits = forward(weights, x)
            if name in images:
                return sum(0.5 * class_loss(logits[key], y[key]) for key in logits)
            return binary_loss(logits["label"], y["label"])

        def step(state, x, y):
            weights, momentum, velocity, number = state
            loss, gradients = jax.value_and_grad(loss_of)(unpacked(weights), x, y)
            gradients = packed({key: gradients[key] for key in shapes}) if "all" in weights else gradients
            number = number + 1
            alpha = 1e-3 * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
            momentum = jax.tree.map(lambda m, gradient: m + (gradient - m) * 0.1, momentum, gradients)
            velocity = jax.tree.map(lambda v, gradient: v + (gradient**2 - v) * 0.001, velocity, gradients)
            update = lambda weight, m, v: weight - alpha * m / (jnp.sqrt(v) + 1e-7)
            return (jax.tree.map(update, weights, momentum, velocity), momentum, velocity, number), loss

        return jax.jit(step, donate_argnums=0)

    def make_predict(name):
        def probabilities(weights, x):
            activation = jax.nn.softmax if name in images else jax.nn.sigmoid
            return {key: activation(logits) for key, logits in forwards[name](weights, x).items()}

        return jax.jit(probabilities)

    def on_device(tree):
        return {key: jnp.asarray(array) for key, array in tree.items() if not key.endswith("/lengths")}

    class Model:
        longest_rows = many  # batches of one shape
        steps_at_once = STEPS_AT_ONCE if many else 1

        def __init__(self, name, weights, batches, singles):
            if by_cudnn and name not in sequences:
                raise Absent("without an LSTM it is what JAX is")
            self.initial = weights if name == "m6" else packed(weights)
            self.weights = on_device(weights)
            self.batches = [(on_device(x), on_device(y)) for x, y in batches]
            # On a GPU rows come from the host.
            self.singles = [on_device(x) if place == "cpu" else x for x in singles]
            shapes = {key: array.shape for key, array in weights.items()}
            self.train_step = make_step(name, shapes)
            if many and batches:
                # A loop within a loop compiles for long.
                unrolled = UNROLLED[:1] if name in sequences else UNROLLED
                choices = [make_steps(self.train_step, self.batches, unroll) for unroll in unrolled]
                self.train_steps = min(choices, key=self.seconds_of) if len(choices) > 1 else choices[0]
                self.check_many()
            self.probabilities = make_predict(name)

        def reset(self):
            zeros = lambda: jax.tree.map(jnp.zeros_like, self.initial)
            copies = jax.tree.map(lambda array: jnp.array(array, copy=True), self.initial)
            self.state = (copies, zeros(), zeros(), jnp.float32(0))

        def seconds_of(self, steps):
            self.reset()
            for call in range(1 + TRIED_CALLS):  # the first one compiles
                self.state, loss = steps(self.state, 0)
                if call == 0:
                    loss.block_until_ready()
                    start = time.perf_counter()
            loss.block_until_ready()
            return time.perf_counter() - start

        def check_many(self):
            self.reset()
            one_by_one = [self.step(i % len(self.batches)) for i in range(STEPS_AT_ONCE)][-1]
            self.reset()
            at_once = self.fetch(self.launch(0))
            if not abs(at_once - one_by_one) < TOLERANCES[precision] * max(1, abs(one_by_one)):
                raise RuntimeError(f"many steps at once compute something else: {at_once}, not {one_by_one}")

        def step(self, i):
            self.state, loss = self.train_step(self.state, *self.batches[i])
            return float(loss)

        def launch(self, i):
            if many:
                self.state, loss = self.train_steps(self.state, i)
            else:
                self.state, loss = self.train_step(self.state, *self.batches[i])
            return loss

        def fetch(self, loss):
            return float(loss)

        def predict(self, i):
            if many:
                raise Absent("single rows are not many: it predicts as one step at a time does")
            results = self.probabilities(self.weights, self.singles[i])
            return {key: np.asarray(array) for key, array in results.items()}

    class Jax:
        name = "JAX"
        on_gpu = place != "cpu"
        steps = f"{STEPS_AT_ONCE} jitted steps at once" if many else "one jitted step"
        detail = f"jax {jax.__version__}, {steps}{', cuDNN' if by_cudnn else ''}{gpu}"

        def forget(self):
            jax.clear_caches()

    Jax.Model = Model
    return Jax()


serve(load)
