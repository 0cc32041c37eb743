"""One jitted step of plain JAX: gradients, Keras's Adam, buffers given back. BENCH_THREADS sets the threads."""

import math
import os

threads = os.environ.get("BENCH_THREADS", "2")
os.environ["NPROC"] = threads  # the size of XLA's thread pool
os.environ["JAX_PLATFORMS"] = "cpu"
if threads == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")

from worker import serve


def load():
    import jax
    import jax.numpy as jnp
    import numpy as np

    # A step is waited for anyway: handing it to another thread only costs time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)

    def dense(weights, layer, x):
        return x @ weights[layer + "/kernel"] + weights[layer + "/bias"]

    def relu_dense(weights, layer, x):
        return jax.nn.relu(dense(weights, layer, x))

    def last_output(weights, ids):
        """An LSTM over the embedded ids, which stands still where an id is 0."""
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
        image = relu_dense(weights, "image_class/dense", x["image"].reshape(x["image"].shape[0], -1))
        text = relu_dense(weights, "text_class/dense", x["text"])
        return {
            "image_class": dense(weights, "image_class/dense_1", image),
            "text_class": dense(weights, "text_class/dense_1", text),
        }

    def binary_loss(logits, y):
        per_row = jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))
        return per_row.mean()

    def class_loss(logits, y):
        return -(y * jax.nn.log_softmax(logits)).sum(axis=-1).mean()

    forwards = {"m1": two_inputs, "m2": sequence_and_features, "m3": two_outputs}

    def make_step(name, shapes):
        """All weights lie in one vector: handing over many small arrays costs more than the step."""
        forward = forwards[name]

        def unpacked(vector):
            weights, begin = {}, 0
            for key, shape in shapes.items():
                end = begin + math.prod(shape)
                weights[key] = vector[begin:end].reshape(shape)
                begin = end
            return weights

        def loss_of(weights, x, y):
            logits = forward(weights, x)
            if name == "m3":
                return sum(0.5 * class_loss(logits[key], y[key]) for key in logits)
            return binary_loss(logits["label"], y["label"])

        def step(state, x, y):
            weights, momentum, velocity, number = state
            loss, gradients = jax.value_and_grad(loss_of)(unpacked(weights), x, y)
            gradient = jnp.concatenate([gradients[key].ravel() for key in shapes])
            number = number + 1
            alpha = 1e-3 * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
            momentum = momentum + (gradient - momentum) * 0.1
            velocity = velocity + (gradient**2 - velocity) * 0.001
            weights = weights - alpha * momentum / (jnp.sqrt(velocity) + 1e-7)
            return (weights, momentum, velocity, number), loss

        return jax.jit(step, donate_argnums=0)

    def make_predict(name):
        def probabilities(weights, x):
            activation = jax.nn.softmax if name == "m3" else jax.nn.sigmoid
            return {key: activation(logits) for key, logits in forwards[name](weights, x).items()}

        return jax.jit(probabilities)

    def on_device(tree):
        return {key: jnp.asarray(array) for key, array in tree.items() if not key.endswith("/lengths")}

    class Model:
        def __init__(self, name, weights, batches, singles):
            self.initial = np.concatenate([array.ravel() for array in weights.values()])
            self.weights = on_device(weights)
            self.batches = [(on_device(x), on_device(y)) for x, y in batches]
            self.singles = [on_device(x) for x in singles]
            self.train_step = make_step(name, {key: array.shape for key, array in weights.items()})
            self.probabilities = make_predict(name)

        def reset(self):
            zeros = lambda: jnp.zeros(self.initial.shape, jnp.float32)
            self.state = (jnp.array(self.initial, copy=True), zeros(), zeros(), jnp.float32(0))

        def step(self, i):
            self.state, loss = self.train_step(self.state, *self.batches[i])
            return float(loss)

        def predict(self, i):
            results = self.probabilities(self.weights, self.singles[i])
            return {key: np.asarray(array) for key, array in results.items()}

    class Jax:
        name = "JAX"
        detail = f"jax {jax.__version__}, one jitted step"

    Jax.Model = Model
    return Jax


serve(load)
