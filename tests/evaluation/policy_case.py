"""Policies of every kind, untrained but with answers that differ, and what the trainer's network says they answer."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch

from drctl.formats.frozen_graph import encode_policy, encode_sac_policy
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.network_layout import DEEP, MIDDLE, SHALLOW
from drctl.formats.observation import ObservationForm, layout_of
from drctl.trainer.networks import ActorCritic
from drctl.trainer.sac_network import SacNetwork

CPU = torch.device("cpu")
CAMERAS = ["FRONT_FACING_CAMERA", "LEFT_CAMERA", "observation", "STEREO_CAMERAS"]
LIDARS = [None, "LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR"]
NETWORKS = [SHALLOW, MIDDLE, DEEP]
KINDS = ["discrete", "continuous", "sac"]
OPTIONS = {"DISCRETIZED_SECTOR_LIDAR": {"num_sectors": 16, "num_values_per_sector": 5, "clipping_dist": 3.0}}
STEERING = (-30, 0, 30)
BOUNDS = {"steering_angle": {"low": -20, "high": 30}, "speed": {"low": 0.5, "high": 2}}


def metadata_of(camera, lidar, network=SHALLOW, kind="discrete"):
    """A model of three actions, or of bounds."""
    return parse_model_metadata(metadata_text(camera, lidar, network, kind), "model_metadata.json")


def metadata_text(camera, lidar, network=SHALLOW, kind="discrete"):
    actions = [{"steering_angle": angle, "speed": 1} for angle in STEERING]
    content = {
        "action_space": actions if kind == "discrete" else BOUNDS,
        "action_space_type": "discrete" if kind == "discrete" else "continuous",
        "training_algorithm": "sac" if kind == "sac" else "clipped_ppo",
        "sensor": [camera] if lidar is None else [lidar, camera],
        "neural_network": network,
        "version": 5,
    }
    if lidar in OPTIONS:
        content["lidar_config"] = OPTIONS[lidar]
    return json.dumps(content)


def random_stacks(form, stack, count, seed=0):
    """Frames as the sensors give them: any pixels, ranges of 15 to 100 hundredths, sectors of 0 and 1."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (count, stack, int(np.prod(form.shape))), dtype=np.uint8)
    if form.lidar is not None:
        low, high = (15, 101) if form.lidar == "LIDAR" else (0, 2)
        rows[:, :, -form.lidar_bytes :] = random.integers(low, high, (count, stack, form.lidar_bytes))
    return rows.reshape(count, stack, *form.shape)


@dataclass
class PolicyCase:
    """One policy: its metadata, its network and the graph of it."""

    camera: str
    lidar: str | None
    network_name: str = SHALLOW
    kind: str = "discrete"
    stack: int = 1
    heads: str = "shared"

    def __post_init__(self):
        self.metadata = metadata_of(self.camera, self.lidar, self.network_name, self.kind)
        self.layout = layout_of(self.metadata, self.stack)
        self.form = ObservationForm.of(self.metadata)
        options = {"heads": self.heads, "seed": 3, "device": CPU}
        if self.kind == "sac":
            self.network = SacNetwork(self.layout, **options)
        else:
            self.network = ActorCritic(self.layout, self.metadata.num_actions, **options)
        if self.kind != "discrete":  # answers as far apart as after a training
            last = "policy.mean.weight" if self.kind == "sac" else "policy.weight"
            self.network.parameters[last].data.mul_(100)

    @property
    def weights(self):
        """The weights by canonical name."""
        parameters = self.network.parameters
        return {name: self.network.canonical(name, tensor.detach()).numpy() for name, tensor in parameters.items()}

    def graph(self):
        if self.kind == "sac":
            return encode_sac_policy(self.layout, self.weights)
        return encode_policy(self.layout, self.metadata.num_actions, self.weights)

    def stacks(self, count, seed=0):
        """Random observations, shape (count, stack, *frame)."""
        return random_stacks(self.form, self.stack, count, seed)

    def answers(self, stacks):
        """What the trainer's float32 network answers: probabilities, or steering and speed in units of the bounds."""
        seen = torch.from_numpy(stacks[:, 0] if self.stack == 1 else stacks)
        with torch.no_grad():
            distribution, _ = self.network.forward(self.network.weights_for(torch.float32), seen)
            if self.kind != "discrete":
                return distribution.mode().numpy()
            actions = [torch.full((len(seen),), action) for action in range(len(STEERING))]
            return torch.stack([distribution.log_prob(action) for action in actions], 1).exp().numpy()
