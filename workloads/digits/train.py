#!/usr/bin/env python3
"""Trains a small CNN on scikit-learn's bundled digits and writes it as ONNX.

    pip install -r requirements.txt && python train.py [--out FOLDER]

Writes digits.onnx, heldout-images.npy and heldout-labels.npy. Plain numpy, one
thread, fixed seeds: a second run on the same machine gives the same bytes.
The held-out images play no part in training: the recipe was chosen by
cross-validation inside the training images.
"""
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

SPLIT_SEED, SEED = 20, 7
HELD_OUT = 360
EPOCHS, BATCH, RATE, DECAY, DROPOUT = 80, 32, 1.5e-3, 1e-4, 0.3


# ---- data --------------------------------------------------------------------


def load_split():
    """Images as float32 [N,1,8,8] from 0 to 1 (in steps of 1/16, so exact), labels as uint8."""
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    labels = digits.target.astype(np.uint8)
    order = np.random.RandomState(SPLIT_SEED).permutation(len(labels))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]
    return images[train], labels[train], images[held_out], labels[held_out]


def distorted(images, rng):
    """Each image turned, sheared, scaled, moved and dimmed or brightened a little, bilinearly."""
    n = len(images)
    turn, shear = rng.uniform(-0.2, 0.2, (2, n, 1, 1))
    wide, high = rng.uniform(0.9, 1.1, (2, n, 1, 1))
    right, down = rng.uniform(-0.7, 0.7, (2, n, 1, 1)) + 3.5
    v, u = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5, indexing="ij")
    x = np.clip(np.cos(turn) * wide * u + (shear - np.sin(turn)) * v + right, -1, 8)
    y = np.clip(np.sin(turn) * u + np.cos(turn) * high * v + down, -1, 8)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - left, y - top
    padded = np.pad(images[:, 0], ((0, 0), (1, 2), (1, 2)))

    def at(row, column):
        return padded[np.arange(n)[:, None, None], row + 1, column + 1]

    upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx
    lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx
    out = upper * (1 - fy) + lower * fy
    return (out[:, None] * rng.uniform(0.9, 1.1, (n, 1, 1, 1))).astype(np.float32)


# ---- layers: forward returns what backward needs ------------------------------


def conv(x, w, b):
    """3 x 3, padded by one, stride one."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * 9)
    y = columns @ w.reshape(len(w), -1).T + b
    return y.reshape(len(x), *x.shape[2:], len(w)).transpose(0, 3, 1, 2), columns


def conv_back(dy, x_shape, w, columns):
    flat = dy.transpose(0, 2, 3, 1).reshape(-1, len(w))
    dw, db = (flat.T @ columns).reshape(w.shape), flat.sum(0)
    parts = (flat @ w.reshape(len(w), -1)).reshape(x_shape[0], *x_shape[2:], x_shape[1], 3, 3)
    dx = np.zeros((x_shape[0], x_shape[1], x_shape[2] + 2, x_shape[3] + 2), np.float32)
    for i in range(3):
        for j in range(3):
            dx[:, :, i : i + x_shape[2], j : j + x_shape[3]] += parts[..., i, j].transpose(0, 3, 1, 2)
    return dx[:, :, 1:-1, 1:-1], dw, db


def pool(x):
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    return tiles.max(-1), tiles.argmax(-1)


def pool_back(dy, chosen):
    n, c, h, w = dy.shape
    tiles = np.zeros((n, c, h, w, 4), np.float32)
    np.put_along_axis(tiles, chosen[..., None], dy[..., None], -1)
    return tiles.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


# ---- network -----------------------------------------------------------------


def start(rng):
    def normal(*shape, inputs):
        return (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)

    shapes = {
        "conv1": normal(16, 1, 3, 3, inputs=9),
        "conv2": normal(32, 16, 3, 3, inputs=144),
        "dense1": normal(512, 64, inputs=512),
        "dense2": normal(64, 10, inputs=64),
    }
    weights = {}
    for name, w in shapes.items():
        weights[name + ".weight"] = w
        weights[name + ".bias"] = np.zeros(w.shape[0] if w.ndim == 4 else w.shape[1], np.float32)
    return weights


def dropout(shape, rng):
    """Which inputs of a dense layer count, and by how much: all alike, once trained."""
    return np.float32(1) if rng is None else ((rng.uniform(size=shape) > DROPOUT) / (1 - DROPOUT)).astype(np.float32)


def forward(p, x, rng=None):
    a1, columns1 = conv(x, p["conv1.weight"], p["conv1.bias"])
    r1 = np.maximum(a1, 0)
    a2, columns2 = conv(r1, p["conv2.weight"], p["conv2.bias"])
    m, chosen = pool(np.maximum(a2, 0))
    keep1, keep2 = dropout((len(x), 512), rng), dropout((len(x), 64), rng)
    flat = m.reshape(len(x), -1) * keep1
    a3 = flat @ p["dense1.weight"] + p["dense1.bias"]
    r3 = np.maximum(a3, 0) * keep2
    return r3 @ p["dense2.weight"] + p["dense2.bias"], (columns1, a1, r1, columns2, a2, chosen, keep1, flat, a3, keep2, r3)


def gradients(p, x, labels, rng):
    logits, (columns1, a1, r1, columns2, a2, chosen, keep1, flat, a3, keep2, r3) = forward(p, x, rng)
    e = np.exp(logits - logits.max(1, keepdims=True))
    d = e / e.sum(1, keepdims=True)
    d[np.arange(len(labels)), labels] -= 1
    d /= len(labels)
    g = {"dense2.weight": r3.T @ d, "dense2.bias": d.sum(0)}
    d = (d @ p["dense2.weight"].T) * keep2 * (a3 > 0)
    g["dense1.weight"], g["dense1.bias"] = flat.T @ d, d.sum(0)
    d = (d @ p["dense1.weight"].T) * keep1
    d = pool_back(d.reshape(len(x), 32, 4, 4), chosen) * (a2 > 0)
    d, g["conv2.weight"], g["conv2.bias"] = conv_back(d, r1.shape, p["conv2.weight"], columns2)
    _, g["conv1.weight"], g["conv1.bias"] = conv_back(d * (a1 > 0), x.shape, p["conv1.weight"], columns1)
    return g


def train(images, labels):
    """Adam with decoupled weight decay and a cosine schedule."""
    rng = np.random.RandomState(SEED)
    p = start(rng)
    first = {k: np.zeros_like(v) for k, v in p.items()}
    second = {k: np.zeros_like(v) for k, v in p.items()}
    batches = len(labels) // BATCH
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(labels))
        for b in range(batches):
            pick = order[b * BATCH : (b + 1) * BATCH]
            g = gradients(p, distorted(images[pick], rng), labels[pick], rng)
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / (EPOCHS * batches)))
            step += 1
            for k in p:
                first[k] = 0.9 * first[k] + 0.1 * g[k]
                second[k] = 0.999 * second[k] + 0.001 * g[k] ** 2
                move = (first[k] / (1 - 0.9**step)) / (np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8)
                p[k] = (p[k] - rate * move - (rate * DECAY * p[k] if p[k].ndim > 1 else 0)).astype(np.float32)
    return p


# ---- ONNX --------------------------------------------------------------------


def export(p):
    node = helper.make_node
    conv_shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}
    nodes = [
        node("Conv", ["image", "conv1.weight", "conv1.bias"], ["a1"], name="conv1", **conv_shape),
        node("Relu", ["a1"], ["r1"], name="relu1"),
        node("Conv", ["r1", "conv2.weight", "conv2.bias"], ["a2"], name="conv2", **conv_shape),
        node("Relu", ["a2"], ["r2"], name="relu2"),
        node("MaxPool", ["r2"], ["m"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["m"], ["flat"], name="flatten", axis=1),
        node("Gemm", ["flat", "dense1.weight", "dense1.bias"], ["a3"], name="dense1"),
        node("Relu", ["a3"], ["r3"], name="relu3"),
        node("Gemm", ["r3", "dense2.weight", "dense2.bias"], ["logits"], name="dense2"),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in p.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.producer_name = "driveway workloads"
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def write_npy(path, array):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    out = parser.parse_args().out
    train_images, train_labels, images, labels = load_split()
    p = train(train_images, train_labels)
    model = export(p)
    (out / "digits.onnx").write_bytes(model)
    write_npy(out / "heldout-images.npy", images)
    write_npy(out / "heldout-labels.npy", labels)
    for name, x, y in (("train", train_images, train_labels), ("held-out", images, labels)):
        right = int((forward(p, x)[0].argmax(1) == y).sum())
        print(f"{name}: {right} of {len(y)} right, {right / len(y):.4f}")
    print(f"digits.onnx: {len(model)} bytes, {sum(v.size for v in p.values())} weights")


if __name__ == "__main__":
    main()
