"""The networks of a learner: trunks that read the camera, and heads on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from drctl.trainer.distributions import ActionDistribution, Categorical, EntropicDistribution, Gaussian
from drctl.trainer.trunk import Seen, Trunk, Weights, add_layer, glorot_uniform, normalised_columns, read_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drctl.formats.network_layout import NetworkLayout

Heads = Literal["shared", "separate"]

CONTINUOUS_OUTPUTS: Final = 2  # steering and speed, contract 6.2
_VALUE_HEAD_NORM: Final = 1.0  # contract 6.3
MEAN_HEAD_NORM: Final = 0.01  # contract 6.3

SHARED_VALUE_GRADIENT: Final = 0.03
"""Share of the value head's gradient that reaches a trunk which the policy looks through too; see `dampen_gradient`."""


class Network(ABC):
    """Trainable weights of some trunks and of the heads on them.

    Args:
        layout: Sizes of the trunks' layers.
        trunks: Which there are.
        initial: Weights to begin with, by canonical name, those of the trunks and those of the heads.
        device: Where to compute.

    Attributes:
        parameters: Trainable float32 tensors by canonical name, in their inner order; see `canonical`.
        distribution: Kind of the action's distribution.
    """

    distribution: type[ActionDistribution]

    def __init__(self, layout: NetworkLayout, trunks: Sequence[Trunk], initial: Weights, device: torch.device) -> None:
        self._layout = layout
        self._owners = {name: trunk for trunk in trunks for name in initial if trunk.owns(name)}
        self.parameters: Weights = {
            name: self._to_inner(name, initial.pop(name)).to(device).requires_grad_() for name in list(initial)
        }

    def canonical(self, name: str, inner: Tensor) -> Tensor:
        """Return a parameter, or a tensor that belongs to it element by element, in its canonical shape and order."""
        trunk = self._owners.get(name)
        return (trunk.to_canonical(name, inner) if trunk else inner).contiguous()

    def assign(self, name: str, inner: Tensor, canonical: Tensor) -> None:
        """Overwrite a parameter, or a tensor that belongs to it, by what `canonical` gave."""
        with torch.no_grad():
            inner.copy_(self._to_inner(name, canonical))

    def copies_in(self, dtype: torch.dtype) -> Weights:
        """Return copies of the parameters that it would take long to convert for every use: the trunks' dense layers.

        There are none in float32, and none of a lidar's small layers.
        """
        large = [name for name, tensor in self.parameters.items() if tensor.dim() == 2 and self._is_large(name)]
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
        return {
            name: self._owners[name].ready(name, tensor, dtype) if name in self._owners else tensor
            for name, tensor in (parameters or self.parameters).items()
        }

    @abstractmethod
    def forward(self, weights: Mapping[str, Tensor], frames: Tensor) -> tuple[ActionDistribution, Tensor]:
        """Judge observations.

        Args:
            weights: From `weights_for`.
            frames: See `trunk.read_frames`.

        Returns:
            The distribution of the action, and the values, float32, shape (B,).
        """

    def read(self, frames: Tensor, weights: Mapping[str, Tensor]) -> Seen:
        """Return frames as the trunks read them with some weights; see `trunk.read_frames`."""
        dtype = next(tensor.dtype for name, tensor in weights.items() if name in self._owners)
        return read_frames(self._layout, frames, dtype)

    def _is_large(self, name: str) -> bool:
        return name in self._owners and self._owners[name].is_large(name)

    def _to_inner(self, name: str, canonical: Tensor) -> Tensor:
        trunk = self._owners.get(name)
        inner = trunk.to_inner(name, canonical) if trunk else canonical
        is_kernel = inner.dim() == 4
        return inner.contiguous(memory_format=torch.channels_last if is_kernel else torch.contiguous_format)


def dampen_gradient(features: Tensor) -> Tensor:
    """Return the same features, through which a share of the gradient passes, less its mean over the rows.

    While all values are too low, as they are at first and whenever a car gets further, their gradients agree where
    those of the policy do not: they would turn the trunk, and the policy with it, to say what a bias can say as well.
    What is left tells the trunk which observations are worth more than others (docs/performance.md, "What the levers
    gave").

    Args:
        features: Shape (B, width): those that a shard computes at once, a random part of the minibatch. Of a single one
            nothing is left.
    """
    if not torch.is_grad_enabled():
        return features
    spread = features - features.mean(0)
    return features.detach() + SHARED_VALUE_GRADIENT * (spread - spread.detach())


class ActorCritic(Network):
    """A policy and a value function over observations.

    Args:
        layout: Sensors and sizes of the layers.
        num_actions: Number of discrete actions; None for a continuous action space.
        heads: ``shared``: one trunk carries both heads, and learns mostly from the policy. ``separate``: a second trunk
            (``value_embedder.*``, ``value_lidar.*``, ``value_middleware.*``) carries the value head, as in the
            original, at twice the cost.
        seed: Equal seeds give equal weights.
        device: Where to compute.
    """

    def __init__(
        self, layout: NetworkLayout, num_actions: int | None, *, heads: Heads, seed: int, device: torch.device
    ) -> None:
        self.distribution = Categorical if num_actions else Gaussian
        self._policy_trunk = Trunk(layout)
        self._value_trunk = self._policy_trunk if heads == "shared" else Trunk(layout, "value_")
        trunks = list(dict.fromkeys((self._policy_trunk, self._value_trunk)))
        generator = torch.Generator().manual_seed(seed)
        initial: Weights = {}
        for trunk in trunks:
            initial |= trunk.initial_weights(generator)
        width = self._policy_trunk.width
        if num_actions is None:
            add_layer(initial, "policy", normalised_columns((CONTINUOUS_OUTPUTS, width), MEAN_HEAD_NORM, generator))
            initial["log_std"] = torch.zeros(CONTINUOUS_OUTPUTS)
        else:
            add_layer(initial, "policy", glorot_uniform((num_actions, width), generator))
        add_layer(initial, "value", normalised_columns((1, width), _VALUE_HEAD_NORM, generator))
        super().__init__(layout, trunks, initial, device)

    def forward(self, weights: Mapping[str, Tensor], frames: Tensor) -> tuple[EntropicDistribution, Tensor]:
        """Judge observations; see `Network.forward`."""
        seen = self.read(frames, weights)
        features = self._policy_trunk.run(weights, seen)
        output = functional.linear(features, weights["policy.weight"], weights["policy.bias"])
        distribution: EntropicDistribution = (
            Gaussian(output, weights["log_std"]) if self.distribution is Gaussian else Categorical(output)
        )
        if self._value_trunk is self._policy_trunk:
            features = dampen_gradient(features)
        else:
            features = self._value_trunk.run(weights, seen)
        values = functional.linear(features, weights["value.weight"], weights["value.bias"])
        return distribution, values.squeeze(1)
