"""The three networks a ``model_metadata.json`` can name, as data (contract 6.3).

The torch networks and the frozen graph are both built from this table, so that the graph on the car is the network that
was trained. Every convolution and dense layer is followed by a ReLU; convolutions have no padding ("valid").
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAME_HEIGHT: Final = 120  # pixels, contract 1.6
FRAME_WIDTH: Final = 160  # pixels, contract 1.6

# Names in the frozen graph (contract 1.6): the input belongs to the value's network, all else to the policy's.
INPUT_SCOPE: Final = "main_level/agent/main/online/network_0"
POLICY_SCOPE: Final = "main_level/agent/main/online/network_1"
OUTPUT_NODE: Final = f"{POLICY_SCOPE}/ppo_head_0/policy"


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
class NetworkLayout:
    """Sizes of one network for a grey camera.

    Attributes:
        convolutions: First to last.
        embedder_dense: Units of the dense layers behind the flattened convolutions; may be empty.
        middleware_dense: Units of the dense layers between the embedder and the heads.
    """

    convolutions: tuple[Convolution, ...]
    embedder_dense: tuple[int, ...]
    middleware_dense: tuple[int, ...]

    def feature_map(self) -> tuple[int, int, int]:
        """Return (height, width, channels) of the last convolution's output for a 120 x 160 frame."""
        height, width = FRAME_HEIGHT, FRAME_WIDTH
        for layer in self.convolutions:
            height = (height - layer.kernel) // layer.stride + 1
            width = (width - layer.kernel) // layer.stride + 1
        return height, width, self.convolutions[-1].filters


SHALLOW: Final = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
MIDDLE: Final = "DEEP_CONVOLUTIONAL_NETWORK"
DEEP: Final = "DEEP_CONVOLUTIONAL_NETWORK_DEEP"

NETWORKS: Final[Mapping[str, NetworkLayout]] = MappingProxyType(
    {
        SHALLOW: NetworkLayout(
            convolutions=(Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)),
            embedder_dense=(),
            middleware_dense=(512,),
        ),
        MIDDLE: NetworkLayout(
            convolutions=(Convolution(32, 5, 2), Convolution(32, 3, 1), Convolution(64, 3, 2), Convolution(64, 3, 1)),
            embedder_dense=(64,),
            middleware_dense=(512,),
        ),
        DEEP: NetworkLayout(
            convolutions=(Convolution(32, 8, 4), Convolution(32, 4, 2), Convolution(64, 4, 2), Convolution(64, 3, 1)),
            embedder_dense=(512, 512),
            middleware_dense=(256, 128),
        ),
    }
)


def input_node(sensor: str) -> str:
    """Return the name of the graph's input for a sensor: float32, shape (N, 120, 160, 1), values 0 to 255."""
    return f"{INPUT_SCOPE}/{sensor}/{sensor}"
