"""The charts of a training, or of several laid over one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from drctl.analysis import findings
from drctl.analysis.drawing.chart import Figure, Point, Series, Style, draw_areas, draw_chart, thin

if TYPE_CHECKING:
    from drctl.analysis.iterations import Iteration, Outcome
    from drctl.analysis.record import ModelRecord

MODEL_COLORS: Final = tuple(
    f"var(--{name})" for name in ("blue", "orange", "green", "violet", "red", "teal", "pink", "brown")
)
"""As many models as there are colours can be compared."""

TRAINING: Final = "var(--blue)"
EVALUATION: Final = "var(--green)"

_LEARNING: Final = (
    ("entropy", "Entropy", " nats"),
    ("value_loss", "Value loss", ""),
    ("policy_loss", "Policy loss", ""),
    ("q_loss", "Q loss", ""),
    ("kl_divergence", "KL divergence", ""),
)
_PHASES: Final = (
    ("collect", "driving", "var(--blue)"),
    ("update", "learning", "var(--violet)"),
    ("evaluate", "evaluating", "var(--green)"),
    ("publish", "storing", "var(--orange)"),
)

Value = Callable[["Iteration"], float | None]


def draw_curves(records: Sequence[ModelRecord]) -> list[Figure]:
    """Draw what changed over the iterations; charts without any figures are left out."""
    figures = [_reward(records), _completion(records), _lap_times(records)]
    figures += [_learning(records, name, title, unit) for name, title, unit in _LEARNING]
    figures.append(_steps(records))
    if len(records) == 1:
        figures.append(_phases(records[0]))
    return [figure for figure in figures if figure is not None]


def _reward(records: Sequence[ModelRecord]) -> Figure | None:
    series = _both(records, lambda outcome: outcome.reward_mean)
    return draw_chart("Reward per episode", series, note=_alone(records, findings.about_reward))


def _completion(records: Sequence[ModelRecord]) -> Figure | None:
    series = _both(records, lambda outcome: outcome.progress_mean_percent)
    note = _alone(records, findings.about_completion)
    return draw_chart("Completion", series, unit=" %", low=0.0, high=100.0, note=note)


def _lap_times(records: Sequence[ModelRecord]) -> Figure | None:
    if len(records) > 1:
        series = [
            Series(record.name, color, thin(_points(record, _best_of_both), takes_least=True))
            for record, color in zip(records, MODEL_COLORS, strict=False)
        ]
        return draw_chart("Best lap", series, unit=" s")
    record = records[0]
    trained = _points(record, lambda one: one.training.best_lap_s)
    return draw_chart(
        "Lap times",
        [
            Series("training, best", TRAINING, thin(trained, takes_least=True), "dots"),
            Series("evaluation, best", EVALUATION, thin(_points(record, _best_evaluated), takes_least=True)),
        ],
        unit=" s",
        note=findings.about_lap_times(record),
    )


def _learning(records: Sequence[ModelRecord], name: str, title: str, unit: str) -> Figure | None:
    note = _alone(records, lambda record: findings.about_learning(record, name))
    low = 0.0 if name == "entropy" and all(_lowest(record, name) >= 0 for record in records) else None
    series = _each(records, lambda one: one.learning.get(name), "var(--violet)")
    return draw_chart(title, series, unit=unit, low=low, note=note)


def _steps(records: Sequence[ModelRecord]) -> Figure | None:
    def per_episode(one: Iteration) -> float | None:
        return None if one.steps is None else one.steps / max(1, one.training.episodes)

    note = _alone(records, findings.about_steps)
    return draw_chart("Steps per episode", _each(records, per_episode, TRAINING), low=0.0, note=note)


def _phases(record: ModelRecord) -> Figure | None:
    spent = [(one.number, one.seconds, sum(one.seconds.values())) for one in record.iterations]
    timed = [one for one in spent if one[2] > 0]
    layers = [
        (label, color, thin([(number, 100 * seconds.get(name, 0.0) / total) for number, seconds, total in timed]))
        for name, label, color in _PHASES
    ]
    return draw_areas("Where the time went", layers, note=findings.about_time(record)) if len(timed) > 1 else None


def _both(records: Sequence[ModelRecord], value: Callable[[Outcome], float]) -> list[Series]:
    """Draw training and evaluation of one model in two colours; of several, the model's colour thin and bold."""

    def training(one: Iteration) -> float | None:
        return value(one.training)

    def evaluation(one: Iteration) -> float | None:
        return None if one.evaluation is None else value(one.evaluation)

    if len(records) == 1:
        return [
            Series("training", TRAINING, thin(_points(records[0], training))),
            Series("evaluation", EVALUATION, thin(_points(records[0], evaluation))),
        ]
    drawn: list[Series] = []
    for record, color in zip(records, MODEL_COLORS, strict=False):
        judged = thin(_points(record, evaluation))
        style: Style = "faint" if judged else "line"
        drawn.append(Series(record.name, color, judged))
        drawn.append(Series("in training" if judged else record.name, color, thin(_points(record, training)), style))
    return drawn


def _each(records: Sequence[ModelRecord], value: Value, color: str) -> list[Series]:
    if len(records) == 1:
        return [Series("training", color, thin(_points(records[0], value)))]
    return [
        Series(record.name, color, thin(_points(record, value)))
        for record, color in zip(records, MODEL_COLORS, strict=False)
    ]


def _points(record: ModelRecord, value: Value) -> list[Point]:
    found = [(one.number, value(one)) for one in record.iterations]
    return [(number, one) for number, one in found if one is not None]


def _best_evaluated(one: Iteration) -> float | None:
    return None if one.evaluation is None else one.evaluation.best_lap_s


def _best_of_both(one: Iteration) -> float | None:
    return min((time for time in (one.training.best_lap_s, _best_evaluated(one)) if time is not None), default=None)


def _lowest(record: ModelRecord, name: str) -> float:
    return min((one.learning[name] for one in record.iterations if name in one.learning), default=0.0)


def _alone(records: Sequence[ModelRecord], note: Callable[[ModelRecord], str]) -> str:
    return note(records[0]) if len(records) == 1 else ""
