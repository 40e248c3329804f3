"""Makes the tiny models beside it: `pip install onnx==1.23.2 numpy && python make.py`.

They are made for the tests of the sandbox: two honest ones, and some that must be refused or
stopped. Weights are small integers, so that results can be computed by hand.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

HERE = Path(__file__).parent
FLOAT = TensorProto.FLOAT


def save(name, nodes, takes, gives, weights=(), check=True):
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", FLOAT, takes)],
        [helper.make_tensor_value_info("y", FLOAT, gives)],
        list(weights),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    model.producer_name = ""
    if check:
        checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def weight(name, values):
    return numpy_helper.from_array(np.array(values, dtype=np.float32), name)


# y = relu(x W + b): 4 numbers in, 3 out.
LINEAR = [
    helper.make_node("MatMul", ["x", "w"], ["m"]),
    helper.make_node("Add", ["m", "b"], ["a"]),
    helper.make_node("Relu", ["a"], ["y"]),
]
WEIGHTS = [
    weight("w", [[1, 0, -1], [0, 1, 0], [2, 0, 0], [0, 0, 1]]),
    weight("b", [0, 10, 0]),
]
save("linear_free", LINEAR, ["N", 4], ["N", 3], WEIGHTS)
save("linear_one", LINEAR, [1, 4], [1, 3], WEIGHTS)

# An operator that exists nowhere.
save("teleport", [helper.make_node("Teleport", ["x"], ["y"])], ["N", 4], ["N", 4], check=False)

# Expands each input to 40 GB.
shape = numpy_helper.from_array(np.array([10_000_000_000, 1], dtype=np.int64), "shape")
save("expand", [helper.make_node("Expand", ["x", "shape"], ["y"])], ["N", 1], ["M", 1], [shape])

# Multiplies two matrices of 6000 x 6000 that depend on the input: minutes of one core.
big = numpy_helper.from_array(np.array([6_000, 6_000], dtype=np.int64), "big")
axes = numpy_helper.from_array(np.array([0, 1], dtype=np.int64), "axes")
HEAVY = [
    helper.make_node("Expand", ["x", "big"], ["e"]),
    helper.make_node("MatMul", ["e", "e"], ["f"]),
    helper.make_node("MatMul", ["f", "f"], ["g"]),
    helper.make_node("ReduceSum", ["g", "axes"], ["y"], keepdims=1),
]
save("heavy", HEAVY, [1, 1], [1, 1], [big, axes])

# Its weights are in a file beside it.
away = weight("w", [[1, 0, -1], [0, 1, 0], [2, 0, 0], [0, 0, 1]])
away.ClearField("raw_data")
away.data_location = TensorProto.EXTERNAL
for key, value in {"location": "/etc/passwd", "offset": "0", "length": "48"}.items():
    entry = away.external_data.add()
    entry.key, entry.value = key, value
save("away", LINEAR, ["N", 4], ["N", 3], [away, WEIGHTS[1]], check=False)

# Two inputs.
two = helper.make_graph(
    [helper.make_node("Add", ["x", "z"], ["y"])],
    "two",
    [helper.make_tensor_value_info(name, FLOAT, ["N", 4]) for name in ("x", "z")],
    [helper.make_tensor_value_info("y", FLOAT, ["N", 4])],
)
model = helper.make_model(two, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 8
(HERE / "two_inputs.onnx").write_bytes(model.SerializeToString(deterministic=True))
