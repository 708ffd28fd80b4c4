"""Losses that several algorithms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from drctl.formats.hyperparameters import ValueLoss

HUBER_DELTA: Final = 1.0  # contract 6.4


def value_loss(values: Tensor, returns: Tensor, kind: ValueLoss) -> Tensor:
    """Return the loss of each row's value, shape (B,): Huber with delta 1, or the squared error."""
    if kind == "huber":
        return functional.huber_loss(values, returns, reduction="none", delta=HUBER_DELTA)
    return (values - returns).square()
