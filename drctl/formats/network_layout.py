"""The networks a ``model_metadata.json`` can ask for, as data (contract 6.3).

The torch networks and the frozen graph are both built from this table, so that the graph on the car is the network that
was trained. Each sensor has layers of its own, the embedder; their outputs lie side by side, in the alphabetical order
of the sensors' names, before the layers they share, the middleware. Every convolution and dense layer is followed by a
ReLU; convolutions have no padding ("valid").
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from drctl.formats.sensor import LIDAR, LIDAR_RESOLUTION_M, LIDARS, OBSERVATION, STEREO_CAMERAS

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAME_HEIGHT: Final = 120  # pixels, contract 1.6
FRAME_WIDTH: Final = 160  # pixels, contract 1.6

# Names in the frozen graph (contract 1.6): the inputs belong to the value's network, all else to the policy's.
INPUT_SCOPE: Final = "main_level/agent/main/online/network_0"
POLICY_SCOPE: Final = "main_level/agent/main/online/network_1"
OUTPUT_NODE: Final = f"{POLICY_SCOPE}/ppo_head_0/policy"
# SAC's policy is a network of its own, input included.
SAC_SCOPE: Final = "main_level/agent/policy/online/network_0"
SAC_OUTPUT_NODE: Final = f"{SAC_SCOPE}/sac_policy_head_0/policy"


@dataclass(frozen=True)
class Convolution:
    """One convolution without padding.

    Attributes:
        filters: Output channels.
        kernel: Height and width of the kernel, pixels.
        stride: Step in both directions, pixels.
    """

    filters: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class InputLayout:
    """One sensor's input and its embedder.

    Attributes:
        sensor: Its name in the metadata, and in the graph.
        shape: Of the graph's input without the rows: (120, 160, pictures) or (values,), oldest frame first.
        convolutions: First to last; none for a lidar.
        dense: Units of the dense layers behind them; may be empty for a camera.
        byte_value: What 1 in a byte of an observation is worth to the first layer: pixels count 255ths, ``LIDAR``
            hundredths of a metre, sectors are 0 or 1.
    """

    sensor: str
    shape: tuple[int, ...]
    convolutions: tuple[Convolution, ...]
    dense: tuple[int, ...]
    byte_value: float

    @property
    def is_camera(self) -> bool:
        """Whether the input is made of pictures."""
        return bool(self.convolutions)

    @property
    def scope(self) -> str:
        """Where its weights are: ``embedder`` for the camera, ``lidar`` for the lidar."""
        return "embedder" if self.is_camera else "lidar"

    def feature_map(self) -> tuple[int, ...]:
        """Return what the first dense layer flattens: (height, width, channels) of the last convolution's output.

        For a lidar it is the input's own shape.
        """
        if not self.convolutions:
            return self.shape
        height, width, _ = self.shape
        for layer in self.convolutions:
            height = (height - layer.kernel) // layer.stride + 1
            width = (width - layer.kernel) // layer.stride + 1
        return height, width, self.convolutions[-1].filters

    @property
    def width(self) -> int:
        """Numbers that the embedder hands on."""
        return self.dense[-1] if self.dense else prod(self.feature_map())


@dataclass(frozen=True)
class NetworkLayout:
    """Sizes of one network.

    Attributes:
        inputs: One camera and at most one lidar, in the alphabetical order of their names.
        middleware_dense: Units of the dense layers between the embedders and the heads.
        stack: Frames in an observation (``stack_size``).
    """

    inputs: tuple[InputLayout, ...]
    middleware_dense: tuple[int, ...]
    stack: int = 1

    @property
    def camera(self) -> InputLayout:
        """The input made of pictures."""
        return next(part for part in self.inputs if part.is_camera)

    @property
    def lidar(self) -> InputLayout | None:
        """The other input, if there is one."""
        return next((part for part in self.inputs if not part.is_camera), None)


SHALLOW: Final = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
MIDDLE: Final = "DEEP_CONVOLUTIONAL_NETWORK"
DEEP: Final = "DEEP_CONVOLUTIONAL_NETWORK_DEEP"
NETWORK_NAMES: Final = (SHALLOW, MIDDLE, DEEP)

_SHALLOW_CONVOLUTIONS: Final = (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1))
_STEREO_CONVOLUTIONS: Final = (
    Convolution(32, 3, 1),
    Convolution(64, 3, 2),
    Convolution(64, 3, 1),
    Convolution(128, 3, 2),
    Convolution(128, 3, 1),
)

_Embedder = tuple[tuple[Convolution, ...], tuple[int, ...]]
_SINGLE_CAMERA: Final[Mapping[str, _Embedder]] = MappingProxyType(
    {
        SHALLOW: (_SHALLOW_CONVOLUTIONS, ()),
        MIDDLE: ((Convolution(32, 5, 2), Convolution(32, 3, 1), Convolution(64, 3, 2), Convolution(64, 3, 1)), (64,)),
        DEEP: (
            (Convolution(32, 8, 4), Convolution(32, 4, 2), Convolution(64, 4, 2), Convolution(64, 3, 1)),
            (512, 512),
        ),
    }
)
_STEREO: Final[Mapping[str, _Embedder]] = MappingProxyType(
    {SHALLOW: (_SHALLOW_CONVOLUTIONS, ()), MIDDLE: (_STEREO_CONVOLUTIONS, ()), DEEP: (_STEREO_CONVOLUTIONS, ())}
)
_LIDAR: Final[_Embedder] = ((), (256, 256))
_MIDDLEWARE: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {SHALLOW: (512,), MIDDLE: (512,), DEEP: (256, 128)}
)


def network_layout(network: str, sensors: Mapping[str, tuple[int, ...]], stack: int = 1) -> NetworkLayout:
    """Put a network together.

    Args:
        network: One of `NETWORK_NAMES`.
        sensors: Shape of one frame of each sensor: (120, 160, pictures) or (values,).
        stack: Frames in an observation; they lie side by side along an input's last axis.
    """
    return NetworkLayout(
        inputs=tuple(_input_layout(network, sensor, sensors[sensor], stack) for sensor in sorted(sensors)),
        middleware_dense=_MIDDLEWARE[network],
        stack=stack,
    )


def _input_layout(network: str, sensor: str, shape: tuple[int, ...], stack: int) -> InputLayout:
    if sensor in LIDARS:
        convolutions, dense = _LIDAR
        byte_value = LIDAR_RESOLUTION_M if sensor == LIDAR else 1.0
    else:
        # The first generation's sensor never had other convolutions than these.
        table = _STEREO if sensor == STEREO_CAMERAS else _SINGLE_CAMERA
        convolutions, dense = table[SHALLOW if sensor == OBSERVATION else network]
        byte_value = 1.0 / 255.0
    return InputLayout(sensor, (*shape[:-1], shape[-1] * stack), convolutions, dense, byte_value)


def input_node(sensor: str) -> str:
    """Return the name of the graph's input for a sensor: float32, shape (N, *shape).

    Pixels are 0 to 255, ranges metres, sectors 0 or 1.
    """
    return f"{INPUT_SCOPE}/{sensor}/{sensor}"
