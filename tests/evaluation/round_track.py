"""A round track that one steering angle drives, a car with three actions, and graphs that always choose the same."""

from __future__ import annotations

import numpy as np

from drctl.formats.frozen_graph import encode_policy
from drctl.formats.network_layout import SHALLOW, network_layout

RADIUS_M = 1.0  # ros2 turns 15 degrees of steering into 1 / 0.96 m: 0.64 tan(15) / 0.164 (simulator-facts 1.5)
WIDTH_M = 1.0
POINTS = 240

STRAIGHT, LEFT, RIGHT = 0, 1, 2
METADATA = {
    "action_space": [
        {"steering_angle": 0, "speed": 0.6, "index": 0},
        {"steering_angle": 15, "speed": 0.6, "index": 1},
        {"steering_angle": -15, "speed": 0.6, "index": 2},
    ],
    "action_space_type": "discrete",
    "sensor": ["FRONT_FACING_CAMERA"],
    "neural_network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "training_algorithm": "clipped_ppo",
    "version": "5",
}


def circle_rows():
    """Waypoint rows of a circle around (0, 0), counter-clockwise from (1, 0), closing row included."""
    angle = np.linspace(0.0, 2.0 * np.pi, POINTS + 1)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    unit[-1] = unit[0]
    return np.hstack([unit * RADIUS_M, unit * (RADIUS_M - WIDTH_M / 2), unit * (RADIUS_M + WIDTH_M / 2)])


def constant_graph(action, actions=3):
    """A policy that chooses one action, whatever it sees: all weights are 0 but one bias."""
    shapes = {
        "embedder.conv.0": (32, 1, 8, 8),
        "embedder.conv.1": (64, 32, 4, 4),
        "embedder.conv.2": (64, 64, 3, 3),
        "middleware.0": (512, 11264),
        "policy": (actions, 512),
    }
    weights = {f"{name}.weight": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    weights |= {f"{name}.bias": np.zeros(shape[0], np.float32) for name, shape in shapes.items()}
    weights["policy.bias"][action] = 1.0
    return encode_policy(network_layout(SHALLOW, {"FRONT_FACING_CAMERA": (120, 160, 1)}), actions, weights)


class Script:
    """Drives by a plan: the action of step n, from 0, is ``plan(n)``."""

    def __init__(self, plan):
        self.plan = plan
        self.step = -1

    def begin(self):
        pass

    def act(self, frame):
        assert frame.shape == (120, 160)
        self.step += 1
        return np.array([self.plan(self.step)])
