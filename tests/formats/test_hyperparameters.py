"""hyperparameters.json: defaults, strictness, and the effective file that tools read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from drctl.errors import FormatError
from drctl.formats.hyperparameters import (
    Hyperparameters,
    idle_keys,
    impossible,
    parse_hyperparameters,
    render_effective,
    render_table,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "hyperparameters.md"

# Column "DRfC file" of contract 6.1, written as DeepRacer-for-Cloud ships it.
DRFC_FILE = """{
    "batch_size": 64,
    "beta_entropy": 0.01,
    "discount_factor": 0.99,
    "e_greedy_value": 0.05,
    "epsilon_steps": 10000,
    "exploration_type": "categorical",
    "loss_type": "huber",
    "lr": 0.0003,
    "num_episodes_between_training": 20,
    "num_epochs": 5,
    "stack_size": 1,
    "term_cond_avg_score": 350.0,
    "term_cond_max_episodes": 1000
}"""


def parse(**values):
    return parse_hyperparameters(json.dumps(values), "hyperparameters.json")


def problems_of(data):
    with pytest.raises(FormatError) as caught:
        parse_hyperparameters(data if isinstance(data, str) else json.dumps(data), "hyperparameters.json")
    return caught.value.problems


def test_the_drfc_file():
    assert parse_hyperparameters(DRFC_FILE, "hyperparameters.json") == Hyperparameters(
        minibatch_size=64,
        num_epochs=5,
        learning_rate=0.0003,
        entropy_coef=0.01,
        gamma=0.99,
        value_loss="huber",
        exploration="categorical",
        epsilon_final=0.05,
        epsilon_steps=10000,
        episodes_per_iteration=20,
        max_episodes=1000,
        target_score=350.0,
        stack_size=1,
        sac_alpha=0.2,
    )


def test_an_empty_object_gives_the_contracts_defaults():
    h = parse()
    assert dataclasses.astuple(h) == (
        *(64, 10, 0.0003, 0.01, 0.999, "mse", "categorical", 0.05, 10000, 20, 100000, None, 1, 0.2),
    )


def test_values_may_be_texts():
    h = parse(batch_size="128", lr="1e-4", num_epochs="3", term_cond_avg_score="99.5", loss_type="huber")
    assert (h.minibatch_size, h.learning_rate, h.num_epochs, h.target_score) == (128, 1e-4, 3, 99.5)
    assert isinstance(h.minibatch_size, int)


def test_a_whole_number_may_be_written_with_decimals():
    assert parse(batch_size=64.0, term_cond_max_episodes="1000.0").max_episodes == 1000


def test_every_loss_name():
    assert parse(loss_type="huber").value_loss == "huber"
    assert parse(loss_type="mean squared error").value_loss == "mse"


def test_the_originals_extra_keys_pass():
    assert parse(max_sample_count=0, sampling_frequency=1, is_profiler_on="False") == Hyperparameters()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("batch_size", 0, "a whole number from 1 to 65536"),
        ("batch_size", 63.5, "a whole number from 1 to 65536"),
        ("batch_size", True, "a whole number from 1 to 65536"),
        ("batch_size", None, "a whole number from 1 to 65536"),
        ("batch_size", 10**400, "a whole number from 1 to 65536"),
        ("num_epochs", 101, "a whole number from 1 to 100"),
        ("lr", 0, "a number from 1e-08 to 1"),
        ("lr", "fast", "a number from 1e-08 to 1"),
        ("lr", "nan", "a number from 1e-08 to 1"),
        ("beta_entropy", -0.1, "a number from 0 to 1"),
        ("discount_factor", 1.01, "a number from 0 to 1"),
        ("e_greedy_value", 2, "a number from 0 to 1"),
        ("epsilon_steps", 0, "a whole number from 1 to 1000000000"),
        ("num_episodes_between_training", 0, "a whole number from 1 to 1000"),
        ("term_cond_max_episodes", 0, "a whole number from 1 to 1000000000"),
        ("term_cond_avg_score", "inf", "a number"),
        ("stack_size", 0, "a whole number from 1 to 16"),
        ("sac_alpha", 1.5, "a number from 0 to 1"),
        ("exploration_type", "Categorical", "categorical (one of: categorical, e-greedy)"),
        ("loss_type", "mse", "one of: huber, mean squared error"),
        ("loss_type", "hubr", "huber (one of: huber, mean squared error)"),
    ],
)
def test_a_wrong_value(key, value, expected):
    (problem,) = problems_of({key: value})
    assert problem.where == f"hyperparameters.json: {key}"
    assert problem.expected == expected
    assert problem.what.startswith(f"{key} is ")


def test_the_fix_works_when_typed():
    (problem,) = problems_of({"batch_size": -1})
    assert problem.fix == 'set "batch_size": 64 in hyperparameters.json'
    assert parse(batch_size=64).minibatch_size == 64


def test_an_unknown_key_names_the_nearest():
    (problem,) = problems_of({"batchsize": 64})
    assert problem.what == 'unknown key "batchsize"'
    assert problem.where == "hyperparameters.json: batchsize"
    assert problem.expected == '"batch_size"'
    assert problem.fix == 'rename "batchsize" to "batch_size" in hyperparameters.json'


def test_all_problems_at_once():
    problems = problems_of({"lr": "x", "colour": 1, "num_epochs": 0, "loss_type": "l1"})
    assert sorted(problem.where for problem in problems) == [
        "hyperparameters.json: colour",
        "hyperparameters.json: loss_type",
        "hyperparameters.json: lr",
        "hyperparameters.json: num_epochs",
    ]


def test_the_effective_file_of_ppo_byte_for_byte():
    text = render_effective(parse_hyperparameters(DRFC_FILE, "f"), "clipped_ppo")
    assert text == DRFC_FILE.replace("    ", "  ")


def test_the_effective_file_of_sac():
    effective = json.loads(render_effective(Hyperparameters(), "sac"))
    ppo = json.loads(render_effective(Hyperparameters(), "clipped_ppo"))
    assert set(ppo) - set(effective) == {"num_epochs", "beta_entropy"}
    assert set(effective) - set(ppo) == {"sac_alpha"}
    assert effective["term_cond_avg_score"] == 100000.0


def test_the_effective_file_can_be_read_again():
    h = parse_hyperparameters(DRFC_FILE, "f")
    assert parse_hyperparameters(render_effective(h, "clipped_ppo"), "ip/hyperparameters.json") == h


def test_numbers_are_typed_whatever_the_user_wrote():
    effective = json.loads(render_effective(parse(lr="1", beta_entropy=1, batch_size="32"), "clipped_ppo"))
    assert (effective["lr"], type(effective["lr"])) == (1.0, float)
    assert type(effective["beta_entropy"]) is float
    assert type(effective["batch_size"]) is int


def test_e_greedy_needs_a_list_of_actions():
    wanted = Hyperparameters(exploration="e-greedy")
    assert impossible(wanted, is_continuous=False, source="h.json") == []
    assert impossible(Hyperparameters(), is_continuous=True, source="h.json") == []
    (problem,) = impossible(wanted, is_continuous=True, source="h.json")
    assert problem.what == "exploration_type e-greedy chooses from a list of actions, and this model has none"
    assert problem.where == "h.json: exploration_type"
    assert problem.fix == 'set "exploration_type": "categorical" in h.json'


@pytest.mark.parametrize(
    ("algorithm", "values", "idle"),
    [
        ("clipped_ppo", {}, []),
        ("clipped_ppo", {"sac_alpha": 0.1}, ["sac_alpha"]),
        ("clipped_ppo", {"e_greedy_value": 0.2, "epsilon_steps": 5}, ["e_greedy_value", "epsilon_steps"]),
        ("clipped_ppo", {"e_greedy_value": 0.2, "epsilon_steps": 5, "exploration_type": "e-greedy"}, []),
        ("sac", {"num_epochs": 5, "beta_entropy": 0.1, "sac_alpha": 0.1}, ["num_epochs", "beta_entropy"]),
        ("sac", {"e_greedy_value": 0.2, "loss_type": "huber", "batch_size": 32}, ["e_greedy_value"]),
    ],
)
def test_what_has_no_effect_is_known(algorithm, values, idle):
    assert idle_keys(parse(**values), algorithm) == idle


def test_the_documented_table_is_the_readers():
    assert render_table() in DOCS.read_text(), f"docs/hyperparameters.md lacks this table:\n{render_table()}"
