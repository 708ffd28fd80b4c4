"""Drives by a published ``model_<n>.pb``, with OpenVINO in single precision: what is raced is what goes on the car."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drctl.errors import FormatError, UnavailableError
from drctl.formats.model_metadata import DiscreteActionSpace
from drctl.formats.policy_graph import inspect_policy
from drctl.simulation.sensors.camera_geometry import IMAGE_HEIGHT, IMAGE_WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.model_metadata import ModelMetadata

# f32: the CPU plugin would otherwise take bf16 where the processor has it. One thread: parallel races share the cores,
# and the order of additions, so the last bit, cannot change.
_CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


class GraphPolicy:
    """The greedy policy of a frozen graph: the likeliest action, or the mean where actions are continuous.

    Args:
        graph: Content of ``model_<n>.pb``.
        metadata: Of the model.
        source: Name of the file for messages.

    Raises:
        FormatError: The graph is broken, or was not made for this metadata.
        UnavailableError: OpenVINO is not installed.
    """

    def __init__(self, graph: bytes, metadata: ModelMetadata, source: str) -> None:
        check_graph(graph, metadata, source)
        self._is_continuous = not isinstance(metadata.action_space, DiscreteActionSpace)
        self._request: Any = _compile(graph, source).create_infer_request()
        self._input = np.empty((1, IMAGE_HEIGHT, IMAGE_WIDTH, 1), np.float32)

    def act(self, frame: NDArray[np.uint8]) -> NDArray[Any]:
        """Choose an action.

        Args:
            frame: What the car sees, shape (120, 160), uint8.

        Returns:
            Number of the action, shape (1,), int64; or steering and speed in units of their bounds, shape (1, 2).
        """
        self._input[0, :, :, 0] = frame
        output = self._request.infer({0: self._input}, share_inputs=True)[0]
        if self._is_continuous:
            return np.array(output, np.float32)
        return np.asarray(output.argmax(axis=1), np.int64)


def check_graph(graph: bytes, metadata: ModelMetadata, source: str) -> None:
    """Make sure that a frozen graph is whole and belongs to a model.

    Args:
        graph: Content of ``model_<n>.pb``.
        metadata: Of the model.
        source: Name of the file for messages.

    Raises:
        FormatError: The graph is broken, or was not made for this metadata.
    """
    found = inspect_policy(graph, source)
    space = metadata.action_space
    wanted = len(space.steering_deg) if isinstance(space, DiscreteActionSpace) else None
    if found.sensor != metadata.camera:
        raise FormatError(
            f"{source} sees with {found.sensor}, model_metadata.json says {metadata.camera}",
            where=source,
            expected="a graph and a model_metadata.json of one training",
        )
    if found.num_actions != wanted:
        raise FormatError(
            f"{source} chooses {_actions(found.num_actions)}, model_metadata.json has {_actions(wanted)}",
            where=source,
            expected="a graph and a model_metadata.json of one training",
        )


def _actions(count: int | None) -> str:
    return "a continuous action" if count is None else f"one of {count} actions"


def _compile(graph: bytes, source: str) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(
            "an evaluation needs OpenVINO, which is not installed",
            expected="drctl with its part sim",
            fix="pip install 'drctl[local]'",
        ) from error
    core = openvino.Core()
    with tempfile.TemporaryDirectory(prefix="drctl-") as folder:
        path = Path(folder) / "model.pb"  # OpenVINO reads TensorFlow's format from files alone
        path.write_bytes(graph)
        try:
            model = core.read_model(path)
            model.reshape([1, IMAGE_HEIGHT, IMAGE_WIDTH, 1])
            return core.compile_model(model, "CPU", _CONFIG)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise FormatError(f"{source} cannot be run: {reason}", where=source) from error
