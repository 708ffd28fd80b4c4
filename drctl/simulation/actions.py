"""What a chosen action means: an angle and a speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from drctl.formats.model_metadata import DiscreteActionSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.model_metadata import ModelMetadata


class ActionTable:
    """Translates a policy's choices into commands.

    Args:
        metadata: Whose ``action_space`` counts.
    """

    def __init__(self, metadata: ModelMetadata) -> None:
        space = metadata.action_space
        self.is_continuous = not isinstance(space, DiscreteActionSpace)
        if isinstance(space, DiscreteActionSpace):
            self._commands = np.column_stack([space.steering_deg, space.speed_m_s]).astype(np.float64)
        else:
            self._low = np.array([space.steering_low_deg, space.speed_low_m_s], np.float64)
            self._half = (np.array([space.steering_high_deg, space.speed_high_m_s], np.float64) - self._low) / 2.0

    @property
    def default_action(self) -> int:
        """Number of the first action that steers straight ahead; 0 without one, -1 when continuous (contract 6.2)."""
        if self.is_continuous:
            return -1
        straight = np.flatnonzero(self._commands[:, 0] == 0.0)
        return int(straight[0]) if len(straight) else 0

    def commands(self, actions: NDArray[Any]) -> NDArray[np.float64]:
        """Return the steering angle in degrees and the speed in m/s of each action, shape (k, 2).

        Nothing is clipped to what the car can do: rewards and traces speak of the chosen values.

        Args:
            actions: Numbers of actions, shape (k,); or steering and speed in [-1, 1], shape (k, 2), which are clipped
                to that and scaled to the bounds (contract 6.2).

        Raises:
            ValueError: The shape is wrong, or a value means no action.
        """
        if self.is_continuous:
            if actions.ndim != 2 or actions.shape[1] != 2:
                raise ValueError(f"continuous actions need the shape (k, 2), got {actions.shape}")
            if not np.isfinite(actions).all():
                raise ValueError("actions must be finite numbers")
            unit = np.clip(actions.astype(np.float64), -1.0, 1.0)
            return np.asarray(self._half * (unit + 1.0) + self._low, np.float64)
        if actions.ndim != 1 or actions.dtype.kind not in "iu":
            raise ValueError(f"discrete actions need whole numbers of shape (k,), got {actions.dtype} {actions.shape}")
        if len(actions) and not 0 <= actions.min() <= actions.max() < len(self._commands):
            raise ValueError(f"discrete actions must be 0 to {len(self._commands) - 1}, got {actions.tolist()}")
        return np.asarray(self._commands[actions], np.float64)
