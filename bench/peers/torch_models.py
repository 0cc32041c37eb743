"""The reference models as PyTorch modules, with Braid's initial weights, and Keras's Adam."""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from worker import Absent

RATE, EPSILON = 1e-3, 1e-7


def set_dense(layer, weights, name):
    layer.weight.copy_(torch.from_numpy(weights[name + "/kernel"].T.copy()))
    layer.bias.copy_(torch.from_numpy(weights[name + "/bias"]))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.text, self.numeric, self.label = nn.Linear(100, 64), nn.Linear(5, 32), nn.Linear(96, 1)

    def set(self, weights):
        set_dense(self.text, weights, "dense")
        set_dense(self.numeric, weights, "dense_1")
        set_dense(self.label, weights, "label")

    def forward(self, x):
        merged = (torch.relu(self.text(x["text"])), torch.relu(self.numeric(x["numeric"])))
        return {"label": self.label(torch.cat(merged, dim=1))}


class SequenceAndFeatures(nn.Module):
    """Rows of different length are packed; or padded behind, where the output of the last valid step is the same. The LSTM's
    arrays are of `lstm_type`, its weights float32."""

    def __init__(self, packs=True, lstm_type=torch.float32):
        super().__init__()
        self.packs, self.lstm_type = packs, lstm_type
        self.embedding = nn.Embedding(10000, 128)
        self.lstm = nn.LSTM(128, 64, batch_first=True)
        self.lstm.bias_hh_l0.requires_grad_(False)  # Keras has one bias, not two
        self.features, self.label = nn.Linear(10, 32), nn.Linear(96, 1)

    def set(self, weights):
        self.embedding.weight.copy_(torch.from_numpy(weights["embedding/embeddings"]))
        self.lstm.weight_ih_l0.copy_(torch.from_numpy(weights["lstm/kernel"].T.copy()))
        self.lstm.weight_hh_l0.copy_(torch.from_numpy(weights["lstm/recurrent_kernel"].T.copy()))
        self.lstm.bias_ih_l0.copy_(torch.from_numpy(weights["lstm/bias"]))
        self.lstm.bias_hh_l0.zero_()
        set_dense(self.features, weights, "dense")
        set_dense(self.label, weights, "label")

    def embedded(self, x):
        lengths = x.get("sequence/lengths")
        if lengths is None or not self.packs:
            return self.embedding(x["sequence"])
        ids = pack_padded_sequence(x["sequence"], lengths, batch_first=True, enforce_sorted=False)
        return ids._replace(data=self.embedding(ids.data))  # of valid ids alone

    def last_output(self, x, vectors):
        """The LSTM's at each row's last valid step."""
        outputs, h = self.float_lstm(vectors) if self.lstm_type == torch.float32 else self.rounded_lstm(vectors)
        lengths = x.get("sequence/lengths")
        if lengths is None or self.packs:
            return h
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, outputs.shape[2])
        return outputs.gather(1, last).squeeze(1)

    def float_lstm(self, vectors):
        outputs, (h, _) = self.lstm(vectors)
        return outputs, h[0]

    def rounded_lstm(self, vectors):
        """Autocast would take float16, whatever it was told. Rounded weights lie one behind the other, as cuDNN wants them."""
        weights = list(self.lstm.parameters())
        rounded = torch.cat([weight.flatten() for weight in weights]).to(self.lstm_type)
        parts = rounded.split([weight.numel() for weight in weights])
        weights = [part.view(weight.shape) for part, weight in zip(parts, weights)]
        packed = isinstance(vectors, PackedSequence)
        inputs = (vectors.data if packed else vectors).to(self.lstm_type)
        zeros = inputs.new_zeros(1, int(vectors.batch_sizes[0]) if packed else len(inputs), self.lstm.hidden_size)
        settings = ((zeros, zeros), weights, True, 1, 0.0, self.training, False)  # biases, one layer, no dropout, forwards alone
        with torch.autocast(inputs.device.type, enabled=False):
            if packed:
                outputs, h, _ = torch._VF.lstm(inputs, vectors.batch_sizes, *settings)
                return outputs, h[0].index_select(0, vectors.unsorted_indices)
            outputs, h, _ = torch._VF.lstm(inputs, *settings, True)
            return outputs, h[0]

    def forward(self, x, last=None):
        """`last` is what last_output says, where it was asked before."""
        last = self.last_output(x, self.embedded(x)) if last is None else last
        merged = (last, torch.relu(self.features(x["features"])))
        return {"label": self.label(torch.cat(merged, dim=1))}


class TwoOutputs(nn.Module):
    """Its image is float32, or bytes whose values are taken as they are."""

    def __init__(self):
        super().__init__()
        self.image, self.image_class = nn.Linear(784, 64), nn.Linear(64, 10)
        self.text, self.text_class = nn.Linear(100, 32), nn.Linear(32, 10)

    def set(self, weights):
        set_dense(self.image, weights, "image_class/dense")
        set_dense(self.image_class, weights, "image_class/dense_1")
        set_dense(self.text, weights, "text_class/dense")
        set_dense(self.text_class, weights, "text_class/dense_1")

    def forward(self, x):
        return {
            "image_class": self.image_class(torch.relu(self.image(x["image"].flatten(1).float()))),
            "text_class": self.text_class(torch.relu(self.text(x["text"]))),
        }


class WideLayers(nn.Module):
    """Dense layers one behind the other."""

    def __init__(self, weights):
        super().__init__()
        self.names = [key.removesuffix("/kernel") for key in weights if key.endswith("/kernel")]
        self.layers = nn.ModuleList(nn.Linear(*weights[name + "/kernel"].shape) for name in self.names)

    def set(self, weights):
        for name, layer in zip(self.names, self.layers):
            set_dense(layer, weights, name)

    def forward(self, x):
        h = x["features"]
        for layer in self.layers:
            h = layer(h)
        return {"target": h}


class ManyFeatures(WideLayers):
    """With an activation between them."""

    def forward(self, x):
        h = x["features"]
        for layer in self.layers[:-1]:
            h = torch.relu(layer(h))
        return {"label": self.layers[-1](h)}


class LargeTable(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.embedding = nn.Embedding(*weights["embedding/embeddings"].shape)

    def set(self, weights):
        self.embedding.weight.copy_(torch.from_numpy(weights["embedding/embeddings"]))

    def forward(self, x):
        return {"target": self.embedding(x["sequence"]).mean(dim=1)}


def make(name, weights, packs=True, lstm_type=torch.float32):
    """Models of large layers have the sizes of their weights."""
    makers = {
        "m1": TwoInputs,
        "m2": lambda: SequenceAndFeatures(packs, lstm_type),
        "m2f": lambda: SequenceAndFeatures(packs, lstm_type),
        "m3": TwoOutputs,
        "m3u": TwoOutputs,
        "m4": lambda: WideLayers(weights),
        "m4d": lambda: WideLayers(weights),
        "m5": lambda: LargeTable(weights),
        "m6": lambda: ManyFeatures(weights),
    }
    if name not in makers:
        raise Absent(f"there is no model {name}")
    return makers[name]()


def loss_of(logits, y):
    if "label" in logits:
        return functional.binary_cross_entropy_with_logits(logits["label"], y["label"])
    if "target" in logits:
        return functional.mse_loss(logits["target"], y["target"])
    return sum(0.5 * functional.cross_entropy(logits[key], y[key]) for key in logits)


def probabilities(name, logits):
    activation = functional.softmax if name.startswith("m3") else lambda numbers, dim: torch.sigmoid(numbers)
    return {key: activation(numbers, dim=1) for key, numbers in logits.items()}


@torch.no_grad()
def keras_adam(weights, gradients, momenta, velocities, decays, rates):
    """Keras's Adam over lists of tensors. What changes from step to step lies in a tensor, so it can be compiled and recorded:
    `decays` are the `rates`, 0.9 and 0.999, to the power of the steps so far, 1 before the first one."""
    first, second = decays.mul_(rates).unbind()
    alpha = RATE * torch.sqrt(1 - second) / (1 - first)
    torch._foreach_lerp_(momenta, gradients, 0.1)
    torch._foreach_mul_(velocities, 0.999)
    torch._foreach_addcmul_(velocities, gradients, gradients, 0.001)
    roots = torch._foreach_add(torch._foreach_sqrt(velocities), EPSILON)
    changes = torch._foreach_mul(torch._foreach_div(momenta, roots), alpha)
    torch._foreach_sub_(weights, changes)
