"""The policy and value networks: built from `formats.network_layout`, initialised as contract 6.3 says.

Weights leave and enter under their canonical names and shapes, those of an ordinary torch network that reads pictures
of (channels, 120, 160) and flattens channels first. Inside, two of them are kept in an order that computes faster and
means the same:

- A first convolution with stride 4 reads a picture as 30 x 40 patches of 4 x 4 pixels, so its 8 x 8 kernel becomes
  a 2 x 2 kernel over 16 channels: a single input channel would leave most of a vector unit idle.
- The first dense layer behind the convolutions takes their features channels last, as they leave them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional

from drctl.formats.network_layout import FRAME_HEIGHT, FRAME_WIDTH
from drctl.trainer.distributions import ActionDistribution, Categorical, Gaussian

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drctl.formats.network_layout import InputLayout, NetworkLayout

Heads = Literal["shared", "separate"]

CONTINUOUS_OUTPUTS: Final = 2  # steering and speed, contract 6.2
_PATCH: Final = 4  # pixels; a row of a patch is then one 32-bit word
_VALUE_HEAD_NORM: Final = 1.0  # contract 6.3
_MEAN_HEAD_NORM: Final = 0.01  # contract 6.3
_HEADS: Final = ("policy.", "value.", "log_std")
_LIDARS: Final = ("lidar.", "value_lidar.")

Weights = dict[str, Tensor]


class ActorCritic:
    """A policy and a value function over observations.

    Args:
        layout: Sensors and sizes of the layers.
        num_actions: Number of discrete actions; None for a continuous action space.
        heads: ``shared``: one trunk carries both heads. ``separate``: a second trunk (``value_embedder.*``,
            ``value_lidar.*``, ``value_middleware.*``) carries the value head, as in the original, at twice the cost.
        seed: Equal seeds give equal weights.
        device: Where to compute.

    Attributes:
        parameters: Trainable float32 tensors by canonical name, in their inner order; see `canonical`.
        distribution: Kind of the action's distribution.
    """

    def __init__(
        self, layout: NetworkLayout, num_actions: int | None, *, heads: Heads, seed: int, device: torch.device
    ) -> None:
        self._layout = layout
        self._camera, self._lidar = layout.camera, layout.lidar
        self.distribution: type[Gaussian | Categorical] = Categorical if num_actions else Gaussian
        self._is_shared = heads == "shared"
        self._has_patches = _reads_patches(layout.camera)
        self._first_dense = "embedder.dense.0.weight" if layout.camera.dense else "middleware.0.weight"
        # What that layer reads: the convolutions' features, and in the middleware what lies beside them.
        self._first_dense_inputs = (layout.camera,) if layout.camera.dense else layout.inputs
        generator = torch.Generator().manual_seed(seed)
        initial = _initial_weights(layout, num_actions, heads, generator)
        self.parameters: Weights = {
            name: self._to_inner(name, initial.pop(name)).to(device).requires_grad_() for name in list(initial)
        }

    def canonical(self, name: str, inner: Tensor) -> Tensor:
        """Return a parameter, or a tensor that belongs to it element by element, in its canonical shape and order."""
        base = name.removeprefix("value_")
        if self._has_patches and base == "embedder.conv.0.weight":
            kernel: Tensor = functional.pixel_shuffle(inner, _PATCH)
            return kernel.contiguous()
        if base == self._first_dense:
            height, width, channels = self._camera.feature_map()
            return self._move_features(
                inner, lambda part: part.reshape(-1, height, width, channels).permute(0, 3, 1, 2).flatten(1)
            )
        return inner.contiguous()

    def assign(self, name: str, inner: Tensor, canonical: Tensor) -> None:
        """Overwrite a parameter, or a tensor that belongs to it, by what `canonical` gave."""
        with torch.no_grad():
            inner.copy_(self._to_inner(name, canonical))

    def copies_in(self, dtype: torch.dtype) -> Weights:
        """Return copies of the parameters that it would take long to convert for every use: the trunks' dense layers.

        There are none in float32, and none of a lidar's small layers.
        """
        small = (*_HEADS, *_LIDARS)
        large = [name for name, tensor in self.parameters.items() if tensor.dim() == 2 and not name.startswith(small)]
        return {} if dtype == torch.float32 else {name: self.parameters[name].detach().to(dtype) for name in large}

    def refresh_copies(self, copies: Mapping[str, Tensor]) -> None:
        """Make what `copies_in` gave equal to the parameters as they are now."""
        with torch.no_grad():
            for name, copy in copies.items():
                copy.copy_(self.parameters[name])

    def weights_for(self, dtype: torch.dtype, parameters: Mapping[str, Tensor] | None = None) -> Weights:
        """Return the weights ready to compute in a type: trunks converted and scaled to bytes, heads float32.

        Gradients flow through to the parameters.

        Args:
            dtype: Type the trunks compute in.
            parameters: Stand-ins for `parameters`, float32 or already of the type.
        """
        weights = {}
        for name, parameter in (parameters or self.parameters).items():
            tensor: Tensor = parameter
            # Scaling the kernel instead of the frame: bytes are exact in bfloat16, 255ths are not.
            if name.endswith("embedder.conv.0.weight"):
                tensor = tensor * self._camera.byte_value
            elif self._lidar is not None and name.endswith("lidar.dense.0.weight"):
                tensor = tensor * self._lidar.byte_value
            weights[name] = tensor if name.startswith(_HEADS) else tensor.to(dtype)
        return weights

    def forward(self, weights: Mapping[str, Tensor], frames: Tensor) -> tuple[ActionDistribution, Tensor]:
        """Judge observations.

        Args:
            weights: From `weights_for`.
            frames: uint8, contiguous: one frame per row, shape (B, *frame), as `formats.observation` lays them out;
                or several, oldest first, shape (B, stack, *frame).

        Returns:
            The distribution of the action, and the values, float32, shape (B,).
        """
        dtype = weights["embedder.conv.0.weight"].dtype
        pictures, scans = self._split(frames)
        seen = self._read_pixels(pictures).to(dtype), scans.to(dtype)
        features = self._run_trunk(weights, "", *seen)
        output = functional.linear(features, weights["policy.weight"], weights["policy.bias"])
        distribution: ActionDistribution = (
            Gaussian(output, weights["log_std"]) if self.distribution is Gaussian else Categorical(output)
        )
        if not self._is_shared:
            features = self._run_trunk(weights, "value_", *seen)
        values = functional.linear(features, weights["value.weight"], weights["value.bias"])
        return distribution, values.squeeze(1)

    def _split(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures, shape (B, channels, 120, 160), and the lidar's bytes, shape (B, values)."""
        stack, channels = self._layout.stack, self._camera.shape[-1]
        if channels == 1 and self._lidar is None:
            return frames.unsqueeze(1), frames[:, 0, :0]
        rows = frames.reshape(len(frames), stack, -1)
        end = channels // stack * FRAME_HEIGHT * FRAME_WIDTH
        pictures = rows[:, :, :end].reshape(-1, channels, FRAME_HEIGHT, FRAME_WIDTH)
        return pictures, rows[:, :, end:].flatten(1)

    def _read_pixels(self, pictures: Tensor) -> Tensor:
        if not self._has_patches:
            return pictures.contiguous(memory_format=torch.channels_last)
        channels, rows, columns = pictures.shape[1], FRAME_HEIGHT // _PATCH, FRAME_WIDTH // _PATCH
        words = pictures.contiguous().view(torch.int32).view(-1, channels, rows, _PATCH, columns)
        patches = words.permute(0, 2, 4, 1, 3).contiguous().view(torch.uint8)
        return patches.view(-1, rows, columns, channels * _PATCH * _PATCH).permute(0, 3, 1, 2)

    def _run_trunk(self, weights: Mapping[str, Tensor], scope: str, pixels: Tensor, scans: Tensor) -> Tensor:
        features = pixels
        for index, layer in enumerate(self._camera.convolutions):
            name = f"{scope}embedder.conv.{index}"
            stride = 1 if index == 0 and self._has_patches else layer.stride
            features = _relu(functional.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], stride))
        features = features.permute(0, 2, 3, 1).flatten(1)
        features = _run_dense(weights, f"{scope}embedder.dense", len(self._camera.dense), features)
        if self._lidar is not None:
            beside = _run_dense(weights, f"{scope}lidar.dense", len(self._lidar.dense), scans)
            features = torch.cat([features if part.is_camera else beside for part in self._layout.inputs], 1)
        return _run_dense(weights, f"{scope}middleware", len(self._layout.middleware_dense), features).float()

    def _move_features(self, matrix: Tensor, move: Callable[[Tensor], Tensor]) -> Tensor:
        """Reorder the columns of the first dense layer that read convolutions."""
        widths = [math.prod(part.feature_map()) if part.is_camera else part.width for part in self._first_dense_inputs]
        parts = zip(torch.split(matrix, widths, 1), self._first_dense_inputs, strict=True)
        moved = [move(columns) if part.is_camera else columns for columns, part in parts]
        return moved[0].contiguous() if len(moved) == 1 else torch.cat(moved, 1)

    def _to_inner(self, name: str, canonical: Tensor) -> Tensor:
        base = name.removeprefix("value_")
        if self._has_patches and base == "embedder.conv.0.weight":
            canonical = functional.pixel_unshuffle(canonical, _PATCH)
        elif base == self._first_dense:
            height, width, channels = self._camera.feature_map()
            canonical = self._move_features(
                canonical, lambda part: part.reshape(-1, channels, height, width).permute(0, 2, 3, 1).flatten(1)
            )
        is_kernel = canonical.dim() == 4
        return canonical.contiguous(memory_format=torch.channels_last if is_kernel else torch.contiguous_format)


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


def _run_dense(weights: Mapping[str, Tensor], name: str, count: int, features: Tensor) -> Tensor:
    for index in range(count):
        features = _relu(
            functional.linear(features, weights[f"{name}.{index}.weight"], weights[f"{name}.{index}.bias"])
        )
    return features


def _reads_patches(camera: InputLayout) -> bool:
    first = camera.convolutions[0]
    return first.stride == _PATCH and first.kernel % _PATCH == 0


def _initial_weights(
    layout: NetworkLayout, num_actions: int | None, heads: Heads, generator: torch.Generator
) -> Weights:
    weights: Weights = {}
    for scope in ("",) if heads == "shared" else ("", "value_"):
        # The camera comes first, whatever the alphabet says: a lidar beside it leaves its draws as they are.
        for part in sorted(layout.inputs, key=lambda part: not part.is_camera):
            channels = part.shape[-1]
            for index, layer in enumerate(part.convolutions):
                shape = (layer.filters, channels, layer.kernel, layer.kernel)
                _add_layer(weights, f"{scope}{part.scope}.conv.{index}", _glorot_uniform(shape, generator))
                channels = layer.filters
            _add_dense(weights, f"{scope}{part.scope}.dense", math.prod(part.feature_map()), part.dense, generator)
        width = sum(part.width for part in layout.inputs)
        width = _add_dense(weights, f"{scope}middleware", width, layout.middleware_dense, generator)
    if num_actions is None:
        _add_layer(weights, "policy", _normalised_columns((CONTINUOUS_OUTPUTS, width), _MEAN_HEAD_NORM, generator))
        weights["log_std"] = torch.zeros(CONTINUOUS_OUTPUTS)
    else:
        _add_layer(weights, "policy", _glorot_uniform((num_actions, width), generator))
    _add_layer(weights, "value", _normalised_columns((1, width), _VALUE_HEAD_NORM, generator))
    return weights


def _add_dense(weights: Weights, name: str, width: int, sizes: tuple[int, ...], generator: torch.Generator) -> int:
    for index, units in enumerate(sizes):
        _add_layer(weights, f"{name}.{index}", _glorot_uniform((units, width), generator))
        width = units
    return width


def _add_layer(weights: Weights, name: str, kernel: Tensor) -> None:
    weights[f"{name}.weight"] = kernel
    weights[f"{name}.bias"] = torch.zeros(kernel.shape[0])


def _glorot_uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw from U(-b, b) with b = sqrt(6 / (fan in + fan out)) (Glorot and Bengio, 2010, equation 16)."""
    receptive = math.prod(shape[2:])
    bound = math.sqrt(6.0 / (receptive * (shape[0] + shape[1])))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _normalised_columns(shape: tuple[int, int], norm: float, generator: torch.Generator) -> Tensor:
    """Draw a layer whose incoming weights of each output have a given Euclidean norm."""
    kernel = torch.randn(shape, generator=generator)
    lengths: Tensor = kernel.square().sum(dim=1, keepdim=True).sqrt()
    return kernel * (norm / lengths)
