"""Takes the weights out of a ``model_<n>.pb``: what `frozen_graph` writes, and what TensorFlow has frozen.

Layers are found by what they compute and not by their names, which differ between versions of the original: the
convolutions and dense layers on the way from the inputs to the output, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.errors import FormatError
from drctl.formats.feature_order import to_channels_first
from drctl.formats.network_layout import NETWORK_NAMES, OUTPUT_NODE, SAC_OUTPUT_NODE, network_layout
from drctl.formats.policy_graph import behind_identities, sources_of
from drctl.formats.protobuf_wire import WireError
from drctl.formats.tensor import read_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.network_layout import NetworkLayout
    from drctl.formats.policy_graph import GraphNode, PolicyGraph

SAC_HIDDEN: Final = 256  # units of the layer in the head of SAC's policy, contract 6.5
_SUMS: Final = ("BiasAdd", "Add", "AddV2")


@dataclass(frozen=True)
class _Layer:
    """A convolution or a dense layer of a graph.

    Attributes:
        kernel: The node with its kernel.
        bias: The node with its bias; None without one.
        sensors: Inputs that it depends on.
    """

    kernel: str
    bias: str | None
    sensors: frozenset[str]


@dataclass(frozen=True)
class _Place:
    """A layer of a network: its name in torch, the shape of its kernel in TensorFlow, and what a dense one reads."""

    name: str
    kernel: tuple[int, ...]
    reads: tuple[tuple[int, ...], ...] = ()


def decode_policy(graph: PolicyGraph, layout: NetworkLayout, source: str) -> dict[str, NDArray[np.float32]]:
    """Take the weights of a network's policy out of its frozen graph.

    Whether the graph computes what the network does (its activations, say) is not known then: encode the weights again
    and compare the two.

    Args:
        graph: From `policy_graph.inspect_policy`.
        layout: Of the network that it should have.
        source: Name of the file for messages.

    Returns:
        float32, named and shaped as for `frozen_graph.encode_policy` or `encode_sac_policy`.

    Raises:
        FormatError: The graph has other layers.
    """
    found = _find_layers(graph)
    groups = _group(found, layout)
    places = _places(layout, graph)
    flat = [layer for group in groups for layer in group]
    shapes = [graph.nodes[layer.kernel].shape for layer in flat]
    biases = [graph.nodes[layer.bias].shape if layer.bias else None for layer in flat]
    if shapes != [place.kernel for place in places] or biases != [place.kernel[-1:] for place in places]:
        raise _unlike(shapes, [place.kernel for place in places], _network_of(graph, found, layout), source)
    weights: dict[str, NDArray[np.float32]] = {}
    for layer, place in zip(flat, places, strict=True):
        kernel = _read(graph, layer.kernel, source)
        if place.reads:
            weights[f"{place.name}.weight"] = to_channels_first(np.ascontiguousarray(kernel.T), place.reads)
        else:
            weights[f"{place.name}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        weights[f"{place.name}.bias"] = _read(graph, layer.bias or "", source)
    return weights


def _places(layout: NetworkLayout, graph: PolicyGraph) -> list[_Place]:
    """Return the layers that a network has, in the order of `_group`."""
    places: list[_Place] = []
    features: list[tuple[int, ...]] = []
    for part in layout.inputs:
        channels = part.shape[-1]
        for index, layer in enumerate(part.convolutions):
            shape = (layer.kernel, layer.kernel, channels, layer.filters)
            places.append(_Place(f"{part.scope}.conv.{index}", shape))
            channels = layer.filters
        sizes = part.feature_map()
        own = [(sizes[-1], *sizes[:-1])]
        places += _dense(f"{part.scope}.dense", part.dense, own)
        features.append((part.dense[-1],) if part.dense else own[0])
    places += _dense("middleware", layout.middleware_dense, features)
    width = layout.middleware_dense[-1]
    if graph.is_sac:
        hidden, mean = _dense("policy", (SAC_HIDDEN, 2), [(width,)])
        return [
            *places,
            _Place("policy.hidden", hidden.kernel, hidden.reads),
            _Place("policy.mean", mean.kernel, mean.reads),
        ]
    (head,) = _dense("policy", (graph.num_actions or 2,), [(width,)])
    return [*places, _Place("policy", head.kernel, head.reads)]


def _dense(name: str, units: Sequence[int], reads: Sequence[tuple[int, ...]]) -> list[_Place]:
    width = sum(int(np.prod(shape)) for shape in reads)
    sizes = [width, *units]
    return [
        _Place(f"{name}.{index}", (size, count), tuple(reads) if index == 0 else ((size,),))
        for index, (size, count) in enumerate(pairwise(sizes))
    ]


def _group(layers: Sequence[_Layer], layout: NetworkLayout) -> list[list[_Layer]]:
    """Part the layers into those of each sensor, and the rest behind them."""
    rest = list(layers)
    groups = []
    for part in layout.inputs:
        own = [layer for layer in rest if layer.sensors == {part.sensor}]
        groups.append(own[: len(part.convolutions) + len(part.dense)])
        rest = [layer for layer in rest if layer not in groups[-1]]
    return [*groups, rest]


def _find_layers(graph: PolicyGraph) -> list[_Layer]:
    """Return the layers between the inputs and the output, each behind those that it depends on."""
    nodes = graph.nodes
    sensors: dict[str, frozenset[str]] = {}
    biases: dict[str, str] = {}
    layers: list[str] = []
    for name in _in_order(nodes, SAC_OUTPUT_NODE if graph.is_sac else OUTPUT_NODE):
        node = nodes[name]
        if node.operation == "Placeholder":
            sensors[name] = frozenset((name.rpartition("/")[2],))
            continue
        sensors[name] = frozenset().union(*(sensors.get(source, ()) for source in sources_of(node)))
        if node.operation in ("Conv2D", "MatMul"):
            layers.append(name)
        elif node.operation in _SUMS and len(sources_of(node)) == 2:
            summed, constant = sources_of(node)
            if nodes[summed].operation in ("Conv2D", "MatMul"):
                biases[summed] = behind_identities(nodes, constant)
    return [
        _Layer(behind_identities(nodes, sources_of(nodes[name])[1]), biases.get(name), sensors[name])
        for name in layers
        if len(sources_of(nodes[name])) == 2
    ]


def _in_order(nodes: Mapping[str, GraphNode], output: str) -> Iterator[str]:
    """Give what an output depends on, itself last, each node behind those that it reads."""
    seen: set[str] = set()
    waiting: list[tuple[str, bool]] = [(output, False)]
    while waiting:
        name, is_ready = waiting.pop()
        if is_ready:
            yield name
        elif name not in seen:
            seen.add(name)
            waiting.append((name, True))
            waiting += [(source, False) for source in reversed(sources_of(nodes[name]))]


def _read(graph: PolicyGraph, name: str, source: str) -> NDArray[np.float32]:
    tensor = graph.nodes[name].tensor
    if tensor is None:
        raise _refusal(f"{source} computes the weight {name}", source)
    try:
        return read_tensor(tensor)
    except WireError as error:
        raise _refusal(f"{source} has the weight {name}, which cannot be read: {error}", source) from error


def _network_of(graph: PolicyGraph, layers: Sequence[_Layer], layout: NetworkLayout) -> str | None:
    """Return the network that a graph has the layers of."""
    stack = layout.stack
    shapes = {part.sensor: (*part.shape[:-1], part.shape[-1] // stack) for part in layout.inputs}
    for network in NETWORK_NAMES:
        other = network_layout(network, shapes, stack)
        kernels = [graph.nodes[layer.kernel].shape for group in _group(layers, other) for layer in group]
        if kernels == [place.kernel for place in _places(other, graph)]:
            return network
    return None


def _unlike(
    found: Sequence[tuple[int, ...] | None], wanted: Sequence[tuple[int, ...]], network: str | None, source: str
) -> FormatError:
    if network is not None:
        return FormatError(
            f"{source} has the layers of {network}, model_metadata.json says another network",
            where=source,
            expected="a graph and a model_metadata.json of one training",
            fix=f'set "neural_network": "{network}" in model_metadata.json',
        )
    return FormatError(
        f"{source} has the layers of no network that drctl knows: {_list(found)}",
        where=source,
        expected=f"as model_metadata.json says: {_list(wanted)}",
    )


def _list(shapes: Sequence[tuple[int, ...] | None]) -> str:
    return ", ".join("?" if shape is None else "x".join(map(str, shape)) for shape in shapes) or "none"


def _refusal(what: str, source: str) -> FormatError:
    return FormatError(what, where=source, expected="a frozen graph, whose weights are constants")
