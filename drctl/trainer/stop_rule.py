"""When a training has reached what it was started for (DESIGN 2, ``DR_TRAIN_STOP_WHEN``)."""

from __future__ import annotations

from dataclasses import dataclass

from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.manifest import Counters
from drctl.trainer.spec import StopRuleName

LAP_STREAK = 3
"""Evaluations in a row with a complete lap in every trial that end a training under the rule ``laps``."""

SCORE_WINDOW = 100
"""Training episodes over which the rule ``score`` averages."""


@dataclass(frozen=True)
class StopRule:
    """The rule of one training.

    Attributes:
        name: ``max_episodes``, ``score`` or ``laps``.
        max_episodes: Training episodes that end the run under every rule.
        target_score: ``term_cond_avg_score``, or None where the file has none.
    """

    name: StopRuleName
    max_episodes: int
    target_score: float | None

    @classmethod
    def of(cls, name: StopRuleName, hyperparameters: Hyperparameters) -> StopRule:
        """Make the rule from the setting and the hyperparameters."""
        return cls(name, hyperparameters.max_episodes, hyperparameters.target_score)

    def reason_to_stop(self, counters: Counters) -> str | None:
        """Return why the run is over, as a sentence for people, or None while it is not."""
        if self.name == "laps" and counters.lap_streak >= LAP_STREAK:
            return f"every trial was a complete lap in {LAP_STREAK} evaluations in a row"
        if self.name == "score" and self.target_score is not None and len(counters.recent_scores) >= SCORE_WINDOW:
            mean = sum(counters.recent_scores) / len(counters.recent_scores)
            if mean >= self.target_score:
                return f"mean reward {mean:.1f} of the last {SCORE_WINDOW} episodes reached {self.target_score:g}"
        if counters.episodes >= self.max_episodes:
            return f"{counters.episodes} training episodes were driven (term_cond_max_episodes {self.max_episodes})"
        return None

    def describe(self) -> str:
        """Say in one line when the run ends."""
        limit = f"at the latest after {self.max_episodes} episodes"
        if self.name == "laps":
            return f"all trials complete in {LAP_STREAK} evaluations in a row, {limit}"
        if self.name == "score" and self.target_score is not None:
            return f"mean reward of {SCORE_WINDOW} episodes at least {self.target_score:g}, {limit}"
        return f"after {self.max_episodes} episodes"
