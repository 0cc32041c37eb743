"""Keras on TensorFlow: train_on_batch and predict_on_batch. BENCH_THREADS sets the threads."""

import os

threads = int(os.environ.get("BENCH_THREADS", "2"))
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = str(threads)

from worker import serve


def load():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import keras
    from keras import Input, Sequential, layers, optimizers

    class Adam(optimizers.Adam):
        """On TensorFlow alone, Keras squares an embedding's gradient place by place, before those of one id are summed."""

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(tf.convert_to_tensor(gradient), variable, learning_rate)

    def compiled_for_one_label(model):
        model.compile(optimizer=Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"])
        return model

    def two_inputs():
        text, numeric = Input((100,), name="text"), Input((5,), name="numeric")
        merged = layers.concatenate([layers.Dense(64, "relu")(text), layers.Dense(32, "relu")(numeric)])
        label = layers.Dense(1, "sigmoid", name="label")(merged)
        return compiled_for_one_label(keras.Model([text, numeric], [label]))

    def sequence_and_features():
        sequence, features = Input((None,), name="sequence", dtype="int32"), Input((10,), name="features")
        h = layers.LSTM(64)(layers.Embedding(10000, 128, mask_zero=True)(sequence))
        f = layers.Dense(32, "relu")(features)
        label = layers.Dense(1, "sigmoid", name="label")(layers.concatenate([h, f]))
        return compiled_for_one_label(keras.Model([sequence, features], [label]))

    def two_outputs():
        image, text = Input((28, 28, 1), name="image"), Input((100,), name="text")
        image_class = Sequential(
            [layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, "softmax")], name="image_class"
        )(image)
        text_class = Sequential([layers.Dense(32, "relu"), layers.Dense(10, "softmax")], name="text_class")(text)
        model = keras.Model([image, text], [image_class, text_class])
        model.compile(
            optimizer="adam",
            loss=["categorical_crossentropy", "categorical_crossentropy"],
            loss_weights=[0.5, 0.5],
            metrics=["accuracy", "accuracy"],
        )
        return model

    def many_features():
        features = Input((1024,), name="features")
        h = layers.Dense(1024, "relu")(layers.Dense(1024, "relu")(features))
        return compiled_for_one_label(keras.Model([features], [layers.Dense(1, "sigmoid", name="label")(h)]))

    makers = {"m1": two_inputs, "m2": sequence_and_features, "m3": two_outputs, "m6": many_features}

    def in_order(arrays, names):
        return [tf.constant(arrays[name]) for name in names]

    class Model:
        def __init__(self, name, weights, batches, singles):
            self.initial = list(weights.values())
            self.model = makers[name]()
            self.inputs = [tensor.name for tensor in self.model.inputs]
            self.outputs = list(self.model.output_names)
            self.batches = [(in_order(x, self.inputs), in_order(y, self.outputs)) for x, y in batches]
            self.singles = [in_order(x, self.inputs) for x in singles]
            self.reset()

        def reset(self):
            self.model.set_weights(self.initial)
            for variable in self.model.optimizer.variables:
                if "learning_rate" not in variable.path:
                    variable.assign(keras.ops.zeros_like(variable))
            self.model.reset_metrics()

        def step(self, i):
            return float(self.model.train_on_batch(*self.batches[i])[0])

        def loss(self, i):
            """train_on_batch returns means since the last reset."""
            self.model.reset_metrics()
            return self.step(i)

        def predict(self, i):
            results = self.model.predict_on_batch(self.singles[i])
            return dict(zip(self.outputs, results if isinstance(results, list) else [results]))

    class Keras:
        name = "Keras"
        detail = f"keras {keras.__version__} on tensorflow {tf.__version__}, train_on_batch"

    Keras.Model = Model
    return Keras


serve(load)
