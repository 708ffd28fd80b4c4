"""Frozen graphs as the original system makes them, written by TensorFlow, which runs them, too: a program of its own.

Usage: original_graphs.py FOLDER. Reads ``<name>.pb`` with ``<name>.npz`` (inputs by node, and ``output``, the node that
is asked for) and leaves the answers of TensorFlow and of LiteRT as ``<name>.tensorflow.npy`` and ``<name>.lite.npy``.
Makes ``original-<n>.pb`` of what ``originals.json`` lists, with random weights and random inputs beside.

Names and layers follow contract 1.5, 1.6 and 6.3 and what is public of the original's heads; nothing of it is shared
with drctl. Whether a model of the original system has exactly these nodes was read of one file (PPO, one camera).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

v1 = tf.compat.v1
v1.disable_eager_execution()

SHALLOW = [(32, 8, 4), (64, 4, 2), (64, 3, 1)]
STEREO = [(32, 3, 1), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1)]
CONVOLUTIONS = {
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": (SHALLOW, []),
    "DEEP_CONVOLUTIONAL_NETWORK": ([(32, 5, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1)], [64]),
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": ([(32, 8, 4), (32, 4, 2), (64, 4, 2), (64, 3, 1)], [512, 512]),
}
MIDDLEWARE = {"DEEP_CONVOLUTIONAL_NETWORK_DEEP": [256, 128]}


def variable(name, shape, random):
    fan_in = np.prod(shape[:-1])
    scale = np.sqrt(2.0 / fan_in) if len(shape) > 1 else 0.1
    scale /= 4 if "policy_fc" in v1.get_variable_scope().name else 1  # probabilities that are neither 0 nor 1
    value = (random.standard_normal(shape) * scale).astype(np.float32)
    return v1.get_variable(name, initializer=value, use_resource=False)


def dense(name, x, units, random):
    with v1.variable_scope(name):
        kernel = variable("kernel", (int(x.shape[-1]), units), random)
        bias = variable("bias", (units,), random)
        return tf.nn.bias_add(tf.matmul(x, kernel, name="MatMul"), bias, name="BiasAdd")


def convolve(name, x, filters, size, stride, random):
    with v1.variable_scope(name):
        kernel = variable("kernel", (size, size, int(x.shape[-1]), filters), random)
        bias = variable("bias", (filters,), random)
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "VALID", name="Conv2D"), bias, name="BiasAdd")


def flatten(x):
    with v1.name_scope("Flatten/flatten/"):
        return tf.reshape(x, tf.stack([tf.shape(x)[0], int(np.prod(x.shape[1:]))]))


def embed(sensor, network, x, random):
    """One sensor's layers."""
    is_camera = len(x.shape) == 4
    convolutions, units = CONVOLUTIONS[network] if is_camera else ([], [256, 256])
    if sensor == "STEREO_CAMERAS" and network != "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW":
        convolutions, units = STEREO, []
    with v1.variable_scope(sensor), v1.name_scope(""), v1.name_scope(v1.get_variable_scope().name + "/"):
        x = tf.subtract(tf.divide(x, 255.0 if is_camera else 1.0, name="truediv"), 0.0, name="sub")
        number = 0
        for filters, size, stride in convolutions:
            x = convolve(f"Conv2d_{number}", x, filters, size, stride, random)
            x = tf.nn.relu(x, name=f"BatchnormActivationDropout_{number + 1}_activation")
            number += 2
        x = flatten(x) if is_camera else x
        for count in units:
            x = dense(f"Dense_{number}", x, count, random)
            x = tf.nn.relu(x, name=f"BatchnormActivationDropout_{number + 1}_activation")
            number += 2
        return x


def features(network, inputs, random):
    """Embedders, middleware and the rescaling of a head's gradients."""
    parts = [embed(sensor, network, inputs[sensor], random) for sensor in sorted(inputs)]
    x = parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1, name="merger")
    with v1.variable_scope("middleware_fc_embedder"):
        for index, units in enumerate(MIDDLEWARE.get(network, [512])):
            x = tf.nn.relu(dense(f"Dense_{2 * index}", x, units, random))
    rescaler = v1.get_variable("gradients_from_head_0-0_rescalers", initializer=1.0, use_resource=False)
    return ((1 - rescaler) * tf.stop_gradient([x]) + rescaler * [x])[0]


def build(case):
    """Build one policy and return its inputs by name, and the node that is asked for."""
    random = np.random.default_rng(case["seed"])
    scope, number = ("policy", 0) if case["kind"] == "sac" else ("main", 1)
    online = f"main_level/agent/{scope}/online"
    inputs = {
        sensor: v1.placeholder(tf.float32, (None, *shape), name=f"{online}/network_0/{sensor}/{sensor}")
        for sensor, shape in case["inputs"].items()
    }
    with v1.variable_scope(f"{online}/network_{number}") as network, v1.name_scope(network.original_name_scope):
        x = features(case["network"], inputs, random)
        head = "sac_policy_head_0" if case["kind"] == "sac" else "ppo_head_0"
        with v1.variable_scope(head) as inner, v1.name_scope(inner.original_name_scope):
            if case["kind"] == "discrete":
                policy = tf.nn.softmax(dense("policy_fc", x, case["actions"], random), name="policy")
            else:
                x = tf.nn.relu(dense("dense", x, 256, random)) if case["kind"] == "sac" else x
                policy = tf.identity(dense("policy_mean", x, 2, random), name="policy")
    return inputs, policy.op.name


def make_original(folder, number, case):
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        inputs, output = build(case)
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [output])
    path = folder / f"original-{number}.pb"
    path.write_bytes(frozen.SerializeToString())
    random = np.random.default_rng(1)
    values = {}
    for sensor, node in inputs.items():
        high = 256 if len(node.shape) == 4 else 2
        values[node.op.name] = random.integers(0, high, (3, *case["inputs"][sensor])).astype(np.float32)
    np.savez(path.with_suffix(".npz"), output=output, **values)


def run(path):
    values = dict(np.load(path.with_suffix(".npz")))
    output = str(values.pop("output"))
    definition = v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(definition, name="")
        answers = session.run(f"{output}:0", {f"{name}:0": value for name, value in values.items()})
    np.save(path.with_suffix(".tensorflow.npy"), answers)

    shapes = {name: [1, *value.shape[1:]] for name, value in values.items()}
    converter = v1.lite.TFLiteConverter.from_frozen_graph(str(path), list(shapes), [output], shapes)
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    rows = []
    for row in range(len(answers)):
        for detail in interpreter.get_input_details():
            value = values[detail["name"].partition(":")[0].removeprefix("serving_default_")]
            interpreter.set_tensor(detail["index"], value[row : row + 1])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    np.save(path.with_suffix(".lite.npy"), np.array(rows))


def main():
    folder = Path(sys.argv[1])
    for number, case in enumerate(json.loads((folder / "originals.json").read_text())):
        make_original(folder, number, case)
    for path in sorted(folder.glob("*.pb")):
        run(path)


if __name__ == "__main__":
    main()
