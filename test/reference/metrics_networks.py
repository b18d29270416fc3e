"""The evaluation networks in PyTorch: outputs for test/models/metrics, and the other side of experiments/metric-speed.

Needs torch and numpy. Weights are not stored: they follow from a tensor's name and position by hash_weights.py, which
test/helpers/hash-weights.ts repeats. Outputs are computed in float64.

    python test/reference/metrics_networks.py

writes test/models/metrics/reference.json.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from hash_weights import values
from torch import nn

HERE = Path(__file__).resolve().parent.parent / "models" / "metrics"


def metric_weight(name, shape):
    """Kernels keep the scale through a ReLU, biases are small, scales and variances lie around 1."""
    u = values(name, shape)
    if len(shape) > 1:
        return u * np.float32(math.sqrt(6 / np.prod(shape[1:])))
    if name.endswith("running_var"):
        return np.float32(1) + u * np.float32(0.5)
    is_scale = ".bn.weight" in name
    return u * np.float32(0.25) + np.float32(1 if is_scale else 0)


class Unit3d(nn.Module):
    """Convolution with TensorFlow's SAME padding, batch norm, ReLU."""

    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        pad = kernel // 2 if stride == 1 else 0
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, pad, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x):
        if self.stride > 1:
            x = pad_same(x, (self.kernel,) * 3, (self.stride,) * 3)
        return F.relu(self.bn(self.conv3d(x)))


def pad_same(x, kernel, stride):
    sides = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride))):
        total = max(k - s if size % s == 0 else k - size % s, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides) if any(sides) else x


def pool_same(x, kernel, stride):
    return F.max_pool3d(pad_same(x, kernel, stride), kernel, stride)


class Mixed(nn.Module):
    def __init__(self, inputs, c):
        super().__init__()
        self.b0 = Unit3d(inputs, c[0], 1)
        self.b1a = Unit3d(inputs, c[1], 1)
        self.b1b = Unit3d(c[1], c[2], 3)
        self.b2a = Unit3d(inputs, c[3], 1)
        self.b2b = Unit3d(c[3], c[4], 3)
        self.b3b = Unit3d(inputs, c[5], 1)

    def forward(self, x):
        pooled = F.max_pool3d(x, 3, 1, 1)
        parts = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)]
        return torch.cat(parts, 1)


MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOLS = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


def scaled(width):
    return lambda published: max(1, math.floor(published * width + 0.5))


class I3d(nn.Module):
    def __init__(self, width=1.0, classes=400):
        super().__init__()
        c = scaled(width)
        self.Conv3d_1a_7x7 = Unit3d(3, c(64), 7, 2)
        self.Conv3d_2b_1x1 = Unit3d(c(64), c(64), 1)
        self.Conv3d_2c_3x3 = Unit3d(c(64), c(192), 3)
        inputs = c(192)
        for name, published in MIXED.items():
            channels = [c(p) for p in published]
            setattr(self, name, Mixed(inputs, channels))
            inputs = channels[0] + channels[2] + channels[4] + channels[5]
        self.logits = nn.Module()
        self.logits.conv3d = nn.Conv3d(inputs, classes, 1)

    def forward(self, x):
        x = pool_same(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in MIXED:
            if name in POOLS:
                x = pool_same(x, *POOLS[name])
            x = getattr(self, name)(x)
        x = F.avg_pool3d(x, (2, 7, 7), 1)
        return self.logits.conv3d(x).flatten(2).mean(2)


class C3d(nn.Module):
    def __init__(self, width=1.0, classes=101, pool5="ceil"):
        super().__init__()
        c = scaled(width)
        self.padding = 0 if pool5 == "ceil" else (0, 1, 1)
        sizes = [3, c(64), c(128), c(256), c(256), c(512), c(512), c(512), c(512)]
        self.names = ["conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b"]
        for name, inputs, outputs in zip(self.names, sizes, sizes[1:]):
            setattr(self, name, nn.Conv3d(inputs, outputs, 3, padding=1))
        self.fc6 = nn.Linear(16 * c(512), c(4096))
        self.fc7 = nn.Linear(c(4096), c(4096))
        self.fc8 = nn.Linear(c(4096), classes)

    def forward(self, x):
        for name in self.names:
            x = F.relu(getattr(self, name)(x))
            if name == "conv1":
                x = F.max_pool3d(x, (1, 2, 2), ceil_mode=True)
            elif name == "conv5b":
                x = F.max_pool3d(x, 2, padding=self.padding, ceil_mode=self.padding == 0)
            elif not name.endswith("a"):
                x = F.max_pool3d(x, 2, ceil_mode=True)
        x = F.relu(self.fc6(x.flatten(1)))
        return self.fc8(F.relu(self.fc7(x)))


class Conv2d(nn.Module):
    """Convolution, batch norm, ReLU, as torchvision's BasicConv2d."""

    def __init__(self, inputs, outputs, kernel, stride=1, padding=None):
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(k // 2 for k in kernel) if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def average(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def largest(x):
    return F.max_pool2d(x, 3, 1, 1)


class Block2d(nn.Module):
    """Chains of units side by side; an entry with two last units ends in both."""

    def __init__(self, inputs, chains, pool, reduces=False):
        super().__init__()
        self.chains, self.pool, self.outputs = [], pool, 0
        for chain in chains:
            names, width = [], inputs
            for i, (name, outputs, kernel, *fork) in enumerate(chain):
                last = reduces and i == len(chain) - 1
                setattr(self, name, Conv2d(width, outputs, kernel, 2, 0) if last else Conv2d(width, outputs, kernel))
                names.append(name)
                self.outputs += outputs if i == len(chain) - 1 or fork else 0
                width = width if fork else outputs
            self.chains.append(names)
        self.outputs += inputs if reduces else 0

    def forward(self, x):
        parts = []
        for names in self.chains:
            if names == ["branch_pool"]:
                parts.append(self.branch_pool(self.pool(x)))
                continue
            h = x
            forks = names[-2:] if names[-1].endswith("b") else names[-1:]
            for name in names[: len(names) - len(forks)]:
                h = getattr(self, name)(h)
            parts += [getattr(self, name)(h) for name in forks]
        if not hasattr(self, "branch_pool"):
            parts.append(F.max_pool2d(x, 3, 2))
        return torch.cat(parts, 1)


def block_a(inputs, pool, c):
    return Block2d(inputs, [
        [("branch1x1", c(64), 1)],
        [("branch5x5_1", c(48), 1), ("branch5x5_2", c(64), 5)],
        [("branch3x3dbl_1", c(64), 1), ("branch3x3dbl_2", c(96), 3), ("branch3x3dbl_3", c(96), 3)],
        [("branch_pool", c(pool), 1)],
    ], average)


def block_b(inputs, c):
    return Block2d(inputs, [
        [("branch3x3", c(384), 3)],
        [("branch3x3dbl_1", c(64), 1), ("branch3x3dbl_2", c(96), 3), ("branch3x3dbl_3", c(96), 3)],
    ], None, True)


def block_c(inputs, n, c):
    return Block2d(inputs, [
        [("branch1x1", c(192), 1)],
        [("branch7x7_1", c(n), 1), ("branch7x7_2", c(n), (1, 7)), ("branch7x7_3", c(192), (7, 1))],
        [
            ("branch7x7dbl_1", c(n), 1),
            ("branch7x7dbl_2", c(n), (7, 1)),
            ("branch7x7dbl_3", c(n), (1, 7)),
            ("branch7x7dbl_4", c(n), (7, 1)),
            ("branch7x7dbl_5", c(192), (1, 7)),
        ],
        [("branch_pool", c(192), 1)],
    ], average)


def block_d(inputs, c):
    return Block2d(inputs, [
        [("branch3x3_1", c(192), 1), ("branch3x3_2", c(320), 3)],
        [
            ("branch7x7x3_1", c(192), 1),
            ("branch7x7x3_2", c(192), (1, 7)),
            ("branch7x7x3_3", c(192), (7, 1)),
            ("branch7x7x3_4", c(192), 3),
        ],
    ], None, True)


def block_e(inputs, one, half, last, pool, c):
    fork = lambda name: [(f"{name}a", half, (1, 3), "fork"), (f"{name}b", half, (3, 1))]
    return Block2d(inputs, [
        [("branch1x1", one, 1)],
        [("branch3x3_1", c(384), 1), *fork("branch3x3_2")],
        [("branch3x3dbl_1", c(448), 1), ("branch3x3dbl_2", c(384), 3), *fork("branch3x3dbl_3")],
        [("branch_pool", last, 1)],
    ], pool)


class Inception(nn.Module):
    def __init__(self, width=1.0, features=2048):
        super().__init__()
        c = scaled(width)
        self.Conv2d_1a_3x3 = Conv2d(3, c(32), 3, 2, 0)
        self.Conv2d_2a_3x3 = Conv2d(c(32), c(32), 3, 1, 0)
        self.Conv2d_2b_3x3 = Conv2d(c(32), c(64), 3)
        self.Conv2d_3b_1x1 = Conv2d(c(64), c(80), 1)
        self.Conv2d_4a_3x3 = Conv2d(c(80), c(192), 3, 1, 0)
        one, half = 320 * features // 2048, 384 * features // 2048
        self.mixed, width = [], c(192)
        for name, make in [
            ("5b", lambda n: block_a(n, 32, c)),
            ("5c", lambda n: block_a(n, 64, c)),
            ("5d", lambda n: block_a(n, 64, c)),
            ("6a", lambda n: block_b(n, c)),
            ("6b", lambda n: block_c(n, 128, c)),
            ("6c", lambda n: block_c(n, 160, c)),
            ("6d", lambda n: block_c(n, 160, c)),
            ("6e", lambda n: block_c(n, 192, c)),
            ("7a", lambda n: block_d(n, c)),
            ("7b", lambda n: block_e(n, c(320), c(384), c(192), average, c)),
            ("7c", lambda n: block_e(n, one, half, features - one - 4 * half, largest, c)),
        ]:
            block = make(width)
            setattr(self, f"Mixed_{name}", block)
            self.mixed.append(f"Mixed_{name}")
            width = block.outputs

    def forward(self, x):
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name in self.mixed:
            x = getattr(self, name)(x)
        return x.mean((2, 3))


NETWORKS = {"i3d": I3d, "c3d": C3d, "inception-v3": Inception}
#: Input without the batch and the channels, and the factor on numbers in [-1, 1).
INPUTS = {"i3d": ((16, 224, 224), 1), "c3d": ((16, 112, 112), 100), "inception-v3": ((299, 299), 1)}


def build(kind, hashed=True, **options):
    model = NETWORKS[kind](**options).eval()
    if hashed:
        state = model.state_dict()
        for name in [n for n in state if not n.endswith("num_batches_tracked")]:
            state[name] = torch.from_numpy(metric_weight(name, tuple(state[name].shape)))
        model.load_state_dict(state)
    return model.requires_grad_(False)


def inputs(kind, batch, frames=None):
    """Channels last, as the TypeScript side makes them."""
    size, factor = INPUTS[kind]
    size = (frames, *size[1:]) if frames else size
    x = values(f"{kind} input", (batch, *size, 3)) * np.float32(factor)
    return torch.from_numpy(x).movedim(-1, 1).contiguous()


CASES = [
    ("i3d", "full", 1, None, {}),
    ("i3d", "tiny", 2, 18, {"width": 0.11, "classes": 7}),
    ("c3d", "full", 1, None, {}),
    ("c3d", "tiny", 2, None, {"width": 0.05, "classes": 5}),
    ("c3d", "padded", 1, None, {"width": 0.05, "classes": 5, "pool5": "padded"}),
    ("inception-v3", "full", 1, None, {}),
    ("inception-v3", "tiny", 2, None, {"width": 0.07, "features": 64}),
]


def main():
    lines = []
    for kind, name, batch, frames, options in CASES:
        model = build(kind, **options)
        shapes = {k: list(v.shape) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
        with torch.inference_mode():
            out = model.double()(inputs(kind, batch, frames).double())
        case = {"kind": kind, "name": name, "batch": batch, "frames": frames, "options": options}
        case["parameters"] = len(shapes), sum(math.prod(shape) for shape in shapes.values())
        case["output"] = [[float(f"{v:.8g}") for v in row] for row in out.tolist()]
        lines.append(json.dumps(case))
        print(kind, name, tuple(out.shape), "deviation", float(out.std()), "mean", float(out.mean()))
    (HERE / "reference.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
