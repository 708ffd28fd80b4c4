"""The layers between an observation and the heads of a network (contract 6.3), and how weights begin.

Weights leave and enter under their canonical names and shapes, those of an ordinary torch network that reads pictures
of (channels, 120, 160) and flattens channels first. Inside, two of them are kept in an order that computes faster and
means the same:

- A first convolution with stride 4 reads a picture as 30 x 40 patches of 4 x 4 pixels, so its 8 x 8 kernel becomes
  a 2 x 2 kernel over 16 channels: a single input channel would leave most of a vector unit idle.
- The first dense layer behind the convolutions takes their features channels last, as they leave them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from drctl.formats.network_layout import FRAME_HEIGHT, FRAME_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drctl.formats.network_layout import InputLayout, NetworkLayout

_PATCH: Final = 4  # pixels; a row of a patch is then one 32-bit word

Weights = dict[str, Tensor]


class Seen(NamedTuple):
    """Observations as trunks read them: pictures in the order of their layout, and the lidar's bytes."""

    pixels: Tensor
    scans: Tensor


class Trunk:
    """Convolutions and dense layers, each followed by a ReLU; it holds no weights, they come with every call.

    Args:
        layout: Sensors and sizes of the layers.
        scope: Start of the names of its weights, such as ``value_``.
        has_middleware: Whether the layout's dense layers between the embedders and the heads belong to it.

    Attributes:
        width: Numbers per observation that it gives to the heads.
    """

    def __init__(self, layout: NetworkLayout, scope: str = "", *, has_middleware: bool = True) -> None:
        self._layout = layout
        self._scope = scope
        self._camera, self._lidar = layout.camera, layout.lidar
        self._middleware = layout.middleware_dense if has_middleware else ()
        self._has_patches = _reads_patches(layout.camera)
        self._first_kernel = f"{scope}embedder.conv.0.weight"
        self._first_scan_weight = f"{scope}lidar.dense.0.weight"
        # The first dense layer behind the convolutions, and what it reads: in the middleware also what lies beside.
        self._first_dense: str | None = None
        self._first_dense_inputs: tuple[InputLayout, ...] = ()
        if layout.camera.dense:
            self._first_dense, self._first_dense_inputs = f"{scope}embedder.dense.0.weight", (layout.camera,)
        elif self._middleware:
            self._first_dense, self._first_dense_inputs = f"{scope}middleware.0.weight", layout.inputs
        self.width = self._middleware[-1] if self._middleware else sum(part.width for part in layout.inputs)

    def initial_weights(self, generator: torch.Generator) -> Weights:
        """Draw the weights it begins with, by canonical name."""
        weights: Weights = {}
        # The camera comes first, whatever the alphabet says: a lidar beside it leaves its draws as they are.
        for part in sorted(self._layout.inputs, key=lambda part: not part.is_camera):
            channels, scope = part.shape[-1], f"{self._scope}{part.scope}"
            for index, layer in enumerate(part.convolutions):
                shape = (layer.filters, channels, layer.kernel, layer.kernel)
                add_layer(weights, f"{scope}.conv.{index}", glorot_uniform(shape, generator))
                channels = layer.filters
            _add_dense(weights, f"{scope}.dense", math.prod(part.feature_map()), part.dense, generator)
        width = sum(part.width for part in self._layout.inputs)
        _add_dense(weights, f"{self._scope}middleware", width, self._middleware, generator)
        return weights

    def owns(self, name: str) -> bool:
        """Tell whether a weight is one of its own."""
        return name.startswith(tuple(f"{self._scope}{part}." for part in ("embedder", "lidar", "middleware")))

    def is_large(self, name: str) -> bool:
        """Tell whether one of its weights, a matrix, takes long to convert: all but a lidar's."""
        return not name.startswith(f"{self._scope}lidar.")

    def to_canonical(self, name: str, inner: Tensor) -> Tensor:
        """Return one of its weights, or a tensor that belongs to it element by element, in its canonical order."""
        if self._has_patches and name == self._first_kernel:
            kernel: Tensor = functional.pixel_shuffle(inner, _PATCH)
            return kernel
        if name == self._first_dense:
            height, width, channels = self._camera.feature_map()
            return self._move_features(
                inner, lambda part: part.reshape(-1, height, width, channels).permute(0, 3, 1, 2).flatten(1)
            )
        return inner

    def to_inner(self, name: str, canonical: Tensor) -> Tensor:
        """Undo `to_canonical`."""
        if self._has_patches and name == self._first_kernel:
            return functional.pixel_unshuffle(canonical, _PATCH)
        if name == self._first_dense:
            height, width, channels = self._camera.feature_map()
            return self._move_features(
                canonical, lambda part: part.reshape(-1, channels, height, width).permute(0, 2, 3, 1).flatten(1)
            )
        return canonical

    def ready(self, name: str, inner: Tensor, dtype: torch.dtype) -> Tensor:
        """Return one of its weights as `run` takes it: of a type, and the first ones scaled to bytes."""
        # Scaling the kernel instead of the frame: bytes are exact in bfloat16, 255ths are not.
        if name == self._first_kernel:
            inner = inner * self._camera.byte_value
        elif self._lidar is not None and name == self._first_scan_weight:
            inner = inner * self._lidar.byte_value
        return inner.to(dtype)

    def run(self, weights: Mapping[str, Tensor], seen: Seen) -> Tensor:
        """Compute the features of some observations.

        Args:
            weights: From `ready`.
            seen: From `read_frames`, of the weights' type.

        Returns:
            float32, shape (B, width).
        """
        features = seen.pixels
        for index, layer in enumerate(self._camera.convolutions):
            name = f"{self._scope}embedder.conv.{index}"
            stride = 1 if index == 0 and self._has_patches else layer.stride
            features = _relu(functional.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], stride))
        features = (features if self._first_dense is None else features.permute(0, 2, 3, 1)).flatten(1)
        features = _run_dense(weights, f"{self._scope}embedder.dense", len(self._camera.dense), features)
        if self._lidar is not None:
            beside = _run_dense(weights, f"{self._scope}lidar.dense", len(self._lidar.dense), seen.scans)
            features = torch.cat([features if part.is_camera else beside for part in self._layout.inputs], 1)
        return _run_dense(weights, f"{self._scope}middleware", len(self._middleware), features).float()

    def _move_features(self, matrix: Tensor, move: Callable[[Tensor], Tensor]) -> Tensor:
        """Reorder the columns of the first dense layer that read convolutions."""
        widths = [math.prod(part.feature_map()) if part.is_camera else part.width for part in self._first_dense_inputs]
        parts = zip(torch.split(matrix, widths, 1), self._first_dense_inputs, strict=True)
        moved = [move(columns) if part.is_camera else columns for columns, part in parts]
        return moved[0].contiguous() if len(moved) == 1 else torch.cat(moved, 1)


def read_frames(layout: NetworkLayout, frames: Tensor, dtype: torch.dtype) -> Seen:
    """Return frames as the trunks of a layout read them.

    Args:
        layout: Which sensors there are.
        frames: uint8, contiguous: one frame per row, shape (B, *frame), as `formats.observation` lays them out; or
            several, oldest first, shape (B, stack, *frame).
        dtype: Type that the trunks compute in.
    """
    stack, channels = layout.stack, layout.camera.shape[-1]
    if channels == 1 and layout.lidar is None:
        pictures, scans = frames.unsqueeze(1), frames[:, 0, :0]
    else:
        rows = frames.reshape(len(frames), stack, -1)
        end = channels // stack * FRAME_HEIGHT * FRAME_WIDTH
        pictures = rows[:, :, :end].reshape(-1, channels, FRAME_HEIGHT, FRAME_WIDTH)
        scans = rows[:, :, end:].flatten(1)
    return Seen(_read_pixels(layout.camera, pictures).to(dtype), scans.to(dtype))


def _read_pixels(camera: InputLayout, pictures: Tensor) -> Tensor:
    if not _reads_patches(camera):
        return pictures.contiguous(memory_format=torch.channels_last)
    channels, rows, columns = pictures.shape[1], FRAME_HEIGHT // _PATCH, FRAME_WIDTH // _PATCH
    words = pictures.contiguous().view(torch.int32).view(-1, channels, rows, _PATCH, columns)
    patches = words.permute(0, 2, 4, 1, 3).contiguous().view(torch.uint8)
    return patches.view(-1, rows, columns, channels * _PATCH * _PATCH).permute(0, 3, 1, 2)


def _add_dense(weights: Weights, name: str, width: int, sizes: tuple[int, ...], generator: torch.Generator) -> None:
    for index, units in enumerate(sizes):
        add_layer(weights, f"{name}.{index}", glorot_uniform((units, width), generator))
        width = units


def _run_dense(weights: Mapping[str, Tensor], name: str, count: int, features: Tensor) -> Tensor:
    for index in range(count):
        features = _relu(
            functional.linear(features, weights[f"{name}.{index}.weight"], weights[f"{name}.{index}.bias"])
        )
    return features


def add_layer(weights: Weights, name: str, kernel: Tensor) -> None:
    """Add a layer's weight, and a bias of zeros."""
    weights[f"{name}.weight"] = kernel
    weights[f"{name}.bias"] = torch.zeros(kernel.shape[0])


def glorot_uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw from U(-b, b) with b = sqrt(6 / (fan in + fan out)) (Glorot and Bengio, 2010, equation 16)."""
    receptive = math.prod(shape[2:])
    bound = math.sqrt(6.0 / (receptive * (shape[0] + shape[1])))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def normalised_columns(shape: tuple[int, int], norm: float, generator: torch.Generator) -> Tensor:
    """Draw a layer whose incoming weights of each output have a given Euclidean norm."""
    kernel = torch.randn(shape, generator=generator)
    lengths: Tensor = kernel.square().sum(dim=1, keepdim=True).sqrt()
    return kernel * (norm / lengths)


class _ReluInPlace(torch.autograd.Function):
    """ReLU that overwrites its input and, on the way back, its output's gradient.

    Every activation of a trunk has one reader, whose gradient nobody else looks at; so both may be overwritten, which
    saves a pass over memory that is not in the cache.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, features: Tensor) -> Tensor:
        ctx.mark_dirty(features)
        features.relu_()
        ctx.save_for_backward(features)
        return features

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors  # type: ignore[attr-defined]
        if gradient.stride() != features.stride():  # a view of something else
            gradient = gradient.clone()
        torch.ops.aten.threshold_backward.grad_input(gradient, features, 0, grad_input=gradient)
        return gradient


def _relu(features: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return features.relu_()
    return cast("Tensor", _ReluInPlace.apply(features))  # type: ignore[no-untyped-call]


def _reads_patches(camera: InputLayout) -> bool:
    first = camera.convolutions[0]
    return first.stride == _PATCH and first.kernel % _PATCH == 0
