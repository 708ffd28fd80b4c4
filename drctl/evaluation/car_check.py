"""Makes sure that a car file drives like the checkpoint that it was made from: unpacked again, and run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.errors import FailedError
from drctl.evaluation.golden_frames import golden_frames
from drctl.evaluation.graph_policy import GraphPolicy
from drctl.formats.model_metadata import parse_model_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.evaluation.checkpoint import StoredCheckpoint
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.trainer.networks import Heads

GRAPH_TOLERANCE: Final = 1e-6
"""Between two runs of one graph: the same program on the same numbers."""

WEIGHTS_TOLERANCE: Final = 1e-4
"""Between a graph under OpenVINO and the weights under PyTorch, which add in another order."""

_SAME_ACTION: Final = 0.01
"""In units of the bounds: a third of a degree of 30. Two continuous actions nearer to each other drive the same."""

_SMALLEST_BUFFER_GB: Final = 0.001  # nothing is learned here


@dataclass(frozen=True)
class TrainedWeights:
    """What the trainer stored of a checkpoint.

    Attributes:
        data: The weights.
        heads: ``DR_NETWORK_HEADS`` that they were trained with.
    """

    data: bytes
    heads: Heads


@dataclass(frozen=True)
class CarCheck:
    """What came of running a car file.

    Attributes:
        frames: Golden frames it was run on.
        choices: How many different actions it chose on them.
        graph_difference: Largest difference of any output to the stored checkpoint's graph.
        weights_difference: The same to the trainer's weights; None where they or PyTorch are not there.
        same_in_half_precision: Frames on which it chooses the same with weights in half precision, which is how the
            car's converter to OpenVINO stores them (aws-deepracer-model-optimizer-pkg).
    """

    frames: int
    choices: int
    graph_difference: float
    weights_difference: float | None
    same_in_half_precision: int


def check_car_model(
    graph: bytes, metadata: bytes, checkpoint: StoredCheckpoint, metadata_text: str, weights: TrainedWeights | None
) -> CarCheck:
    """Run the graph of a car file and compare what it chooses.

    Args:
        graph: ``agent/model.pb`` as it was unpacked.
        metadata: ``model_metadata.json`` as it was unpacked.
        checkpoint: The stored checkpoint.
        metadata_text: The model's own ``model_metadata.json``.
        weights: What the trainer stored; None for models of other software.

    Raises:
        FailedError: It chooses something else than the checkpoint does.
        FormatError: The unpacked graph or metadata are broken.
        UnavailableError: OpenVINO is not installed.
    """
    frames = golden_frames(metadata_text)
    unpacked_metadata = parse_model_metadata(metadata, "model_metadata.json")
    unpacked = GraphPolicy(graph, unpacked_metadata, "agent/model.pb")
    own_metadata = parse_model_metadata(metadata_text, "model_metadata.json")
    stored = GraphPolicy(checkpoint.graph, own_metadata, checkpoint.source)
    ours, theirs = _answers(unpacked, frames), _answers(stored, frames)
    name = f"checkpoint {checkpoint.number}"
    graph_difference = _largest(np.abs(ours - theirs).max(axis=1), GRAPH_TOLERANCE, name)
    chosen = _actions(unpacked, frames)
    weights_difference = None
    if weights is not None and find_spec("torch") is not None:
        differences = _differences_to_weights(own_metadata, weights, frames, ours, chosen)
        weights_difference = _largest(differences, WEIGHTS_TOLERANCE, f"the weights of {name}")
    half = _actions(GraphPolicy(graph, unpacked_metadata, "agent/model.pb", has_half_weights=True), frames)
    same = np.abs(chosen - half).reshape(len(frames), -1).max(axis=1) <= _SAME_ACTION
    choices = len({str(action) for action in chosen.round(3).tolist()})
    return CarCheck(len(frames), choices, graph_difference, weights_difference, int(same.sum()))


def _answers(policy: GraphPolicy, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.array([policy.answer(frame) for frame in frames], np.float64)


def _actions(policy: GraphPolicy, frames: NDArray[np.uint8]) -> NDArray[Any]:
    actions = []
    for frame in frames:
        policy.begin()
        actions.append(policy.act(frame)[0])
    return np.array(actions)


def _largest(differences: NDArray[np.float64], tolerance: float, name: str) -> float:
    unlike = int((~(differences <= tolerance)).sum())  # not a number is unlike, too
    if unlike:
        raise FailedError(
            f"the car file does not drive like {name}: it answers otherwise to {unlike} of {len(differences)} frames",
            expected=f"answers that differ by at most {tolerance:g}; the largest difference is {differences.max():.2g}",
        )
    return float(differences.max())


def _differences_to_weights(
    metadata: ModelMetadata,
    weights: TrainedWeights,
    frames: NDArray[np.uint8],
    ours: NDArray[np.float64],
    chosen: NDArray[Any],
) -> NDArray[np.float64]:
    """Return how far the graph is from the trainer's greedy policy, for each frame.

    Discrete: of the action that the trainer chooses, the difference of its probabilities, or what the graph's choice is
    likelier by. Continuous: the difference of the actions in units of their bounds.
    """
    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.simulation.episode import EpisodeStart
    from drctl.trainer.algorithm import make_learner
    from drctl.trainer.sac import ReplaySettings

    replay = ReplaySettings(_SMALLEST_BUFFER_GB)
    learner = make_learner(
        metadata, Hyperparameters(), seed=0, precision="fp32", heads=weights.heads, shards=1, replay=replay
    )
    learner.load_weights(weights.data)
    starts = [EpisodeStart("evaluation", 0, number) for number in range(len(frames))]
    trained = learner.greedy().act(frames, starts, np.zeros(len(frames), np.int64))
    if metadata.is_continuous:
        return np.asarray(np.abs(chosen.astype(np.float64) - trained.actions).max(axis=1))
    probability = ours[np.arange(len(frames)), trained.actions]
    return np.asarray(
        np.maximum(np.abs(probability - np.exp(trained.log_probs.astype(np.float64))), ours.max(axis=1) - probability)
    )
