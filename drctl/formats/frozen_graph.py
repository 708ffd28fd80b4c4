"""``model_<n>.pb``: the policy as the frozen TensorFlow graph that the physical car loads (contract 1.6).

Nodes, names and order follow a real DeepRacer graph, written without TensorFlow: node prefix ``network_1`` (the policy)
except for the inputs, which belong to ``network_0``. Even the nodes that only mattered in training are there (the
gradient rescaler with its ``StopGradient``), because tools on the car were made for graphs that have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.feature_order import to_channels_last
from drctl.formats.network_layout import (
    INPUT_SCOPE,
    OUTPUT_NODE,
    POLICY_SCOPE,
    SAC_OUTPUT_NODE,
    SAC_SCOPE,
    input_node,
)
from drctl.formats.protobuf_wire import bytes_field, float_field, integer_field, varint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from drctl.formats.network_layout import InputLayout, NetworkLayout

CONTINUOUS_OUTPUTS: Final = 2  # steering and speed, contract 6.2

# tensorflow/core/framework/types.proto
_FLOAT: Final = 1
_INT32: Final = 3


def encode_policy(layout: NetworkLayout, num_actions: int | None, weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Write a policy as a frozen graph.

    The output ``.../ppo_head_0/policy`` has the probabilities of the actions, shape (N, num_actions), or for a
    continuous action space the mean in [-1, 1] units before clipping, shape (N, 2): steering, speed.

    Args:
        layout: Sensors and sizes of the network.
        num_actions: Number of discrete actions; None for a continuous action space.
        weights: float32, named and shaped as torch has them: ``embedder.conv.<k>.weight`` (out, in, h, w),
            ``embedder.dense.<k>.weight`` (out, in) of features flattened channels-first, ``lidar.dense.<k>.weight``,
            ``middleware.<k>.weight``, ``policy.weight``, each with a ``bias`` (out,). Others are not looked at.

    Returns:
        A ``GraphDef``.

    Raises:
        KeyError: A weight is missing.
        ValueError: A weight has another shape than the network asks for.
    """
    outputs = CONTINUOUS_OUTPUTS if num_actions is None else num_actions
    graph = _Graph()
    features = _merge(graph, [_write_embedder(graph, part, weights) for part in layout.inputs])
    features = _write_middleware(graph, layout, features, weights)
    features = _write_gradient_rescaler(graph, features)
    _write_head(graph, features, outputs, num_actions is None, weights)
    return graph.finish()


def encode_sac_policy(layout: NetworkLayout, weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Write the policy of soft actor-critic as a frozen graph.

    The output ``.../sac_policy_head_0/policy`` has steering and speed in units of their bounds, shape (N, 2): the tanh
    of the mean. The original has the mean itself there, and the car's software cuts it off at -1 and 1 before it scales
    it to the bounds; with the tanh in the graph the car does what the simulator does.

    Args:
        layout: Sensors and sizes of the network.
        weights: As for `encode_policy`, but for the head: ``policy.hidden`` and, on it, ``policy.mean``.

    Returns:
        A ``GraphDef``.

    Raises:
        KeyError: A weight is missing.
        ValueError: A weight has another shape than the network asks for.
    """
    graph = _Graph(is_sac=True)
    features = _merge(graph, [_write_embedder(graph, part, weights) for part in layout.inputs])
    features = _write_middleware(graph, layout, features, weights)
    features = _write_gradient_rescaler(graph, features)
    _write_sac_head(graph, features, weights)
    return graph.finish()


@dataclass(frozen=True)
class _Features:
    """A node with a vector per row; `shapes` are those of its parts as a torch layer flattens them (channels first)."""

    node: str
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        return sum(prod(shape) for shape in self.shapes)


class _Graph:
    """Collects nodes; inputs must be added before the nodes that read them, as in a frozen graph.

    Args:
        is_sac: Whether the nodes belong to SAC's policy: then what is added under the names of PPO's networks and head
            stands under its names instead.
    """

    def __init__(self, *, is_sac: bool = False) -> None:
        self._nodes: list[bytes] = []
        self._is_sac = is_sac

    def add(self, operation: str, name: str, inputs: Sequence[str] = (), **attributes: bytes) -> str:
        if self._is_sac:
            for scope in (INPUT_SCOPE, POLICY_SCOPE):
                name = name.replace(f"{scope}/", f"{SAC_SCOPE}/").replace("/ppo_head_0/", "/sac_policy_head_0/")
        node = [bytes_field(1, name), bytes_field(2, operation)]
        node += [bytes_field(3, source) for source in inputs]
        node += [bytes_field(5, bytes_field(1, key) + bytes_field(2, attributes[key])) for key in sorted(attributes)]
        self._nodes.append(bytes_field(1, b"".join(node)))
        return name

    def constant(self, name: str, value: NDArray[np.float32] | NDArray[np.int32]) -> str:
        kind = _FLOAT if value.dtype == np.float32 else _INT32
        return self.add("Const", name, dtype=_kind(kind), value=_tensor(value, kind))

    def variable(self, name: str, value: NDArray[np.float32]) -> str:
        """Add a former variable: freezing leaves a constant and the Identity through which it is read."""
        return self.add("Identity", f"{name}/read", [self.constant(name, value)], T=_kind(_FLOAT))

    def elementwise(self, operation: str, name: str, *inputs: str) -> str:
        return self.add(operation, name, inputs, T=_kind(_FLOAT))

    def finish(self) -> bytes:
        return b"".join(self._nodes) + bytes_field(2, b"")  # an empty function library, no versions


def _write_embedder(graph: _Graph, layout: InputLayout, weights: Mapping[str, NDArray[np.float32]]) -> _Features:
    scope = f"{POLICY_SCOPE}/{layout.sensor}"
    frame = graph.add(
        "Placeholder", input_node(layout.sensor), dtype=_kind(_FLOAT), shape=_shape_value((-1, *layout.shape))
    )
    scale = graph.constant(f"{scope}/truediv/y", np.array(255.0 if layout.is_camera else 1.0, np.float32))
    node = graph.elementwise("RealDiv", f"{scope}/truediv", frame, scale)
    offset = graph.constant(f"{scope}/sub/y", np.array(0.0, np.float32))
    node = graph.elementwise("Sub", f"{scope}/sub", node, offset)

    channels = layout.shape[-1]
    for index, layer in enumerate(layout.convolutions):
        weight = f"{layout.scope}.conv.{index}"
        kernel = _take(weights, f"{weight}.weight", (layer.filters, channels, layer.kernel, layer.kernel))
        bias = _take(weights, f"{weight}.bias", (layer.filters,))
        name = f"{scope}/Conv2d_{2 * index}"  # every odd number is an activation
        kernel_node = graph.variable(f"{name}/kernel", kernel.transpose(2, 3, 1, 0))
        bias_node = graph.variable(f"{name}/bias", bias)
        node = graph.add(
            "Conv2D",
            f"{name}/Conv2D",
            [node, kernel_node],
            T=_kind(_FLOAT),
            data_format=bytes_field(2, "NHWC"),
            dilations=_integers(1, 1, 1, 1),
            padding=bytes_field(2, "VALID"),
            strides=_integers(1, layer.stride, layer.stride, 1),
            use_cudnn_on_gpu=integer_field(5, 1),
        )
        node = _write_bias(graph, name, node, bias_node)
        node = _write_activation(graph, scope, 2 * index + 1, node)
        channels = layer.filters

    sizes = layout.feature_map()
    flat = _write_flatten(graph, scope, node, prod(sizes)) if layout.is_camera else node
    features = _Features(flat, ((sizes[-1], *sizes[:-1]),))
    for index, units in enumerate(layout.dense):
        position = 2 * (len(layout.convolutions) + index)
        weight = f"{layout.scope}.dense.{index}"
        features = _write_dense(graph, f"{scope}/Dense_{position}", features, weight, units, weights)
        features = _Features(_write_activation(graph, scope, position + 1, features.node), features.shapes)
    if layout.is_camera:
        return features
    return _Features(_write_flatten(graph, scope, features.node, features.size), features.shapes)


def _merge(graph: _Graph, parts: Sequence[_Features]) -> _Features:
    """Lay the sensors' features side by side."""
    if len(parts) == 1:
        return parts[0]
    name = f"{POLICY_SCOPE}/merger"
    axis = graph.constant(f"{name}/axis", np.array(-1, np.int32))
    node = graph.add(
        "ConcatV2",
        name,
        [*(part.node for part in parts), axis],
        N=integer_field(3, len(parts)),
        T=_kind(_FLOAT),
        Tidx=_kind(_INT32),
    )
    return _Features(node, tuple(shape for part in parts for shape in part.shapes))


def _write_flatten(graph: _Graph, scope: str, node: str, size: int) -> str:
    name = f"{scope}/Flatten/flatten"
    shape = graph.add("Shape", f"{name}/Shape", [node], T=_kind(_FLOAT), out_type=_kind(_INT32))
    batch = _write_first(graph, f"{name}/strided_slice", shape, _INT32)
    size_node = graph.constant(f"{name}/Reshape/shape/1", np.array(size, np.int32))
    target = graph.add(
        "Pack",
        f"{name}/Reshape/shape",
        [batch, size_node],
        N=integer_field(3, 2),
        T=_kind(_INT32),
        axis=integer_field(3, 0),
    )
    return graph.add("Reshape", f"{name}/Reshape", [node, target], T=_kind(_FLOAT), Tshape=_kind(_INT32))


def _write_first(graph: _Graph, name: str, node: str, kind: int) -> str:
    """Add ``node[0]``."""
    bounds = [
        graph.constant(f"{name}/{suffix}", np.array([value], np.int32))
        for suffix, value in (("stack", 0), ("stack_1", 1), ("stack_2", 1))
    ]
    return graph.add(
        "StridedSlice",
        name,
        [node, *bounds],
        Index=_kind(_INT32),
        T=_kind(kind),
        begin_mask=integer_field(3, 0),
        ellipsis_mask=integer_field(3, 0),
        end_mask=integer_field(3, 0),
        new_axis_mask=integer_field(3, 0),
        shrink_axis_mask=integer_field(3, 1),
    )


def _write_middleware(
    graph: _Graph, layout: NetworkLayout, features: _Features, weights: Mapping[str, NDArray[np.float32]]
) -> _Features:
    scope = f"{POLICY_SCOPE}/middleware_fc_embedder"
    for index, units in enumerate(layout.middleware_dense):
        features = _write_dense(graph, f"{scope}/Dense_{2 * index}", features, f"middleware.{index}", units, weights)
        features = _Features(_write_activation(graph, scope, 2 * index + 1, features.node), features.shapes)
    return features


def _write_gradient_rescaler(graph: _Graph, features: _Features) -> _Features:
    """Add ``(1 - r) * stop_gradient([x]) + r * [x]`` with r = 1, which leaves x as it is to the last bit."""
    rescaler = graph.variable(f"{POLICY_SCOPE}/gradients_from_head_0-0_rescalers", np.array(1.0, np.float32))
    one = graph.constant(f"{POLICY_SCOPE}/sub/x", np.array(1.0, np.float32))
    rest = graph.elementwise("Sub", f"{POLICY_SCOPE}/sub", one, rescaler)
    stopped = _write_pack(graph, f"{POLICY_SCOPE}/StopGradient/input", features.node)
    stopped = graph.elementwise("StopGradient", f"{POLICY_SCOPE}/StopGradient", stopped)
    stopped = graph.elementwise("Mul", f"{POLICY_SCOPE}/mul", rest, stopped)
    passed = _write_pack(graph, f"{POLICY_SCOPE}/mul_1/y", features.node)
    passed = graph.elementwise("Mul", f"{POLICY_SCOPE}/mul_1", rescaler, passed)
    added = graph.elementwise("AddV2", f"{POLICY_SCOPE}/add", stopped, passed)
    return _Features(_write_first(graph, f"{POLICY_SCOPE}/ppo_head_0/strided_slice", added, _FLOAT), features.shapes)


def _write_pack(graph: _Graph, name: str, node: str) -> str:
    return graph.add("Pack", name, [node], N=integer_field(3, 1), T=_kind(_FLOAT), axis=integer_field(3, 0))


def _write_head(
    graph: _Graph,
    features: _Features,
    outputs: int,
    is_continuous: bool,
    weights: Mapping[str, NDArray[np.float32]],
) -> None:
    layer = "policy_mean" if is_continuous else "policy_fc"
    result = _write_dense(graph, f"{POLICY_SCOPE}/ppo_head_0/{layer}", features, "policy", outputs, weights)
    graph.elementwise("Identity" if is_continuous else "Softmax", OUTPUT_NODE, result.node)


def _write_sac_head(graph: _Graph, features: _Features, weights: Mapping[str, NDArray[np.float32]]) -> None:
    scope = SAC_OUTPUT_NODE.rpartition("/")[0]
    units = len(weights["policy.hidden.bias"])
    # TensorFlow's name of a layer that has none of its own.
    hidden = _write_dense(graph, f"{scope}/dense", features, "policy.hidden", units, weights)
    hidden = _Features(graph.elementwise("Relu", f"{scope}/dense/Relu", hidden.node), hidden.shapes)
    mean = _write_dense(graph, f"{scope}/policy_mean", hidden, "policy.mean", CONTINUOUS_OUTPUTS, weights)
    squashed = graph.elementwise("Tanh", f"{scope}/Tanh", mean.node)
    graph.elementwise("Identity", SAC_OUTPUT_NODE, squashed)


def _write_dense(
    graph: _Graph,
    name: str,
    features: _Features,
    weight: str,
    units: int,
    weights: Mapping[str, NDArray[np.float32]],
) -> _Features:
    matrix = _take(weights, f"{weight}.weight", (units, features.size))
    bias = _take(weights, f"{weight}.bias", (units,))
    kernel_node = graph.variable(f"{name}/kernel", to_channels_last(matrix, features.shapes).T)
    bias_node = graph.variable(f"{name}/bias", bias)
    node = graph.add(
        "MatMul",
        f"{name}/MatMul",
        [features.node, kernel_node],
        T=_kind(_FLOAT),
        transpose_a=integer_field(5, 0),
        transpose_b=integer_field(5, 0),
    )
    return _Features(_write_bias(graph, name, node, bias_node), ((units,),))


def _write_bias(graph: _Graph, name: str, node: str, bias_node: str) -> str:
    return graph.add(
        "BiasAdd", f"{name}/BiasAdd", [node, bias_node], T=_kind(_FLOAT), data_format=bytes_field(2, "NHWC")
    )


def _write_activation(graph: _Graph, scope: str, position: int, node: str) -> str:
    return graph.elementwise("Relu", f"{scope}/BatchnormActivationDropout_{position}_activation", node)


def _take(weights: Mapping[str, NDArray[np.float32]], name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    value = np.asarray(weights[name], dtype=np.float32)
    if value.shape != shape:
        raise ValueError(f"{name} has the shape {value.shape}, not {shape}")
    return value


def _kind(kind: int) -> bytes:
    return integer_field(6, kind)  # AttrValue.type


def _integers(*values: int) -> bytes:
    return bytes_field(1, bytes_field(3, b"".join(map(varint, values))))  # AttrValue.list.i, packed


def _shape(shape: Sequence[int]) -> bytes:
    return b"".join(bytes_field(2, integer_field(1, size)) for size in shape)  # TensorShapeProto.dim.size


def _shape_value(shape: Sequence[int]) -> bytes:
    return bytes_field(7, _shape(shape))  # AttrValue.shape


def _tensor(value: NDArray[np.float32] | NDArray[np.int32], kind: int) -> bytes:
    content = integer_field(1, kind) + bytes_field(2, _shape(value.shape))
    if value.ndim:
        little_endian = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        content += bytes_field(4, little_endian.tobytes())
    elif kind == _FLOAT:
        content += float_field(5, float(value))  # scalars stand in the typed list, unpacked as TensorFlow accepts it
    else:
        content += integer_field(7, int(value))
    return bytes_field(8, content)  # AttrValue.tensor
