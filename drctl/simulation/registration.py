"""Makes the environment known to Gymnasium under its id."""

from __future__ import annotations

from typing import Final

ENVIRONMENT_ID: Final = "drctl/DeepRacer-v0"


def register() -> None:
    """Register `ENVIRONMENT_ID`; importing `drctl.simulation.gym` does so. Repeating it is harmless."""
    import gymnasium

    if ENVIRONMENT_ID in gymnasium.registry:
        return
    gymnasium.register(
        id=ENVIRONMENT_ID,
        entry_point="drctl.simulation.gym:DeepRacerEnv",
        vector_entry_point="drctl.simulation.gym:DeepRacerVectorEnv",
    )
