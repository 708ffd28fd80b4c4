"""Sentences below charts, from hand-made figures."""

from __future__ import annotations

import pytest

from drctl.analysis import findings
from drctl.analysis.drive import Drive
from drctl.analysis.iterations import Iteration, Outcome
from drctl.analysis.record import ModelRecord
from drctl.formats.model_metadata import DiscreteActionSpace, ModelMetadata


def record_of(*iterations, **more):
    return ModelRecord("m", "store/m", tuple(iterations), Drive.join([]), **more)


def iteration(number, *, reward=1.0, laps=0, lap_times=(), judged=None, steps=300, **learning):
    training = Outcome(10, len(lap_times), reward, 50.0, tuple(lap_times))
    evaluation = None if judged is None else Outcome(5, judged, reward, 100.0 if judged == 5 else 60.0, ())
    return Iteration(number, training, evaluation, steps, learning, {"collect": 30.0})


def test_reward():
    record = record_of(iteration(0, reward=0.25), iteration(1, reward=120.4), iteration(2, reward=14.66))
    assert findings.about_reward(record) == "From 0.25 to 14.7 per training episode; the highest in iteration 1."
    assert findings.about_reward(record_of(iteration(0))) == ""


def test_completion():
    never = record_of(iteration(0, judged=0))
    assert findings.about_completion(never).startswith("No evaluation has had a complete lap yet. The last evaluation:")
    late = record_of(iteration(0, judged=0), iteration(1, judged=2), iteration(2, judged=5))
    assert findings.about_completion(late) == (
        "The first complete lap of an evaluation came in iteration 1, after 20 episodes and 60 s. "
        "The last evaluation: 5 of 5 laps, 100 % on average."
    )
    assert findings.about_completion(record_of(iteration(0))) == "There were no evaluations within the training."


def test_lap_times():
    record = record_of(iteration(0, lap_times=[12.5, 13.0]), iteration(1, lap_times=[11.25]))
    assert (
        findings.about_lap_times(record) == "The fastest lap of the training took 11.25 s, 1.25 s less than the first."
    )
    assert findings.about_lap_times(record_of(iteration(0))) == ""


@pytest.mark.parametrize(
    ("entropy", "ending"),
    [(1.0, "it tries nearly everything still."), (0.6, "still tries others."), (0.1, "it has made up its mind.")],
)
def test_entropy(entropy, ending):
    metadata = ModelMetadata(DiscreteActionSpace((-30.0, 0.0, 30.0), (1.0, 1.0, 1.0)))  # at most ln 3 = 1.10
    text = findings.about_entropy(record_of(iteration(0, entropy=entropy), metadata=metadata))
    assert text.startswith(f"{entropy:.2f} of at most 1.10 nats")
    assert text.endswith(ending)


def test_a_leap_of_the_policy_is_named():
    calm = [iteration(number, kl_divergence=0.05) for number in range(4)]
    even = record_of(*calm, iteration(4, kl_divergence=0.1))
    assert findings.about_learning(even, "kl_divergence").endswith("0.05 is usual here, 0.1 the most.")
    leap = record_of(*calm, iteration(4, kl_divergence=3.0))
    assert "3.0 in iteration 4 was a leap" in findings.about_learning(leap, "kl_divergence")


def test_steps():
    assert findings.about_steps(record_of(iteration(0))) == "30 in the last iteration, 2.0 s of driving."
    assert findings.about_steps(record_of(iteration(0, steps=None))) == ""
