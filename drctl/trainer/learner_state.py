"""A learner's weights and optimiser as bytes, and back.

The files hold nothing but tensors under canonical names and are read with ``weights_only``, so that a model from
elsewhere cannot run code.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from drctl.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from drctl.trainer.networks import Network
    from drctl.trainer.optimizer import Adam
    from drctl.trainer.trunk import Weights

_WEIGHTS: Final = "the weights file"
_OPTIMIZER: Final = "the optimiser file"
_STEPS: Final = "steps"  # gradient steps so far, the same for every parameter
_FIX: Final = "resume with the model_metadata.json and heads that the checkpoint was trained with, or start with -w"


def save_weights(network: Network) -> bytes:
    """Return a network's weights."""
    return _write(
        {name: network.canonical(name, parameter.detach()).cpu() for name, parameter in network.parameters.items()}
    )


def load_weights(network: Network, data: bytes) -> None:
    """Overwrite a network's weights; nothing changes when they do not fit.

    Raises:
        FormatError: Every layer that does not fit.
    """
    expected = {name: network.canonical(name, parameter.detach()) for name, parameter in network.parameters.items()}
    tensors = _read(data, expected, _WEIGHTS)
    for name, parameter in network.parameters.items():
        network.assign(name, parameter, tensors[name])


def load_policy(network: Network, weights: Mapping[str, NDArray[np.float32]], source: str) -> None:
    """Overwrite the weights of a network's policy and leave all others; nothing changes when they do not fit.

    Args:
        network: The network.
        weights: By canonical name.
        source: Name of the file that they are from, for messages.

    Raises:
        FormatError: Every layer that does not fit.
    """
    tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    parameters = network.parameters
    expected = {name: network.canonical(name, parameters[name].detach()) for name in tensors if name in parameters}
    _compare(tensors, expected, source)
    for name, tensor in tensors.items():
        network.assign(name, parameters[name], tensor)


def save_optimizer(network: Network, optimizer: Adam) -> bytes:
    """Return an optimiser's state."""
    state = _canonical_optimizer(network, optimizer)
    return _write({name: tensor.cpu() for name, tensor in state.items()})


def load_optimizer(network: Network, optimizer: Adam, data: bytes) -> None:
    """Overwrite an optimiser's state; nothing changes when it does not fit.

    Raises:
        FormatError: Every tensor that does not fit.
    """
    tensors = _read(data, _canonical_optimizer(network, optimizer), _OPTIMIZER)
    optimizer.steps.copy_(tensors[_STEPS])
    for moment, means in _moments(optimizer).items():
        for name, mean in means.items():
            network.assign(name, mean, tensors[f"{moment}.{name}"])


def copy_state(network: Network, optimizer: Adam) -> list[Tensor]:
    """Return a copy of everything an update changes, for `restore_state`."""
    return [tensor.detach().clone() for tensor in _changing(network, optimizer)]


def restore_state(network: Network, optimizer: Adam, before: list[Tensor]) -> None:
    """Undo all changes since `copy_state`."""
    with torch.no_grad():
        for tensor, old in zip(_changing(network, optimizer), before, strict=True):
            tensor.copy_(old)


def _changing(network: Network, optimizer: Adam) -> Iterator[Tensor]:
    yield optimizer.steps
    for tensors in (network.parameters, *_moments(optimizer).values()):
        yield from tensors.values()


def _canonical_optimizer(network: Network, optimizer: Adam) -> dict[str, Tensor]:
    return {
        _STEPS: optimizer.steps,
        **{
            f"{moment}.{name}": network.canonical(name, mean)
            for moment, means in _moments(optimizer).items()
            for name, mean in means.items()
        },
    }


def _moments(optimizer: Adam) -> dict[str, Weights]:
    return {"exp_avg": optimizer.exp_avg, "exp_avg_sq": optimizer.exp_avg_sq}


def _write(tensors: dict[str, Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def _read(data: bytes, expected: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise FormatError(
            f"{source} is damaged or something else ({type(error).__name__})",
            where=source,
            expected="tensors as this program writes them",
            fix="resume from another checkpoint",
        ) from error
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise FormatError(f"{source} holds no named tensors", where=source, fix="resume from another checkpoint")
    _compare(content, expected, source)
    return content


def _compare(content: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    problems = [
        Problem(f"{name} is missing in {source}", f"{source}: {name}", _shape(tensor), _FIX)
        for name, tensor in expected.items()
        if name not in content
    ]
    problems += [
        Problem(f"{name} in {source} belongs to another network", f"{source}: {name}", "no such layer", _FIX)
        for name in content
        if name not in expected
    ]
    problems += [
        Problem(f"{name} in {source} has {_shape(content[name])}", f"{source}: {name}", _shape(tensor), _FIX)
        for name, tensor in expected.items()
        if name in content and (content[name].shape != tensor.shape or content[name].dtype != tensor.dtype)
    ]
    if problems:
        raise FormatError.from_problems(problems)


def _shape(tensor: Tensor) -> str:
    return f"shape {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
