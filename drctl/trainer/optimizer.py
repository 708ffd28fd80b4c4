"""Adam, every shard of which moves its own rows of every parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.optim.adam import adam

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drctl.trainer.shards import Shards

ADAM_BETAS: Final = (0.9, 0.999)  # contract 6.4
ADAM_EPSILON: Final = 1e-5  # contract 6.4


class Adam:
    """Moves parameters against their gradients.

    Args:
        parameters: Float32 tensors by name; `step` changes them in place.
        learning_rate: Length of a step.
        shards: Who moves which rows.

    Attributes:
        steps: Number of steps so far, float32, shape ().
        exp_avg: Running mean of each parameter's gradient, in the parameter's shape and order.
        exp_avg_sq: Running mean of its square.

    Reference: Kingma and Ba, Adam, 2015 (arXiv 1412.6980), algorithm 1.
    """

    def __init__(self, parameters: Mapping[str, Tensor], learning_rate: float, shards: Shards) -> None:
        self._parameters = {name: parameter.detach() for name, parameter in parameters.items()}
        self._learning_rate = learning_rate
        self._shards = shards
        self.steps = torch.zeros((), device=next(iter(parameters.values())).device)
        self.exp_avg = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}
        self.exp_avg_sq = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}

    def step(self, gradients: Sequence[Mapping[str, Tensor]], copies: Mapping[str, Tensor]) -> None:
        """Move all parameters once.

        Args:
            gradients: By name, of any number format; summed in float32 in the order in which they come.
            copies: Some of the parameters once more, in another number format; they follow.
        """
        with torch.no_grad():
            self._shards.run(lambda number: self._move(number, gradients, copies))
            self.steps += 1

    def _move(self, number: int, gradients: Sequence[Mapping[str, Tensor]], copies: Mapping[str, Tensor]) -> None:
        with torch.no_grad():  # every thread has a switch of its own
            rows = {name: self._shards.split(len(parameter))[number] for name, parameter in self._parameters.items()}
            names = [name for name in rows if rows[name].stop > rows[name].start]
            parameters = [self._parameters[name][rows[name]] for name in names]
            adam(
                parameters,
                [
                    _add([gradient[name][rows[name]] for gradient in gradients], parameter)
                    for name, parameter in zip(names, parameters, strict=True)
                ],
                [self.exp_avg[name][rows[name]] for name in names],
                [self.exp_avg_sq[name][rows[name]] for name in names],
                [],
                [self.steps.clone() for _ in names],
                fused=True,
                amsgrad=False,
                beta1=ADAM_BETAS[0],
                beta2=ADAM_BETAS[1],
                lr=self._learning_rate,
                weight_decay=0.0,
                eps=ADAM_EPSILON,
                maximize=False,
            )
            for name, parameter in zip(names, parameters, strict=True):
                if name in copies:
                    copies[name][rows[name]].copy_(parameter)


def _add(gradients: Sequence[Tensor], parameter: Tensor) -> Tensor:
    """Add gradients in float32, in the parameter's order of memory."""
    total = torch.empty_like(parameter).copy_(gradients[0])
    for gradient in gradients[1:]:
        total += gradient
    return total
