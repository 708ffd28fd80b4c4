"""Makes sure that a graph computes what the network does whose layers it has: run beside one with the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.errors import FormatError
from drctl.evaluation.golden_frames import golden_frames
from drctl.evaluation.graph_policy import GraphPolicy, check_graph
from drctl.formats.frozen_graph import encode_policy, encode_sac_policy
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.observation import layout_of
from drctl.formats.policy_graph import inspect_policy
from drctl.formats.policy_weights import decode_policy

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE: Final = 1e-5
"""Of a probability, or of an action in units of its bounds; of its own size where that is beyond 1."""


def check_computation(graph: bytes, metadata_text: str, source: str) -> float:
    """Take the weights out of a graph, put them into drctl's own and compare what the two answer to golden frames.

    Args:
        graph: Content of ``model_<n>.pb``.
        metadata_text: The model's ``model_metadata.json``.
        source: Name of the graph's file for messages.

    Returns:
        The largest difference.

    Raises:
        FormatError: It is broken, was not made for this metadata, or computes something else.
        UnavailableError: OpenVINO is not installed.
    """
    metadata = parse_model_metadata(metadata_text, "model_metadata.json")
    layout = layout_of(metadata, check_graph(graph, metadata, source))
    weights = decode_policy(inspect_policy(graph, source), layout, source)
    if metadata.training_algorithm == "sac":
        again = encode_sac_policy(layout, weights)
    else:
        again = encode_policy(layout, metadata.num_actions, weights)
    frames = golden_frames(metadata_text)
    found, wanted = (_answers(GraphPolicy(data, metadata, source), frames) for data in (graph, again))
    differences = np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))
    largest = float(differences.max())
    if not largest <= TOLERANCE:  # not a number is unlike, too
        raise FormatError(
            f"{source} has the layers of {metadata.neural_network} and computes something else",
            where=source,
            expected=f"what that network answers with the same weights; the largest difference is {largest:.2g}",
        )
    return largest


def _answers(policy: GraphPolicy, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the probabilities of the actions, or the actions in units of their bounds, one row per frame."""
    rows: list[NDArray[Any]] = []
    for frame in frames:
        if policy.has_probabilities:
            rows.append(policy.answer(frame))
        else:
            policy.begin()
            rows.append(policy.act(frame)[0])
    return np.array(rows, np.float64)
