"""``hyperparameters.json``, what the user writes, and ``ip/hyperparameters.json``, what was in effect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from drctl.errors import Problem
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import read_json_object

ValueLoss = Literal["huber", "mse"]
Exploration = Literal["categorical", "e-greedy"]
Algorithm = Literal["clipped_ppo", "sac"]

_LOSS_NAMES: Final[dict[str, ValueLoss]] = {"huber": "huber", "mean squared error": "mse"}
_EXPLORATIONS: Final[tuple[Exploration, ...]] = ("categorical", "e-greedy")
_NO_TARGET_SCORE: Final = 100000.0  # default of term_cond_avg_score, contract 6.1
_PPO_ONLY: Final = ("num_epochs", "beta_entropy")  # contract 6.1, notes
_SAC_ONLY: Final = ("sac_alpha",)  # contract 6.1, notes

KEYS: Final = (
    "batch_size",
    "beta_entropy",
    "discount_factor",
    "e_greedy_value",
    "epsilon_steps",
    "exploration_type",
    "loss_type",
    "lr",
    "num_episodes_between_training",
    "num_epochs",
    "sac_alpha",
    "stack_size",
    "term_cond_avg_score",
    "term_cond_max_episodes",
)
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
class Hyperparameters:
    """How a car learns; the defaults are those of absent keys (contract 6.1).

    Attributes:
        minibatch_size: Transitions per gradient step (``batch_size``).
        num_epochs: Passes over an iteration's transitions (PPO).
        learning_rate: Adam's step size (``lr``).
        entropy_coef: Weight of the entropy bonus (``beta_entropy``, PPO); 0 removes the term.
        gamma: Discount per step (``discount_factor``), in [0, 1].
        value_loss: ``mse`` is written ``mean squared error`` (``loss_type``).
        exploration: How training actions are drawn (``exploration_type``).
        epsilon_final: Last share of random actions under ``e-greedy`` (``e_greedy_value``), in [0, 1].
        epsilon_steps: Steps over which that share falls from 1.
        episodes_per_iteration: Training episodes per iteration (``num_episodes_between_training``), N.
        max_episodes: Training episodes after which a run ends (``term_cond_max_episodes``).
        target_score: Mean reward at which the stop rule ``score`` ends a run (``term_cond_avg_score``); None when the
            file has none.
        stack_size: Frames per observation: the last ones of every sensor, oldest first; the first frame of an episode
            stands for those that are missing.
        sac_alpha: Weight of SAC's entropy term.
    """

    minibatch_size: int = 64
    num_epochs: int = 10
    learning_rate: float = 0.0003
    entropy_coef: float = 0.01
    gamma: float = 0.999
    value_loss: ValueLoss = "mse"
    exploration: Exploration = "categorical"
    epsilon_final: float = 0.05
    epsilon_steps: int = 10000
    episodes_per_iteration: int = 20
    max_episodes: int = 100000
    target_score: float | None = None
    stack_size: int = 1
    sac_alpha: float = 0.2


def parse_hyperparameters(data: bytes | str, source: str) -> Hyperparameters:
    """Read ``hyperparameters.json`` or ``ip/hyperparameters.json``.

    Any value may be written as a text. The original checks no range; ours hold what DeepRacer on AWS allows (contract
    6.1) with room around it, and stop at values that cannot train.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        The hyperparameters, defaults filled in.

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    default = Hyperparameters()
    fields = FieldReader(read_json_object(data, source), source)
    fields.refuse_unknown((*KEYS, *_ORIGINAL_EXTRAS))
    loss = fields.choice("loss_type", "mean squared error", tuple(_LOSS_NAMES))
    exploration = fields.choice("exploration_type", default.exploration, _EXPLORATIONS)
    result = Hyperparameters(
        minibatch_size=fields.integer("batch_size", default.minibatch_size, low=1, high=65536),
        num_epochs=fields.integer("num_epochs", default.num_epochs, low=1, high=100),
        learning_rate=fields.number("lr", default.learning_rate, low=1e-8, high=1.0),
        entropy_coef=fields.number("beta_entropy", default.entropy_coef, low=0.0, high=1.0),
        gamma=fields.number("discount_factor", default.gamma, low=0.0, high=1.0),
        value_loss=_LOSS_NAMES[loss],
        exploration="e-greedy" if exploration == "e-greedy" else "categorical",
        epsilon_final=fields.number("e_greedy_value", default.epsilon_final, low=0.0, high=1.0),
        epsilon_steps=fields.integer("epsilon_steps", default.epsilon_steps, low=1, high=1_000_000_000),
        episodes_per_iteration=fields.integer(
            "num_episodes_between_training", default.episodes_per_iteration, low=1, high=1000
        ),
        max_episodes=fields.integer("term_cond_max_episodes", default.max_episodes, low=1, high=1_000_000_000),
        target_score=(
            fields.number("term_cond_avg_score", _NO_TARGET_SCORE) if fields.has("term_cond_avg_score") else None
        ),
        stack_size=fields.integer("stack_size", default.stack_size, low=1, high=16),
        sac_alpha=fields.number("sac_alpha", default.sac_alpha, low=0.0, high=1.0),
    )
    fields.raise_problems()
    return result


def render_effective(hyperparameters: Hyperparameters, algorithm: Algorithm) -> str:
    """Return the text of ``ip/hyperparameters.json``: indent 2, sorted keys, numbers as numbers.

    Args:
        hyperparameters: What is in effect.
        algorithm: Each algorithm leaves out what only the other one uses (contract 6.1).
    """
    h = hyperparameters
    loss = next(name for name, inner in _LOSS_NAMES.items() if inner == h.value_loss)
    values: dict[str, Any] = {
        "batch_size": h.minibatch_size,
        "num_epochs": h.num_epochs,
        "stack_size": h.stack_size,
        "lr": float(h.learning_rate),
        "exploration_type": h.exploration,
        "e_greedy_value": float(h.epsilon_final),
        "epsilon_steps": h.epsilon_steps,
        "beta_entropy": float(h.entropy_coef),
        "discount_factor": float(h.gamma),
        "loss_type": loss,
        "num_episodes_between_training": h.episodes_per_iteration,
        "term_cond_max_episodes": h.max_episodes,
        "term_cond_avg_score": float(_NO_TARGET_SCORE if h.target_score is None else h.target_score),
        "sac_alpha": float(h.sac_alpha),
    }
    for key in _PPO_ONLY if algorithm == "sac" else _SAC_ONLY:
        del values[key]
    return json.dumps(values, indent=2, sort_keys=True)


def unsupported(hyperparameters: Hyperparameters, source: str = "hyperparameters.json") -> list[Problem]:
    """Name what is valid but not in this version.

    Args:
        hyperparameters: What the user asks for.
        source: The file's name for messages.

    Returns:
        One problem for each; empty when training can start.
    """
    problems: list[Problem] = []
    if hyperparameters.exploration != "categorical":
        problems.append(
            Problem(
                f'exploration_type "{hyperparameters.exploration}" is not in this version yet',
                f"{source}: exploration_type",
                "categorical",
                f'set "exploration_type": "categorical" in {source}',
            )
        )
    return problems
