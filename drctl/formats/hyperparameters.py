"""``hyperparameters.json``, what the user writes, and ``ip/hyperparameters.json``, what was in effect.

Each hyperparameter is declared once, as a field of `Hyperparameters`: its key, default, range, meaning and who uses it.
The reader, the checks and the table in ``docs/hyperparameters.md`` follow from that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, Literal

from drctl.errors import Problem
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import read_json_object

ValueLoss = Literal["huber", "mse"]
Exploration = Literal["categorical", "e-greedy"]
Algorithm = Literal["clipped_ppo", "sac"]
User = Literal["both", "clipped_ppo", "sac", "e-greedy", "score"]

_LOSS_NAMES: Final[Mapping[str, ValueLoss]] = MappingProxyType({"huber": "huber", "mean squared error": "mse"})
_EXPLORATIONS: Final[Mapping[str, Exploration]] = MappingProxyType(
    {"categorical": "categorical", "e-greedy": "e-greedy"}
)
_NO_TARGET_SCORE: Final = 100000.0  # default of term_cond_avg_score, contract 6.1
_ABOUT: Final = "about"  # of a field's metadata

# Understood by the original's trainer beside the hyperparameters (contract 3.1); they change nothing here.
_ORIGINAL_EXTRAS: Final = (
    "max_sample_count",
    "sampling_frequency",
    "is_profiler_on",
    "profiler_s3_bucket",
    "profiler_s3_prefix",
    "s3_kms_cmk_arn",
)


@dataclass(frozen=True)
class Declaration:
    """What is known of one hyperparameter besides its default.

    Attributes:
        key: Its name in the file.
        meaning: What it does, in one sentence.
        used_by: Who looks at it: an algorithm or ``both``, the exploration ``e-greedy``, or the stop rule ``score``.
        low: Lowest value.
        high: Highest value.
        choices: What can be written, with what it is called inside; None for numbers.
    """

    key: str
    meaning: str
    used_by: User
    low: float = -math.inf
    high: float = math.inf
    choices: Mapping[str, str] | None = None


def _declare(key: str, default: Any, meaning: str, used_by: User = "both", **about: Any) -> Any:
    return field(default=default, metadata={_ABOUT: Declaration(key, meaning, used_by, **about)})


@dataclass(frozen=True)
class Hyperparameters:
    """How a car learns; the defaults are those of absent keys (contract 6.1).

    The original checks no range; ours hold what DeepRacer on AWS allows with room around it, and stop at values that
    cannot train.
    """

    minibatch_size: int = _declare("batch_size", 64, "Transitions per gradient step.", low=1, high=65536)
    num_epochs: int = _declare(
        "num_epochs", 10, "Passes over an iteration's transitions.", "clipped_ppo", low=1, high=100
    )
    learning_rate: float = _declare("lr", 0.0003, "Step size of the optimiser, Adam.", low=1e-8, high=1)
    entropy_coef: float = _declare(
        "beta_entropy", 0.01, "Weight of the reward for staying undecided; 0 removes it.", "clipped_ppo", low=0, high=1
    )
    gamma: float = _declare("discount_factor", 0.999, "What a reward one step later is worth.", low=0, high=1)
    value_loss: ValueLoss = _declare(  # noqa: RUF009  it calls dataclasses.field
        "loss_type", "mse", "Loss of what the network expects to earn; huber forgives outliers.", choices=_LOSS_NAMES
    )
    exploration: Exploration = _declare(  # noqa: RUF009  likewise
        "exploration_type",
        "categorical",
        "How training actions are chosen: drawn from the policy's probabilities, or the likeliest one with a falling "
        "share of random ones (discrete actions only).",
        "clipped_ppo",
        choices=_EXPLORATIONS,
    )
    epsilon_final: float = _declare(
        "e_greedy_value", 0.05, "Share of random actions from epsilon_steps on.", "e-greedy", low=0, high=1
    )
    epsilon_steps: int = _declare(
        "epsilon_steps",
        10000,
        "Training steps over which the share of random actions falls from 1.",
        "e-greedy",
        low=1,
        high=1_000_000_000,
    )
    episodes_per_iteration: int = _declare(
        "num_episodes_between_training",
        20,
        "Episodes per iteration; with sac also how many gradient steps the target network is behind.",
        low=1,
        high=1000,
    )
    max_episodes: int = _declare(
        "term_cond_max_episodes", 100000, "Training episodes after which the run ends.", low=1, high=1_000_000_000
    )
    target_score: float | None = _declare(
        "term_cond_avg_score",
        None,
        "Mean reward of the last 100 training episodes that ends the run under DR_TRAIN_STOP_WHEN=score.",
        "score",
    )
    stack_size: int = _declare(
        "stack_size",
        1,
        "Frames per observation, the last ones of every sensor; the first of an episode stands for missing ones.",
        low=1,
        high=16,
    )
    sac_alpha: float = _declare(
        "sac_alpha", 0.2, "Weight of the policy's entropy beside the reward.", "sac", low=0, high=1
    )


def _read_declarations() -> dict[str, Declaration]:
    return {item.name: item.metadata[_ABOUT] for item in fields(Hyperparameters)}


DECLARATIONS: Final[Mapping[str, Declaration]] = MappingProxyType(_read_declarations())
"""By attribute of `Hyperparameters`."""

KEYS: Final = tuple(sorted(about.key for about in DECLARATIONS.values()))


def parse_hyperparameters(data: bytes | str, source: str) -> Hyperparameters:
    """Read ``hyperparameters.json`` or ``ip/hyperparameters.json``.

    Any value may be written as a text.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        The hyperparameters, defaults filled in.

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    reader = FieldReader(read_json_object(data, source), source)
    reader.refuse_unknown((*KEYS, *_ORIGINAL_EXTRAS))
    result = Hyperparameters(**{item.name: _read(reader, item) for item in fields(Hyperparameters)})
    reader.raise_problems()
    return result


def _read(reader: FieldReader, item: Field[Any]) -> Any:
    about: Declaration = item.metadata[_ABOUT]
    if about.choices is not None:
        return about.choices[reader.choice(about.key, _written(about, item.default), tuple(about.choices))]
    if isinstance(item.default, int):
        return reader.integer(about.key, item.default, low=int(about.low), high=int(about.high))
    if item.default is None and not reader.has(about.key):
        return None
    return reader.number(about.key, _written(about, item.default), low=about.low, high=about.high)


def _written(about: Declaration, value: Any) -> Any:
    """Return a value as it stands in the file."""
    if about.choices is not None:
        return next(name for name, inner in about.choices.items() if inner == value)
    return _NO_TARGET_SCORE if value is None else value


def render_effective(hyperparameters: Hyperparameters, algorithm: Algorithm) -> str:
    """Return the text of ``ip/hyperparameters.json``: indent 2, sorted keys, numbers as numbers.

    Args:
        hyperparameters: What is in effect.
        algorithm: Each algorithm leaves out what only the other one uses (contract 6.1).
    """
    values = {}
    for item in fields(Hyperparameters):
        about = DECLARATIONS[item.name]
        # The original's file names the exploration under either algorithm.
        if about.used_by in ("clipped_ppo", "sac") and about.used_by != algorithm and item.name != "exploration":
            continue
        value = _written(about, getattr(hyperparameters, item.name))
        values[about.key] = float(value) if "float" in str(item.type) else value
    return json.dumps(values, indent=2, sort_keys=True)


def impossible(hyperparameters: Hyperparameters, *, is_continuous: bool, source: str) -> list[Problem]:
    """Name what cannot be done with the model's actions.

    Args:
        hyperparameters: What the user asks for.
        is_continuous: Whether the model chooses steering and speed freely.
        source: The file's name for messages.
    """
    if hyperparameters.exploration == "e-greedy" and is_continuous:
        return [
            Problem(
                "exploration_type e-greedy chooses from a list of actions, and this model has none",
                f"{source}: exploration_type",
                "categorical, which draws continuous actions around the policy's mean",
                f'set "exploration_type": "categorical" in {source}',
            )
        ]
    return []


def idle_keys(hyperparameters: Hyperparameters, algorithm: Algorithm) -> list[str]:
    """Return the keys whose value differs from the default but that nothing looks at, the stop rule's aside.

    Args:
        hyperparameters: What the user asks for.
        algorithm: The model's.
    """
    users = {"both", "score", algorithm}
    if algorithm == "clipped_ppo" and hyperparameters.exploration == "e-greedy":
        users.add("e-greedy")
    return [
        about.key
        for item in fields(Hyperparameters)
        if (about := DECLARATIONS[item.name]).used_by not in users
        and getattr(hyperparameters, item.name) != item.default
    ]


def render_table() -> str:
    """Return the Markdown table of ``docs/hyperparameters.md``."""
    lines = ["| key | meaning | values | if absent | used by |", "|---|---|---|---|---|"]
    for item in fields(Hyperparameters):
        about = DECLARATIONS[item.name]
        absent = "none" if item.default is None else f"`{_written(about, item.default)}`"
        lines.append(f"| `{about.key}` | {about.meaning} | {_values(about)} | {absent} | {_USERS[about.used_by]} |")
    return "\n".join(lines) + "\n"


_USERS: Final[Mapping[User, str]] = MappingProxyType(
    {
        "both": "both algorithms",
        "clipped_ppo": "clipped_ppo",
        "sac": "sac",
        "e-greedy": "clipped_ppo with `e-greedy`",
        "score": "the stop rule `score`",
    }
)


def _values(about: Declaration) -> str:
    if about.choices is not None:
        return ", ".join(f"`{name}`" for name in about.choices)
    return "any number" if math.isinf(about.low) else f"{_number(about.low)} to {_number(about.high)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
