"""What figures say about a training, in one sentence each: the question that users of charts ask most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.analysis.record import mean
from drctl.formats.episode_status import EpisodeStatus
from drctl.status.text import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.analysis.drawing.actions import ActionShare
    from drctl.analysis.drive import Drive
    from drctl.analysis.laps import Lap
    from drctl.analysis.record import ModelRecord
    from drctl.simulation.track.track import Track

RARE_PERCENT: Final = 2.0
_SAME_S: Final = 0.005
_DECIDED: Final = 0.35
_UNDECIDED: Final = 0.85
_LEAP: Final = 8
_STEPS_PER_S: Final = 15
_MEANINGS: Final = {
    "value_loss": "How far off the network's forecast of rewards is; it grows with the rewards themselves.",
    "policy_loss": "What the update minimises; by itself it says little about how well the car drives.",
    "q_loss": "How far off the critics' forecasts of rewards are; it grows with the rewards themselves.",
}
_PLACES: Final = 20
"""A lap is parted into so many pieces when places are named."""


def about_reward(record: ModelRecord) -> str:
    """Tell how the reward went."""
    rewards = [iteration.training.reward_mean for iteration in record.iterations]
    if len(rewards) < 2:
        return ""
    best = int(np.argmax(rewards))
    text = f"From {_number(rewards[0])} to {_number(rewards[-1])} per training episode"
    return f"{text}; the highest in iteration {record.iterations[best].number}."


def about_completion(record: ModelRecord) -> str:
    """Tell when the first lap came and how the last evaluation went."""
    judged = [iteration.evaluation for iteration in record.iterations if iteration.evaluation is not None]
    if not judged:
        return "There were no evaluations within the training."
    last, first = judged[-1], record.first_lap
    text = f"The last evaluation: {last.laps} of {last.episodes} laps, {last.progress_mean_percent:.0f} % on average."
    if first is None:
        return f"No evaluation has had a complete lap yet. {text}"
    before = [iteration for iteration in record.iterations if iteration.number <= first.number]
    seconds = sum(sum(iteration.seconds.values()) for iteration in before)
    episodes = sum(iteration.training.episodes for iteration in before)
    when = f"after {episodes} episodes" + (f" and {duration(seconds)}" if seconds else "")
    return f"The first complete lap of an evaluation came in iteration {first.number}, {when}. {text}"


def about_lap_times(record: ModelRecord) -> str:
    """Tell the fastest lap and how much that was gained."""
    times = [
        outcome.best_lap_s
        for iteration in record.iterations
        for outcome in (iteration.training, iteration.evaluation)
        if outcome is not None and outcome.best_lap_s is not None
    ]
    if not times:
        return ""
    gained = times[0] - min(times)
    text = f"The fastest lap of the training took {min(times):.2f} s"
    return f"{text}, {gained:.2f} s less than the first." if gained > _SAME_S else f"{text}, the first one."


def about_lap(record: ModelRecord, lap: Lap) -> list[str]:
    """Tell what a drawn lap is not: the fastest of all, or one from the start line."""
    notes = []
    if record.best_lap_s is not None and record.best_lap_s < lap.time_s - _SAME_S:
        notes.append(
            f"The fastest lap of {record.name}, {record.best_lap_s:.2f} s, was driven in an evaluation within the "
            "training, which leaves no trace; this is the fastest that has one."
        )
    if lap.is_training:
        notes.append(f"The lap of {record.name} begins where its training episode began.")
    return notes


def about_entropy(record: ModelRecord) -> str:
    """Tell how decided the policy is; discrete actions only, where the most is known."""
    values = [one.learning["entropy"] for one in record.iterations if "entropy" in one.learning]
    actions = None if record.metadata is None else record.metadata.num_actions
    if not values or not actions or actions < 2:
        return ""
    most = math.log(actions)
    share = values[-1] / most
    text = f"{values[-1]:.2f} of at most {most:.2f} nats, where all {actions} actions are equally likely: "
    if share > _UNDECIDED:
        return text + "it tries nearly everything still."
    return text + (
        "it has made up its mind." if share < _DECIDED else "it prefers some actions and still tries others."
    )


def about_learning(record: ModelRecord, name: str) -> str:
    """Tell what a figure of the update means, and where it stood out."""
    if name == "entropy":
        return about_entropy(record)
    if name == "kl_divergence":
        return _about_kl(record)
    return _MEANINGS.get(name, "")


def about_steps(record: ModelRecord) -> str:
    """Tell how long an episode of the last iteration was."""
    last = record.iterations[-1] if record.iterations else None
    if last is None or last.steps is None:
        return ""
    per_episode = last.steps / max(1, last.training.episodes)
    return f"{per_episode:.0f} in the last iteration, {per_episode / _STEPS_PER_S:.1f} s of driving."


def _about_kl(record: ModelRecord) -> str:
    found = [
        (one.learning["kl_divergence"], one.number) for one in record.iterations if "kl_divergence" in one.learning
    ]
    if len(found) < 2:
        return ""
    usual, (most, number) = float(np.median([value for value, _ in found])), max(found)
    text = f"How far an update moves the policy: {_number(usual)} is usual here"
    if most < _LEAP * usual:
        return f"{text}, {_number(most)} the most."
    return f"{text}; {_number(most)} in iteration {number} was a leap, after which the policy may need time to recover."


def about_exits(drive: Drive, track: Track | None) -> str:
    """Tell how many of the newest episodes do not come round, and where they end."""
    if not len(drive.ends):
        return ""
    ends = drive.episodes_ending(EpisodeStatus.OFF_TRACK, EpisodeStatus.CRASHED)
    share = 100 * len(ends) / len(drive.ends)
    text = f"{share:.0f} % of the newest {len(drive.ends)} training episodes end beside the road or in a crash"
    if track is None or len(ends) < 5:
        return text + "."
    waypoints = drive.rows["closest_waypoint"][ends]
    low, high, part = _most_frequent(waypoints, len(track.centre_m))
    return f"{text}, {part:.0f} % of them between waypoints {low} and {high}."


def about_speed(speed_m_s: NDArray[np.float64]) -> str:
    """Tell the mean speed of the newest episodes."""
    known = speed_m_s[np.isfinite(speed_m_s)]
    if not len(known):
        return ""
    return f"As driven, not as commanded: {known.mean():.2f} m/s on average, {known.max():.2f} at most, lately."


def about_actions(shares: Sequence[ActionShare]) -> str:
    """Name the action that is taken most and those that are hardly taken."""
    if not shares:
        return ""
    most = max(shares, key=lambda share: share.percent)
    text = f"Most taken: {most.name} ({most.percent:.0f} %)."
    rare = [share.name for share in shares if share.percent < RARE_PERCENT]
    return f"{text} Hardly ever: {', '.join(rare)}." if rare else text


def about_time(record: ModelRecord) -> str:
    """Tell how long an iteration takes."""
    totals = [sum(iteration.seconds.values()) for iteration in record.iterations if iteration.seconds]
    return f"An iteration took {duration(mean(totals))} on average." if totals else ""


def _most_frequent(waypoints: NDArray[np.int32], count: int) -> tuple[int, int, float]:
    """Return first and last waypoint of the piece of the lap with most of them, and its share in percent."""
    edges = np.linspace(0, count, min(_PLACES, count) + 1)
    found = np.histogram(waypoints, edges)[0]
    place = int(np.argmax(found))
    return math.ceil(edges[place]), math.ceil(edges[place + 1]) - 1, 100 * float(found[place]) / len(waypoints)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"
