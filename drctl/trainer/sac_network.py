"""The networks of soft actor-critic (contract 6.5): a policy, two action values and a state value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from drctl.trainer.distributions import SquashedGaussian
from drctl.trainer.networks import CONTINUOUS_OUTPUTS, MEAN_HEAD_NORM, Heads, Network
from drctl.trainer.trunk import Trunk, Weights, add_layer, glorot_uniform, normalised_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drctl.formats.network_layout import NetworkLayout

POLICY_HIDDEN: Final = 256  # units, contract 6.5
Q_HIDDEN: Final = (256, 256)  # units, contract 6.5
TWINS: Final = ("q1", "q2")


class SacNetwork(Network):
    """Policy, twin action values Q(s, a) and state value V(s).

    Args:
        layout: Sizes of the trunks' layers.
        heads: ``shared``: one trunk carries all heads, and only the values shape it; the policy reads it as it is.
            ``separate``: three trunks as in the original, that of the action values without middleware.
        seed: Equal seeds give equal weights.
        device: Where to compute.
    """

    distribution = SquashedGaussian

    def __init__(self, layout: NetworkLayout, *, heads: Heads, seed: int, device: torch.device) -> None:
        self._is_shared = heads == "shared"
        self._policy_trunk = self._q_trunk = self._value_trunk = Trunk(layout)
        if not self._is_shared:
            self._q_trunk = Trunk(layout, "q_", has_middleware=False)
            self._value_trunk = Trunk(layout, "value_")
        trunks = list(dict.fromkeys((self._policy_trunk, self._q_trunk, self._value_trunk)))
        generator = torch.Generator().manual_seed(seed)
        initial: Weights = {}
        for trunk in trunks:
            initial |= trunk.initial_weights(generator)
        add_layer(initial, "policy.hidden", glorot_uniform((POLICY_HIDDEN, self._policy_trunk.width), generator))
        for name in ("policy.mean", "policy.log_std"):
            shape = (CONTINUOUS_OUTPUTS, POLICY_HIDDEN)
            add_layer(initial, name, normalised_columns(shape, MEAN_HEAD_NORM, generator))
        for twin in TWINS:
            width = self._q_trunk.width + CONTINUOUS_OUTPUTS
            for index, units in enumerate((*Q_HIDDEN, 1)):
                add_layer(initial, f"{twin}.{index}", glorot_uniform((units, width), generator))
                width = units
        add_layer(initial, "value", glorot_uniform((1, self._value_trunk.width), generator))
        super().__init__(layout, trunks, initial, device)

    def forward(self, weights: Mapping[str, Tensor], frames: Tensor) -> tuple[SquashedGaussian, Tensor]:
        """Judge observations; see `Network.forward`. Values are not looked at when a policy acts, so they are 0."""
        features = self._policy_trunk.run(weights, self.read(frames, weights))
        return self.policy(weights, features), torch.zeros(len(frames), device=frames.device)

    def features(self, weights: Mapping[str, Tensor], frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute what the policy, the action values and the state value see, each float32 of shape (B, width)."""
        seen = self.read(frames, weights)
        if self._is_shared:
            features = self._value_trunk.run(weights, seen)
            return features.detach(), features, features
        return (
            self._policy_trunk.run(weights, seen),
            self._q_trunk.run(weights, seen),
            self._value_trunk.run(weights, seen),
        )

    def policy(self, weights: Mapping[str, Tensor], features: Tensor) -> SquashedGaussian:
        """Return the distribution of the action."""
        hidden = _dense(weights, "policy.hidden", features).relu()
        return SquashedGaussian(_dense(weights, "policy.mean", hidden), _dense(weights, "policy.log_std", hidden))

    def action_values(self, weights: Mapping[str, Tensor], features: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return both estimates of Q(s, a), each float32 of shape (B,); actions in [-1, 1], shape (B, 2)."""
        first, second = (self._action_value(weights, twin, features, actions) for twin in TWINS)
        return first, second

    def state_values(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Return V(s), float32, shape (B,)."""
        return _dense(weights, "value", features).squeeze(1)

    def copy_of_values(self) -> Weights:
        """Return a copy of the parameters of V(s), by their names and in their order."""
        return {
            name: parameter.detach().clone()
            for name, parameter in self.parameters.items()
            if self._value_trunk.owns(name) or name.startswith("value.")
        }

    def move_copy(self, copy: Mapping[str, Tensor], share: float) -> None:
        """Bring what `copy_of_values` gave nearer to the parameters, by a share of what is between them."""
        with torch.no_grad():
            for name, tensor in copy.items():
                tensor.lerp_(self.parameters[name], share)

    def target_values(self, target: Mapping[str, Tensor], frames: Tensor) -> Tensor:
        """Return V(s) by such a copy, made ready by `weights_for`, float32, shape (B,); nothing is differentiated."""
        with torch.no_grad():
            return self.state_values(target, self._value_trunk.run(target, self.read(frames, target)))

    def _action_value(self, weights: Mapping[str, Tensor], twin: str, features: Tensor, actions: Tensor) -> Tensor:
        hidden = torch.cat([features, actions], dim=1)
        for index in range(len(Q_HIDDEN)):
            hidden = _dense(weights, f"{twin}.{index}", hidden).relu()
        return _dense(weights, f"{twin}.{len(Q_HIDDEN)}", hidden).squeeze(1)


def _dense(weights: Mapping[str, Tensor], name: str, features: Tensor) -> Tensor:
    return functional.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"])
