"""model_<n>.pb: the real graph's names, and the numbers of a forward pass written down independently."""

from __future__ import annotations

import numpy as np
import pytest

from drctl.errors import FormatError
from drctl.formats import frozen_graph
from drctl.formats.network_layout import DEEP, MIDDLE, NETWORK_NAMES, SHALLOW, input_node, network_layout
from drctl.formats.policy_graph import inspect_policy

PREFIX = "main_level/agent/main/online/"
FRONT = "FRONT_FACING_CAMERA"

# Contract 6.3 once more, by hand: (filters, kernel, stride), dense behind them, middleware.
TABLE = {
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": ([(32, 8, 4), (64, 4, 2), (64, 3, 1)], [], [512]),
    "DEEP_CONVOLUTIONAL_NETWORK": ([(32, 5, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1)], [64], [512]),
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": ([(32, 8, 4), (32, 4, 2), (64, 4, 2), (64, 3, 1)], [512, 512], [256, 128]),
}
FLAT = {SHALLOW: 11 * 16 * 64, MIDDLE: 25 * 35 * 64, DEEP: 3 * 6 * 64}


def encode_policy(network, num_actions, sensor, weights):
    return frozen_graph.encode_policy(network_layout(network, {sensor: (120, 160, 1)}), num_actions, weights)


def random_weights(network, outputs, seed=7):
    """Weights of torch's shapes, scaled so that every layer passes numbers of order one."""
    random = np.random.default_rng(seed)
    weights = {}

    def layer(name, *shape):
        fan_in = np.prod(shape[1:])
        weights[f"{name}.weight"] = (random.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)
        weights[f"{name}.bias"] = (random.standard_normal(shape[0]) * 0.1).astype(np.float32)

    convolutions, dense, middleware = TABLE[network]
    channels = 1
    for index, (filters, kernel, _) in enumerate(convolutions):
        layer(f"embedder.conv.{index}", filters, channels, kernel, kernel)
        channels = filters
    size = FLAT[network]
    for name, sizes in (("embedder.dense", dense), ("middleware", middleware)):
        for index, units in enumerate(sizes):
            layer(f"{name}.{index}", units, size)
            size = units
    layer("policy", outputs, size)
    return weights


def convolve(planes, kernel, bias, stride):
    """Slide the kernel over the planes, one offset at a time; planes (c, h, w), kernel (out, c, k, k)."""
    out, _, size, _ = kernel.shape
    height = (planes.shape[1] - size) // stride + 1
    width = (planes.shape[2] - size) // stride + 1
    result = np.repeat(bias.astype(np.float64), height * width).reshape(out, height, width)
    for row in range(size):
        for column in range(size):
            seen = planes[:, row : row + stride * height : stride, column : column + stride * width : stride]
            result += np.tensordot(kernel[:, :, row, column].astype(np.float64), seen, axes=1)
    return result


def forward(network, weights, frame):
    """The policy's last layer for one frame (120, 160), in float64, flattened channels first as torch does."""
    planes = frame[None].astype(np.float64) / 255.0
    convolutions, dense, middleware = TABLE[network]
    for index, (_, _, stride) in enumerate(convolutions):
        kernel, bias = weights[f"embedder.conv.{index}.weight"], weights[f"embedder.conv.{index}.bias"]
        planes = np.maximum(convolve(planes, kernel, bias, stride), 0.0)
    vector = planes.reshape(-1)
    assert vector.size == FLAT[network]
    names = [f"embedder.dense.{index}" for index in range(len(dense))]
    names += [f"middleware.{index}" for index in range(len(middleware))]
    for name in names:
        vector = np.maximum(weights[f"{name}.weight"].astype(np.float64) @ vector + weights[f"{name}.bias"], 0.0)
    return weights["policy.weight"].astype(np.float64) @ vector + weights["policy.bias"]


def run_openvino(data, folder, frames):
    openvino = pytest.importorskip("openvino")
    path = folder / "model_0.pb"
    path.write_bytes(data)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(frames)[0]


@pytest.fixture
def frames():
    random = np.random.default_rng(3)
    return random.integers(0, 256, (2, 120, 160, 1)).astype(np.float32)


@pytest.mark.parametrize("network", list(TABLE))
def test_openvino_computes_the_probabilities(network, frames, tmp_path):
    weights = random_weights(network, 5)
    found = run_openvino(encode_policy(network, 5, FRONT, weights), tmp_path, frames)
    assert found.shape == (2, 5)
    for index, frame in enumerate(frames[..., 0]):
        logits = forward(network, weights, frame)
        exponentials = np.exp(logits - logits.max())
        expected = exponentials / exponentials.sum()
        assert expected.max() < 0.99  # a test on a one-hot answer would see little
        np.testing.assert_allclose(found[index], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", list(TABLE))
def test_openvino_computes_the_mean(network, frames, tmp_path):
    weights = random_weights(network, 2)
    weights["policy.bias"] = np.array([1.5, -2.5], np.float32)
    found = run_openvino(encode_policy(network, None, FRONT, weights), tmp_path, frames)
    expected = np.stack([forward(network, weights, frame) for frame in frames[..., 0]])
    assert np.abs(expected).max() > 1.0  # not squashed
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def encode_sac_policy(network, weights):
    layout = network_layout(network, {FRONT: (120, 160, 1)})
    return frozen_graph.encode_sac_policy(layout, weights)


def random_sac_weights(network):
    weights = random_weights(network, 256)
    weights |= {f"policy.hidden.{part}": weights[f"policy.{part}"] for part in ("weight", "bias")}
    random = np.random.default_rng(1)
    weights["policy.mean.weight"] = (random.standard_normal((2, 256)) / 8).astype(np.float32)
    weights["policy.mean.bias"] = np.array([0.5, -0.5], np.float32)
    return weights


@pytest.mark.parametrize("network", list(TABLE))
def test_openvino_computes_the_squashed_mean_of_sac(network, frames, tmp_path):
    weights = random_sac_weights(network)
    found = run_openvino(encode_sac_policy(network, weights), tmp_path, frames)
    for index, frame in enumerate(frames[..., 0]):
        hidden = np.maximum(forward(network, weights, frame), 0.0)
        squashed = np.tanh(weights["policy.mean.weight"].astype(np.float64) @ hidden + weights["policy.mean.bias"])
        assert np.abs(squashed).max() > 0.1
        np.testing.assert_allclose(found[index], squashed, atol=1e-5, rtol=0)  # -1 and 1 are the bounds


def test_sac_has_names_of_its_own():
    graph = inspect_policy(encode_sac_policy(SHALLOW, random_sac_weights(SHALLOW)), "model_1.pb")
    assert (graph.inputs, graph.num_actions, graph.is_sac) == ({FRONT: (120, 160, 1)}, None, True)
    assert graph.output == "units"
    scope = "main_level/agent/policy/online/network_0/"
    assert all(name.startswith(scope) for name in graph.nodes)
    nodes = {name.removeprefix(scope): node for name, node in graph.nodes.items()}
    assert len(nodes) == len(graph.nodes)
    assert nodes[f"{FRONT}/{FRONT}"].shape == (-1, 120, 160, 1)
    assert nodes[f"{FRONT}/Conv2d_0/kernel"].shape == (8, 8, 1, 32)
    assert nodes["middleware_fc_embedder/Dense_0/kernel"].shape == (11264, 512)
    assert nodes["sac_policy_head_0/dense/kernel"].shape == (512, 256)
    assert nodes["sac_policy_head_0/policy_mean/kernel"].shape == (256, 2)
    assert nodes["sac_policy_head_0/policy"].operation == "Identity"


def test_names_operations_and_shapes_of_the_real_graph():
    graph = inspect_policy(encode_policy(SHALLOW, 12, FRONT, random_weights(SHALLOW, 12)), "model_48.pb")
    assert (graph.inputs, graph.num_actions) == ({FRONT: (120, 160, 1)}, 12)
    nodes = {name.removeprefix(PREFIX): node for name, node in graph.nodes.items()}
    assert len(nodes) == len(graph.nodes)
    camera = f"network_1/{FRONT}"
    expected = {
        f"network_0/{FRONT}/{FRONT}": ("Placeholder", (-1, 120, 160, 1)),
        f"{camera}/truediv": ("RealDiv", None),
        f"{camera}/sub": ("Sub", None),
        f"{camera}/Conv2d_0/kernel": ("Const", (8, 8, 1, 32)),
        f"{camera}/Conv2d_0/kernel/read": ("Identity", None),
        f"{camera}/Conv2d_0/bias": ("Const", (32,)),
        f"{camera}/Conv2d_0/bias/read": ("Identity", None),
        f"{camera}/Conv2d_0/Conv2D": ("Conv2D", None),
        f"{camera}/Conv2d_0/BiasAdd": ("BiasAdd", None),
        f"{camera}/BatchnormActivationDropout_1_activation": ("Relu", None),
        f"{camera}/Conv2d_2/kernel": ("Const", (4, 4, 32, 64)),
        f"{camera}/BatchnormActivationDropout_3_activation": ("Relu", None),
        f"{camera}/Conv2d_4/kernel": ("Const", (3, 3, 64, 64)),
        f"{camera}/BatchnormActivationDropout_5_activation": ("Relu", None),
        f"{camera}/Flatten/flatten/Shape": ("Shape", None),
        f"{camera}/Flatten/flatten/strided_slice": ("StridedSlice", None),
        f"{camera}/Flatten/flatten/Reshape/shape": ("Pack", None),
        f"{camera}/Flatten/flatten/Reshape": ("Reshape", None),
        "network_1/middleware_fc_embedder/Dense_0/kernel": ("Const", (11264, 512)),
        "network_1/middleware_fc_embedder/Dense_0/bias": ("Const", (512,)),
        "network_1/middleware_fc_embedder/Dense_0/MatMul": ("MatMul", None),
        "network_1/middleware_fc_embedder/Dense_0/BiasAdd": ("BiasAdd", None),
        "network_1/middleware_fc_embedder/BatchnormActivationDropout_1_activation": ("Relu", None),
        "network_1/gradients_from_head_0-0_rescalers": ("Const", ()),
        "network_1/sub": ("Sub", None),
        "network_1/StopGradient/input": ("Pack", None),
        "network_1/StopGradient": ("StopGradient", None),
        "network_1/mul": ("Mul", None),
        "network_1/mul_1": ("Mul", None),
        "network_1/add": ("AddV2", None),
        "network_1/ppo_head_0/strided_slice": ("StridedSlice", None),
        "network_1/ppo_head_0/policy_fc/kernel": ("Const", (512, 12)),
        "network_1/ppo_head_0/policy_fc/bias": ("Const", (12,)),
        "network_1/ppo_head_0/policy_fc/MatMul": ("MatMul", None),
        "network_1/ppo_head_0/policy_fc/BiasAdd": ("BiasAdd", None),
        "network_1/ppo_head_0/policy": ("Softmax", None),
    }
    assert {name: (nodes[name].operation, nodes[name].shape) for name in expected} == expected


def test_the_size_is_that_of_the_real_file():
    # A real model_48.pb, 12 actions, has 23,396,803 bytes; node names make up nearly all that is not a weight.
    size = len(encode_policy(SHALLOW, 12, FRONT, random_weights(SHALLOW, 12)))
    assert abs(size - 23_396_803) < 4000


def test_a_continuous_policy_has_its_mean_layer_and_the_same_output_name():
    graph = inspect_policy(encode_policy(DEEP, None, "LEFT_CAMERA", random_weights(DEEP, 2)), "f.pb")
    assert (graph.inputs, graph.num_actions) == ({"LEFT_CAMERA": (120, 160, 1)}, None)
    assert graph.nodes[f"{PREFIX}network_1/ppo_head_0/policy"].inputs == (
        f"{PREFIX}network_1/ppo_head_0/policy_mean/BiasAdd",
    )
    assert graph.nodes[input_node("LEFT_CAMERA")].shape == (-1, 120, 160, 1)
    assert graph.nodes[f"{PREFIX}network_1/LEFT_CAMERA/Dense_10/kernel"].shape == (512, 512)


def test_the_layout_table():
    layouts = {name: network_layout(name, {FRONT: (120, 160, 1)}) for name in NETWORK_NAMES}
    found = {
        name: (
            [(layer.filters, layer.kernel, layer.stride) for layer in layout.camera.convolutions],
            list(layout.camera.dense),
            list(layout.middleware_dense),
        )
        for name, layout in layouts.items()
    }
    assert found == TABLE
    assert {name: int(np.prod(layout.camera.feature_map())) for name, layout in layouts.items()} == FLAT


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"embedder\.conv\.0\.weight has the shape \(32, 1, 8, 8\), not"):
        encode_policy(MIDDLE, 5, FRONT, random_weights(SHALLOW, 5))
    with pytest.raises(ValueError, match=r"policy\.weight has the shape"):
        encode_policy(DEEP, 6, FRONT, random_weights(DEEP, 5))
    weights = random_weights(DEEP, 5)
    del weights["middleware.0.weight"]
    with pytest.raises(KeyError, match=r"middleware\.0\.weight"):
        encode_policy(DEEP, 5, FRONT, weights)


def test_a_truncated_graph_is_refused_wherever_it_ends():
    data = encode_policy(DEEP, 5, FRONT, random_weights(DEEP, 5))
    ends = [0, 1, 50, len(data) // 2, len(data) - 3, len(data) - 60, *range(200, len(data) - 100, len(data) // 37)]
    for end in ends:
        with pytest.raises(FormatError) as caught:
            inspect_policy(data[:end], "model_3.pb")
        assert caught.value.problems[0].where == "model_3.pb"


@pytest.mark.parametrize("data", [b"hello, this is text", b'{"a": 1}', bytes(100), b"\xff" * 64, b"PK\x03\x04" * 9])
def test_another_file_is_refused(data):
    with pytest.raises(FormatError) as caught:
        inspect_policy(data, "agent.pb")
    assert caught.value.problems[0].expected == "a model_<n>.pb of a PPO or SAC policy with one camera"
