"""Looks into a ``model_<n>.pb`` without running it, and refuses what a car could not drive."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final, Literal

from drctl.errors import FormatError
from drctl.formats.network_layout import INPUT_SCOPE, OUTPUT_NODE, SAC_OUTPUT_NODE, SAC_SCOPE
from drctl.formats.protobuf_wire import WireError, message_of, read_fields
from drctl.formats.tensor import read_shape, tensor_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEAD_BIASES: Final = ("policy_fc/bias", "policy_mean/bias")  # discrete, continuous; contract 1.5
_INPUT_SCOPES: Final = {OUTPUT_NODE: INPUT_SCOPE, SAC_OUTPUT_NODE: SAC_SCOPE}  # by the output of an algorithm's policy
_LARGEST_FILLING: Final = 1 << 20
"""Numbers of a constant that may be left out because they are all equal."""

OutputForm = Literal["probabilities", "units", "unsquashed", "actions"]
"""What a policy's output is.

- ``probabilities``: of discrete actions.
- ``units``: steering and speed in units of their bounds, -1 to 1.
- ``unsquashed``: the same before the tanh that makes them units, as the original's SAC has it.
- ``actions``: degrees and m/s, where a graph of SAC has the bounds inside.
"""


@dataclass(frozen=True)
class GraphNode:
    """One node of a frozen graph.

    Attributes:
        operation: Such as ``Conv2D``.
        inputs: Names of the nodes it reads.
        shape: Shape of a constant or of an input; -1 is any size; None for all other nodes.
        tensor: A constant's ``TensorProto``, unread; None for all other nodes.
    """

    operation: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...] | None
    tensor: memoryview | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class PolicyGraph:
    """What a frozen policy takes and gives.

    Attributes:
        inputs: Shape of each input without the rows, by the sensor in its name.
        num_actions: Number of discrete actions; None for a continuous action space.
        is_sac: Whether it is SAC's.
        output: What it gives.
        nodes: All nodes by name, in the order of the file.
    """

    inputs: Mapping[str, tuple[int, ...]]
    num_actions: int | None
    is_sac: bool
    output: OutputForm
    nodes: Mapping[str, GraphNode]


def inspect_policy(data: bytes, source: str) -> PolicyGraph:
    """Read the structure of a frozen policy; weights stay unread.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        Its inputs, its output and its nodes.

    Raises:
        FormatError: Truncated, not a frozen graph, or not the graph of a PPO or SAC policy with one camera.
    """
    try:
        nodes = dict(_read_node(content) for number, content in read_fields(memoryview(data)) if number == 1)
    except (WireError, UnicodeDecodeError, TypeError) as error:
        raise _refusal(f"{source} is truncated or not a frozen graph", source) from error
    for name, node in nodes.items():
        if node.tensor is not None and prod(node.shape or ()) > len(node.tensor) + _LARGEST_FILLING:
            raise _refusal(f"{source} has a constant {name} of the shape {node.shape} and not its numbers", source)
        for needed in node.inputs:
            if needed.removeprefix("^").partition(":")[0] not in nodes:
                raise _refusal(f"{source} lacks the node {needed} that {name} reads", source)
    output = next((name for name in _INPUT_SCOPES if name in nodes), None)
    if output is None:
        raise _refusal(f"{source} has no node {OUTPUT_NODE}", source)
    inputs = [name for name, node in nodes.items() if node.operation == "Placeholder"]
    if not inputs or not all(name.startswith(f"{_INPUT_SCOPES[output]}/") for name in inputs):
        raise _refusal(f"{source} has the inputs {', '.join(inputs) or 'none'}", source)
    shapes = {name.rpartition("/")[2]: (nodes[name].shape or ())[1:] for name in inputs}
    num_actions, is_sac = _num_actions(nodes, output, source), output == SAC_OUTPUT_NODE
    return PolicyGraph(shapes, num_actions, is_sac, _output_form(nodes, output, num_actions, is_sac=is_sac), nodes)


def sources_of(node: GraphNode) -> list[str]:
    """Return the names of the nodes that a node reads."""
    return [name.partition(":")[0] for name in node.inputs if not name.startswith("^")]


def behind_identities(nodes: Mapping[str, GraphNode], name: str) -> str:
    """Follow a node to the first one that does more than hand on what it reads: a variable's read to its constant."""
    for _ in nodes:
        sources = sources_of(nodes[name])
        if nodes[name].operation != "Identity" or not sources:
            break
        name = sources[0]
    return name


def _num_actions(nodes: Mapping[str, GraphNode], output: str, source: str) -> int | None:
    head = output.rpartition("/")[0]
    for layer in _HEAD_BIASES:
        bias = nodes.get(f"{head}/{layer}")
        if bias is not None and bias.shape is not None and len(bias.shape) == 1:
            return bias.shape[0] if layer == _HEAD_BIASES[0] else None
    raise _refusal(f"{source} has no policy layer under {head}", source)


def _output_form(nodes: Mapping[str, GraphNode], output: str, num_actions: int | None, *, is_sac: bool) -> OutputForm:
    if not is_sac:
        return "units" if num_actions is None else "probabilities"
    forms: dict[str, OutputForm] = {"Tanh": "units", "BiasAdd": "unsquashed"}
    return forms.get(nodes[behind_identities(nodes, output)].operation, "actions")


def _refusal(what: str, source: str) -> FormatError:
    return FormatError(what, where=source, expected="a model_<n>.pb of a PPO or SAC policy with one camera")


# tensorflow/core/framework: node_def.proto, attr_value.proto, tensor.proto, tensor_shape.proto


def _read_node(content: int | memoryview) -> tuple[str, GraphNode]:
    name = operation = ""
    inputs: list[str] = []
    shape: tuple[int, ...] | None = None
    tensor: memoryview | None = None
    for number, value in read_fields(message_of(content)):
        if number == 1:
            name = _text(value)
        elif number == 2:
            operation = _text(value)
        elif number == 3:
            inputs.append(_text(value))
        elif number == 5:
            for kind, attribute in _attribute(message_of(value)):
                if kind == 7:  # AttrValue.shape
                    shape = read_shape(message_of(attribute))
                elif kind == 8:  # AttrValue.tensor
                    tensor = message_of(attribute)
                    shape = tensor_shape(tensor)
    if not name or not operation:
        raise WireError("a node without name or operation")
    return name, GraphNode(operation, tuple(inputs), shape, tensor)


def _attribute(entry: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    for number, value in read_fields(entry):
        if number == 2:
            yield from read_fields(message_of(value))


def _text(value: int | memoryview) -> str:
    return bytes(message_of(value)).decode()
