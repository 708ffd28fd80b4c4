"""Drives by a published ``model_<n>.pb``, with OpenVINO in single precision: what is raced is what goes on the car."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drctl.errors import FormatError, Problem, UnavailableError
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace
from drctl.formats.observation import ObservationForm
from drctl.formats.policy_graph import inspect_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from drctl.formats.model_metadata import ModelMetadata
    from drctl.formats.policy_graph import PolicyGraph

# f32: the CPU plugin would otherwise take bf16 where the processor has it. One thread: parallel races share the cores,
# and the order of additions, so the last bit, cannot change.
_CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


class GraphPolicy:
    """The greedy policy of a frozen graph: the likeliest action, or the mean where actions are continuous.

    Args:
        graph: Content of ``model_<n>.pb``.
        metadata: Of the model.
        source: Name of the file for messages.
        has_half_weights: Store the weights in half precision first, as the car's converter to OpenVINO does.

    Raises:
        FormatError: The graph is broken, or was not made for this metadata.
        UnavailableError: OpenVINO is not installed.
    """

    def __init__(self, graph: bytes, metadata: ModelMetadata, source: str, *, has_half_weights: bool = False) -> None:
        found, stack = _check(graph, metadata, source)
        self._form = ObservationForm.of(metadata)
        self._output = found.output
        self._space = metadata.action_space
        shapes = {name: (*shape[:-1], stack * shape[-1]) for name, shape in self._form.inputs.items()}
        model = _compile(graph, shapes, source, has_half_weights=has_half_weights)
        self._request: Any = model.create_infer_request()
        self._sensors = [_sensor_of(port) for port in model.inputs]
        self._frames = np.zeros((stack, *self._form.shape), np.uint8)
        self._has_frames = False

    @property
    def has_probabilities(self) -> bool:
        """Whether it chooses among actions: `answer` gives how likely each is."""
        return self._output == "probabilities"

    def begin(self) -> None:
        """Forget what was seen: the next frame is the first one of an episode, or of a place where the car was put."""
        self._has_frames = False

    def act(self, frame: NDArray[np.uint8]) -> NDArray[Any]:
        """Choose an action.

        Args:
            frame: What the car senses, uint8, as `formats.observation` lays it out. Where the network sees several
                frames, those of the calls before come with it; the first one stands for those that are missing.

        Returns:
            Number of the action, shape (1,), int64; or steering and speed in units of their bounds, shape (1, 2).
        """
        if self._has_frames:
            self._frames[:-1] = self._frames[1:]
            self._frames[-1] = frame
        else:
            self._frames[:], self._has_frames = frame, True
        output = self._infer(self._frames)
        if self.has_probabilities:
            return np.asarray(output.argmax(axis=1), np.int64)
        if self._output == "unsquashed":
            return np.asarray(np.tanh(output), np.float32)
        if self._output == "actions":
            low, high = _bounds(self._space)
            return np.asarray((2.0 * output - high - low) / (high - low), np.float32)
        return np.array(output, np.float32)

    def answer(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the graph itself gives for a frame that nothing came before, shape (num_actions,) or (2,).

        Args:
            frame: As for `act`, which is not disturbed.
        """
        stack = np.repeat(frame[np.newaxis], len(self._frames), axis=0)
        return np.array(self._infer(stack)[0], np.float32)

    def _infer(self, stack: NDArray[np.uint8]) -> NDArray[Any]:
        values = self._form.input_values(stack)
        return np.asarray(self._request.infer([values[sensor] for sensor in self._sensors], share_inputs=True)[0])


def check_graph(graph: bytes, metadata: ModelMetadata, source: str) -> int:
    """Make sure that a frozen graph is whole and belongs to a model.

    Args:
        graph: Content of ``model_<n>.pb``.
        metadata: Of the model.
        source: Name of the file for messages.

    Returns:
        How many frames it sees at once.

    Raises:
        FormatError: The graph is broken, or was not made for this metadata.
    """
    return _check(graph, metadata, source)[1]


def _check(graph: bytes, metadata: ModelMetadata, source: str) -> tuple[PolicyGraph, int]:
    """Do what `check_graph` does and return what was found as well."""
    found = inspect_policy(graph, source)
    space = metadata.action_space
    wanted = len(space.steering_deg) if isinstance(space, DiscreteActionSpace) else None
    problems = []
    if found.is_sac != (metadata.training_algorithm == "sac"):
        trained_by = "sac" if found.is_sac else "clipped_ppo"
        problems.append(f"{source} was trained by {trained_by}, model_metadata.json says {metadata.training_algorithm}")
    if sorted(found.inputs) != sorted(metadata.sensors):
        seen, said = (", ".join(sorted(names)) for names in (found.inputs, metadata.sensors))
        problems.append(f"{source} sees with {seen}, model_metadata.json says {said}")
    if found.num_actions != wanted:
        problems.append(
            f"{source} chooses {_actions(found.num_actions)}, model_metadata.json has {_actions(wanted)}",
        )
    stack = _stack_of(found, ObservationForm.of(metadata))
    if not problems and stack is None:
        shapes = ", ".join(f"{name} {shape}" for name, shape in sorted(found.inputs.items()))
        problems.append(f"{source} has the inputs {shapes}, which are not those of model_metadata.json")
    if problems or stack is None:
        expected = "a graph and a model_metadata.json of one training"
        raise FormatError.from_problems([Problem(what, source, expected) for what in problems])
    return found, stack


def _stack_of(graph: PolicyGraph, form: ObservationForm) -> int | None:
    """Return how many frames make up every input of a graph; None when they are not made of such frames."""
    if set(graph.inputs) != set(form.inputs):
        return None
    stacks = set()
    for name, shape in form.inputs.items():
        found = graph.inputs[name]
        if len(found) != len(shape) or found[:-1] != shape[:-1] or found[-1] < 1 or found[-1] % shape[-1]:
            return None
        stacks.add(found[-1] // shape[-1])
    return stacks.pop() if len(stacks) == 1 else None


def _bounds(space: ContinuousActionSpace | DiscreteActionSpace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest steering in degrees and speed in m/s, each of shape (2,)."""
    if not isinstance(space, ContinuousActionSpace):
        raise ValueError("sac needs a continuous action space")  # model_metadata.json says so to the user
    low = np.array([space.steering_low_deg, space.speed_low_m_s])
    return low, np.array([space.steering_high_deg, space.speed_high_m_s])


def _actions(count: int | None) -> str:
    return "a continuous action" if count is None else f"one of {count} actions"


@cache
def _openvino() -> Any:
    """Return the one OpenVINO of this process, with the state that each of its cores keeps.

    A core gives the thread a stack for signals and, when it goes, puts back the one it found. Of two cores that go in
    the order in which they came, the second puts back what went with the first: Ctrl-C would crash the process.
    """
    import openvino

    return openvino.Core()


def _compile(graph: bytes, shapes: Mapping[str, tuple[int, ...]], source: str, *, has_half_weights: bool) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(
            "models are run with OpenVINO, which is not installed",
            expected="drctl with its part sim",
            fix="pip install 'drctl[local]'",
        ) from error
    core = _openvino()
    with tempfile.TemporaryDirectory(prefix="drctl-") as folder:
        path = Path(folder) / "model.pb"  # OpenVINO reads TensorFlow's format from files alone
        path.write_bytes(graph)
        try:
            model = core.read_model(path)
            model.reshape({port: [1, *shapes[_sensor_of(port)]] for port in model.inputs})
            if has_half_weights:
                openvino.save_model(model, path.with_suffix(".xml"), compress_to_fp16=True)
                model = core.read_model(path.with_suffix(".xml"))
            return core.compile_model(model, "CPU", _CONFIG)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise FormatError(f"{source} cannot be run: {reason}", where=source) from error


def _sensor_of(port: Any) -> str:
    """Return the sensor that an input of a loaded graph is named for (`formats.network_layout.input_node`)."""
    name: str = port.get_any_name()
    return name.removesuffix(":0").rpartition("/")[2]
