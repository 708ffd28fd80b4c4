"""Adam in shards against torch's own."""

import pytest
import torch

from drctl.trainer.optimizer import Adam
from drctl.trainer.shards import Shards

SHAPES = {"kernel": (6, 4, 3, 3), "dense": (5, 7), "bias": (5,), "value": (1, 7)}


def random_tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    return {**tensors, "kernel": tensors["kernel"].contiguous(memory_format=torch.channels_last)}


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_steps_equal_those_of_torch(count):
    parameters, ordinary = random_tensors(0), random_tensors(0)
    optimizer = Adam(parameters, 0.01, Shards(count))
    reference = torch.optim.Adam(list(ordinary.values()), lr=0.01, betas=(0.9, 0.999), eps=1e-5)
    for step in range(5):
        # Kernels' gradients come in either order of memory.
        parts = [random_tensors(100 + 10 * step + part) for part in range(3)]
        parts[1]["kernel"] = parts[1]["kernel"].contiguous()
        optimizer.step(parts, {})
        for name, parameter in ordinary.items():
            parameter.grad = parts[0][name] + parts[1][name] + parts[2][name]
        reference.step()
    assert optimizer.steps.item() == 5
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter, ordinary[name], rtol=1e-5, atol=1e-6)
        for moment in ("exp_avg", "exp_avg_sq"):
            expected = reference.state[ordinary[name]][moment]
            torch.testing.assert_close(getattr(optimizer, moment)[name], expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_summed_in_float32():
    parameter = {"dense": torch.zeros(2, 2)}
    optimizer = Adam(parameter, 0.1, Shards(2))
    # 1 + 1/512 is not a bfloat16 number.
    parts = [{"dense": torch.full((2, 2), value, dtype=torch.bfloat16)} for value in (1.0, 1 / 512)]
    optimizer.step(parts, {})
    assert optimizer.exp_avg["dense"].flatten().tolist() == pytest.approx([0.1 * (1 + 1 / 512)] * 4, rel=1e-6)


def test_copies_follow():
    parameters = random_tensors(0)
    copies = {"dense": parameters["dense"].bfloat16()}
    Adam(parameters, 0.1, Shards(2)).step([random_tensors(1)], copies)
    assert torch.equal(copies["dense"], parameters["dense"].bfloat16())
    assert not torch.equal(parameters["dense"], random_tensors(0)["dense"])
