"""The three behaviours that the original's car has had, as figures (simulator-facts 1.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import numpy as np

from drctl.errors import ConfigError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

PhysicsVariant = Literal["effort", "kinematics", "ros2"]
"""``effort``: Gazebo classic, versions 3 and 4; ``kinematics``: classic, version 5; ``ros2``: Harmonic, 5 and 6."""

PHYSICS_SETTINGS: Final = ("auto", *get_args(PhysicsVariant))
"""Values of ``DR_PHYSICS``."""

_FIRST_KINEMATIC_VERSION: Final = 5.0  # DESIGN 2: below it the car is driven by effort controllers

STEERING_LIMIT_DEG: Final = 30.0
"""Commands are clipped to this on both sides (simulator-facts 1.3)."""

SPEED_LOW_M_S: Final = 0.1
SPEED_HIGH_M_S: Final = 4.0
"""Commands are clipped to these (simulator-facts 1.3)."""

SPEED_FACTOR: Final = 36.0 / 35.0
"""True speed over commanded speed: wheels of 36 mm are commanded as if they had 35 (simulator-facts 0.5)."""

SPEED_CEILING_M_S: Final = 3.6
"""100 rad/s x 0.036 m (simulator-facts 0.5)."""


@dataclass(frozen=True)
class Physics:
    """How a car answers to its commands.

    The curvature of the path is ``gain(angle) * thinning(speed) * tan(angle) / wheelbase``, at most
    ``lateral_cap / speed**2``, where ``angle`` follows the steering command.

    Attributes:
        steering_time_s: Time constant of the steering.
        dead_time_s: Delay before a new steering command begins to act.
        speed_time_s: Time constant of the speed.
        acceleration_m_s2: Greatest acceleration.
        braking_m_s2: Greatest deceleration.
        lateral_cap_m_s2: Greatest sideways acceleration.
        pivot_m: How far behind base_link the point lies that moves straight ahead.
        gain: (degrees, gain) pairs, ascending; linear between and constant beyond.
        thinning_per_m_s: Loss of gain per m/s above 1 m/s, as a share.
        thinning_per_m2_s2: Loss of gain by 1 / (1 + this * speed**2).
    """

    steering_time_s: float
    dead_time_s: float
    speed_time_s: float
    acceleration_m_s2: float
    braking_m_s2: float
    lateral_cap_m_s2: float
    pivot_m: float
    gain: tuple[tuple[float, float], ...]
    thinning_per_m_s: float = 0.0
    thinning_per_m2_s2: float = 0.0

    def pack(self) -> NDArray[np.float64]:
        """Return the figures as compiled kernels read them: nine numbers, then angles in radians, then gains."""
        angle, gain = zip(*self.gain, strict=True)
        numbers = [
            self.steering_time_s,
            self.dead_time_s,
            self.speed_time_s,
            self.acceleration_m_s2,
            self.braking_m_s2,
            self.lateral_cap_m_s2,
            self.pivot_m,
            self.thinning_per_m_s,
            self.thinning_per_m2_s2,
        ]
        return np.array([*numbers, *np.radians(angle), *gain], np.float64)


PHYSICS: Final[dict[str, Physics]] = {
    "effort": Physics(
        steering_time_s=0.48,
        dead_time_s=0.013,
        speed_time_s=0.17,
        acceleration_m_s2=2.85,
        braking_m_s2=4.0,
        lateral_cap_m_s2=4.7,
        pivot_m=0.09,
        gain=((10.0, 0.78), (15.0, 0.70), (18.0, 0.65), (22.0, 0.60), (25.0, 0.55)),
        thinning_per_m_s=0.1 / 1.2,  # a tenth is lost from 1.0 to 2.2 m/s
    ),
    "kinematics": Physics(
        steering_time_s=0.12,
        dead_time_s=0.035,
        speed_time_s=0.17,
        acceleration_m_s2=3.3,
        braking_m_s2=4.0,
        lateral_cap_m_s2=2.4,
        pivot_m=0.05,
        gain=((0.0, 0.38),),
        thinning_per_m2_s2=0.035,
    ),
    "ros2": Physics(
        steering_time_s=0.168,
        dead_time_s=0.029,
        speed_time_s=0.025,  # "under 0.03 s"
        acceleration_m_s2=9.0,
        braking_m_s2=9.0,
        lateral_cap_m_s2=4.8,
        pivot_m=0.096,
        gain=((19.0, 0.64), (22.0, 0.57)),  # the step at 22 degrees, without a jump
    ),
}
"""The columns of simulator-facts 1.5 and its closed forms."""


def resolve_physics(setting: str, metadata_version: float) -> PhysicsVariant:
    """Return the physics that a setting means for a model.

    Args:
        setting: ``DR_PHYSICS``; empty counts as ``auto``.
        metadata_version: ``version`` of ``model_metadata.json``.

    Raises:
        ConfigError: The setting is none of the known ones.
    """
    if setting in ("", "auto"):
        return "effort" if metadata_version < _FIRST_KINEMATIC_VERSION else "ros2"
    if setting not in PHYSICS:
        near = nearest(setting, PHYSICS_SETTINGS)
        raise ConfigError(
            f"DR_PHYSICS is '{setting}'",
            expected="one of: " + ", ".join(PHYSICS_SETTINGS),
            fix=f"drctl config set DR_PHYSICS={near or 'auto'}",
        )
    return cast("PhysicsVariant", setting)
