"""Weights out of a frozen graph: the very ones that went in, and graphs that are no policy of a known network."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.policy_case import PolicyCase

from drctl.errors import FormatError
from drctl.formats.network_layout import DEEP, MIDDLE, SHALLOW
from drctl.formats.policy_graph import inspect_policy
from drctl.formats.policy_weights import decode_policy
from drctl.formats.protobuf_wire import WireError, bytes_field, float_field, integer_field
from drctl.formats.tensor import read_tensor


@pytest.mark.parametrize(
    ("camera", "lidar", "network", "kind", "options", "left_out"),
    [
        ("FRONT_FACING_CAMERA", None, SHALLOW, "discrete", {}, {"value"}),
        ("STEREO_CAMERAS", "LIDAR", SHALLOW, "continuous", {"stack": 2}, {"value", "log_std"}),
        ("LEFT_CAMERA", "SECTOR_LIDAR", MIDDLE, "discrete", {"heads": "separate"}, {"value"}),
        ("observation", "DISCRETIZED_SECTOR_LIDAR", DEEP, "sac", {}, {"value", "policy.log_std", "q"}),
    ],
)
def test_the_weights_that_went_in(camera, lidar, network, kind, options, left_out):
    case = PolicyCase(camera, lidar, network, kind, **options)
    found = decode_policy(inspect_policy(case.graph(), "model_3.pb"), case.layout, "model_3.pb")
    for name, weight in case.weights.items():
        if name in found:
            np.testing.assert_array_equal(found[name], weight)
        else:
            assert name.startswith(tuple(left_out))
    assert found.keys() <= case.weights.keys()
    assert not [name for name in found if name.startswith(tuple(left_out))]


def refusal(graph, layout):
    with pytest.raises(FormatError) as caught:
        decode_policy(inspect_policy(graph, "model_3.pb"), layout, "model_3.pb")
    (problem,) = caught.value.problems
    return problem


def test_the_network_that_it_is():
    case = PolicyCase("LEFT_CAMERA", "LIDAR", DEEP)
    problem = refusal(case.graph(), PolicyCase("LEFT_CAMERA", "LIDAR", MIDDLE).layout)
    assert problem.what == f"model_3.pb has the layers of {DEEP}, model_metadata.json says another network"
    assert problem.fix == f'set "neural_network": "{DEEP}" in model_metadata.json'


def replace_once(data, old, new):
    assert data.count(old) >= 1
    assert len(old) == len(new)
    return data.replace(old, new)


def test_a_network_that_is_none_of_the_three():
    case = PolicyCase("LEFT_CAMERA", None)
    # The dense layers become something else.
    graph = replace_once(case.graph(), bytes_field(2, "MatMul"), bytes_field(2, "MatMux"))
    problem = refusal(graph, case.layout)
    assert problem.what == ("model_3.pb has the layers of no network that drctl knows: 8x8x1x32, 4x4x32x64, 3x3x64x64")
    assert problem.expected == "as model_metadata.json says: 8x8x1x32, 4x4x32x64, 3x3x64x64, 11264x512, 512x3"


def node(name, operation, *inputs):
    fields = bytes_field(1, name) + bytes_field(2, operation) + b"".join(bytes_field(3, source) for source in inputs)
    return bytes_field(1, fields)


def test_a_circle_of_nodes_ends():
    case = PolicyCase("LEFT_CAMERA", None, SHALLOW, "continuous")
    output = "main_level/agent/main/online/network_1/ppo_head_0/policy"
    graph = case.graph() + node(output, "Identity", output)  # the later node of a name counts
    assert refusal(graph, case.layout).what == "model_3.pb has the layers of no network that drctl knows: none"


def shape(*sizes):
    return bytes_field(2, b"".join(bytes_field(2, integer_field(1, size)) for size in sizes))


FLOAT = integer_field(1, 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (FLOAT + shape(2, 2) + bytes_field(4, np.arange(4, dtype="<f4").tobytes()), [[0, 1], [2, 3]]),
        (FLOAT + shape(3) + float_field(5, 1.5) + float_field(5, 2.5), [1.5, 2.5, 2.5]),
        (FLOAT + shape(3) + bytes_field(5, np.array([7, 8], "<f4").tobytes()), [7, 8, 8]),
        (FLOAT + shape(2), [0, 0]),
        (FLOAT + float_field(5, 4.0), 4.0),
    ],
)
def test_tensors(data, expected):
    found = read_tensor(memoryview(data))
    assert found.dtype == np.float32
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (integer_field(1, 2) + shape(1), "it is of type 2, not a 32-bit float"),
        (FLOAT + shape(2) + bytes_field(4, bytes(4)), r"it has 4 bytes for the shape \(2,\)"),
        (FLOAT + shape(1) + bytes_field(4, bytes(3)), r"it has 3 bytes for the shape \(1,\)"),
        (FLOAT + shape(-1), r"its shape is \(-1,\)"),
        (FLOAT + shape(1 << 40), "its shape is"),
    ],
)
def test_tensors_that_are_none(data, said):
    with pytest.raises(WireError, match=said):
        read_tensor(memoryview(data))


def test_a_constant_without_its_numbers():
    graph = PolicyCase("LEFT_CAMERA", None).graph()
    constant = bytes_field(1, "x") + bytes_field(2, "Const")
    value = bytes_field(8, FLOAT + shape(1 << 20, 1 << 10) + float_field(5, 1.0))
    constant += bytes_field(5, bytes_field(1, "value") + bytes_field(2, value))
    with pytest.raises(FormatError, match=r"has a constant x of the shape \(1048576, 1024\) and not its numbers"):
        inspect_policy(bytes_field(1, constant) + graph, "model_3.pb")
