"""Networks against ordinary torch layers that hold the same weights."""

import math

import pytest
import torch
from torch import nn

from drctl.formats.network_layout import DEEP, MIDDLE, NETWORK_NAMES, SHALLOW, network_layout
from drctl.trainer.networks import SHARED_VALUE_GRADIENT, ActorCritic, dampen_gradient

CPU = torch.device("cpu")
NETWORKS = {name: network_layout(name, {"FRONT_FACING_CAMERA": (120, 160, 1)}) for name in NETWORK_NAMES}


def make(network=SHALLOW, num_actions=5, heads="shared", seed=0):
    return ActorCritic(NETWORKS[network], num_actions, heads=heads, seed=seed, device=CPU)


def canonical_weights(network):
    return {name: network.canonical(name, tensor.detach()) for name, tensor in network.parameters.items()}


def ordinary_trunk(layout, weights, scope=""):
    """The trunk as contract 6.3 writes it down: channels first, full kernels, /255, ReLU after every layer."""
    layers, channels = [], 1
    for index, layer in enumerate(layout.camera.convolutions):
        convolution = nn.Conv2d(channels, layer.filters, layer.kernel, layer.stride)
        convolution.load_state_dict(
            {part: weights[f"{scope}embedder.conv.{index}.{part}"] for part in ("weight", "bias")}
        )
        layers += [convolution, nn.ReLU()]
        channels = layer.filters
    layers.append(nn.Flatten())
    dense = [f"{scope}embedder.dense.{index}" for index in range(len(layout.camera.dense))]
    dense += [f"{scope}middleware.{index}" for index in range(len(layout.middleware_dense))]
    for name in dense:
        units, width = weights[f"{name}.weight"].shape
        linear = nn.Linear(width, units)
        linear.load_state_dict({part: weights[f"{name}.{part}"] for part in ("weight", "bias")})
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)


def random_frames(count, seed=0):
    return torch.randint(0, 256, (count, 120, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [SHALLOW, MIDDLE, DEEP])
@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_outputs_equal_those_of_ordinary_layers(name, heads):
    network = make(name, heads=heads)
    weights = canonical_weights(network)
    frames = random_frames(3)
    pixels = frames.float().unsqueeze(1) / 255.0
    with torch.no_grad():
        distribution, values = network.forward(network.weights_for(torch.float32), frames)
        features = ordinary_trunk(NETWORKS[name], weights)(pixels)
        logits = nn.functional.linear(features, weights["policy.weight"], weights["policy.bias"])
        if heads == "separate":
            features = ordinary_trunk(NETWORKS[name], weights, "value_")(pixels)
        expected = nn.functional.linear(features, weights["value.weight"], weights["value.bias"])[:, 0]
    probabilities = torch.stack([distribution.log_prob(torch.full((3,), action)) for action in range(5)], 1).exp()
    torch.testing.assert_close(probabilities, logits.softmax(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [SHALLOW, MIDDLE])
def test_gradients_equal_those_of_ordinary_layers(name):
    """The policy's in full; of the values' a share, less what all rows have in common."""
    network = make(name)
    weights = canonical_weights(network)
    frames, actions = random_frames(4), torch.arange(4)
    distribution, values = network.forward(network.weights_for(torch.float32), frames)
    (distribution.log_prob(actions).sum() + values.square().sum()).backward()
    trunk = ordinary_trunk(NETWORKS[name], weights)
    features = trunk(frames.float().unsqueeze(1) / 255.0)
    log_probs = nn.functional.linear(features, weights["policy.weight"]).log_softmax(1)
    errors = 2 * values.detach()  # the gradients of the squares, one per row
    told = nn.functional.linear(features, weights["value.weight"])[:, 0] @ (errors - errors.mean())
    (log_probs.gather(1, actions[:, None]).sum() + SHARED_VALUE_GRADIENT * told).backward()
    trained = [name for name in network.parameters if name.startswith(("embedder", "middleware"))]
    for inner_name, expected in zip(trained, trunk.parameters(), strict=True):
        gradient = network.canonical(inner_name, network.parameters[inner_name].grad)
        torch.testing.assert_close(gradient, expected.grad, rtol=1e-3, atol=1e-3 * expected.grad.abs().max().item())


def test_what_dampens_a_gradient_changes_no_number():
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(dampen_gradient(features), features)


def test_shallow_weights_have_the_names_and_shapes_of_the_contract():
    shapes = {name: tuple(tensor.shape) for name, tensor in canonical_weights(make()).items()}
    assert shapes == {
        "embedder.conv.0.weight": (32, 1, 8, 8),
        "embedder.conv.0.bias": (32,),
        "embedder.conv.1.weight": (64, 32, 4, 4),
        "embedder.conv.1.bias": (64,),
        "embedder.conv.2.weight": (64, 64, 3, 3),
        "embedder.conv.2.bias": (64,),
        "middleware.0.weight": (512, 11264),
        "middleware.0.bias": (512,),
        "policy.weight": (5, 512),
        "policy.bias": (5,),
        "value.weight": (1, 512),
        "value.bias": (1,),
    }


def test_separate_heads_have_a_second_trunk_of_other_weights():
    weights = canonical_weights(make(DEEP, num_actions=None, heads="separate"))
    second = [name for name in weights if name.startswith("value_")]
    assert len(second) == 2 * (4 + 2 + 2)
    assert weights["log_std"].tolist() == [0.0, 0.0]
    assert weights["policy.weight"].shape == (2, 128)
    assert not torch.equal(weights["value_embedder.conv.0.weight"], weights["embedder.conv.0.weight"])


def test_layers_start_as_the_contract_says():
    weights = canonical_weights(make(num_actions=None))
    for name, fan_in, fan_out in [
        ("embedder.conv.0.weight", 64, 32 * 64),
        ("embedder.conv.1.weight", 32 * 16, 64 * 16),
        ("middleware.0.weight", 11264, 512),
    ]:
        bound = math.sqrt(6 / (fan_in + fan_out))
        largest = weights[name].abs().max().item()
        assert 0.98 * bound < largest <= bound, name
        assert weights[name].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name
    assert all(not tensor.any() for name, tensor in weights.items() if name.endswith("bias"))
    assert weights["value.weight"].norm().item() == pytest.approx(1.0, rel=1e-5)
    assert weights["policy.weight"].norm(dim=1).tolist() == pytest.approx([0.01, 0.01], rel=1e-5)
    discrete = canonical_weights(make())["policy.weight"]
    assert 0.98 * math.sqrt(6 / 517) < discrete.abs().max().item() <= math.sqrt(6 / 517)


def test_equal_seeds_give_equal_weights_and_others_do_not():
    first, second, other = (canonical_weights(make(seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["middleware.0.weight"], other["middleware.0.weight"])


@pytest.mark.parametrize("name", [SHALLOW, MIDDLE, DEEP])
def test_assigned_weights_come_back_unchanged(name):
    source, target = make(name, seed=1), make(name, seed=2)
    wanted = canonical_weights(source)
    for layer, tensor in wanted.items():
        target.assign(layer, target.parameters[layer], tensor)
    assert all(torch.equal(tensor, wanted[layer]) for layer, tensor in canonical_weights(target).items())


def test_bf16_comes_close_to_fp32():
    network = make()
    frames = random_frames(4)
    with torch.no_grad():
        exact = network.forward(network.weights_for(torch.float32), frames)[1]
        rounded = network.forward(network.weights_for(torch.bfloat16), frames)[1]
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
