"""What is read of a model, how much of it, and what is said to be missing."""

from __future__ import annotations

import shutil

import pytest
from analysis.written_model import EPISODES, ITERATIONS, STEP_S

from drctl.analysis.reading import Limits, read_model, spread
from drctl.analysis.road import find_track
from drctl.errors import ObjectNotFoundError
from drctl.formats.object_keys import ModelKeys
from drctl.secrets import Secret
from drctl.storage.s3 import S3Store, StoreKeys


@pytest.mark.parametrize("slots", [1, 2])
def test_everything_of_a_model_of_ours(write_model, slots):
    model = write_model(slots=slots)
    record = read_model(model.store, model.keys)
    assert [one.number for one in record.iterations] == list(range(ITERATIONS))
    for one, records, judged in zip(record.iterations, model.training, model.evaluation, strict=True):
        assert one.training.reward_mean == pytest.approx(sum(r.reward for r in records) / EPISODES)
        assert one.evaluation.lap_times_s == tuple(r.duration_s for r in judged)
    assert len(record.drive) == sum(len(r.rows) for records in model.training for r in records)
    assert len(record.drive.starts) == EPISODES * ITERATIONS
    assert record.episodes == EPISODES * ITERATIONS
    assert record.track_names == ("reinvent_base",)
    assert record.first_lap.number == 0
    assert record.wall_s == 10.0 * ITERATIONS
    [race] = record.races
    assert (race.name, race.lap_times_s) == ("2026-01-02 03:04:05", [60 * STEP_S, round(55 * STEP_S, 3)])
    assert record.drawable_lap().time_s == round(55 * STEP_S, 3)
    assert record.drawable_lap().origin == "evaluation of 2026-01-02 03:04:05, lap 2"
    assert record.missing == ("Best and last checkpoint are not known: there is no deepracer_checkpoints.json.",)


def test_a_prefix_of_the_community_images(write_model):
    ours = read_model(*_at(write_model("ours")))
    model = write_model("theirs", is_ours=False, has_race=False)
    record = read_model(*_at(model))
    for one, other in zip(record.iterations, ours.iterations, strict=True):
        assert (one.training.episodes, one.training.laps) == (other.training.episodes, other.training.laps)
        assert one.training.reward_mean == pytest.approx(other.training.reward_mean, abs=0.5)  # whole numbers there
        assert one.evaluation.lap_times_s == pytest.approx(other.evaluation.lap_times_s, abs=0.001)
    assert record.drawable_lap().is_training
    assert (record.steps, record.wall_s, record.metadata) == (None, None, None)
    assert record.missing == (
        "Entropy, losses, steps and the time that was taken are not known: the model has no .drctl folder.",
        "Best and last checkpoint are not known: there is no deepracer_checkpoints.json.",
        "Its actions have numbers only: there is no readable model_metadata.json.",
        "Its hyperparameters are not known: there is no ip/hyperparameters.json.",
        "Its reward function is not known: there is no reward_function.py.",
        "The settings of its world are not known: there is no training_params.yaml.",
    )


def test_broken_files_are_left_out_and_named(write_model):
    model = write_model()
    trace = model.keys.trace(1, 2, 2)
    model.store.put(trace, b"episode,steps\n1,2\n")
    model.store.put(model.keys.model_metadata, b"{")
    record = read_model(model.store, model.keys)
    assert sorted(record.coverage.unreadable) == [trace, model.keys.model_metadata]
    assert (record.coverage.traces, record.coverage.traces_stored) == (2 * ITERATIONS - 1, 2 * ITERATIONS)
    assert "Its actions have numbers only: there is no readable model_metadata.json." in record.missing


def test_of_long_trainings_the_newest_iterations_are_read_and_some_before(write_model):
    """Iteration 3 has the fastest lap."""
    model = write_model()
    folder = model.folder
    for number in range(ITERATIONS, 40):
        for slot in range(2):
            place = folder / f"{slot}" / "training-simtrace"
            shutil.copy(place / "1-iteration.csv", place / f"{number}-iteration.csv")
    record = read_model(model.store, model.keys, Limits(trace_iterations=8))
    assert sorted(set(record.drive.iteration.tolist())) == [0, 3, 13, 26, 36, 37, 38, 39]
    assert (record.coverage.iterations, record.coverage.iterations_stored) == (8, 40)
    assert set(read_model(model.store, model.keys, Limits(trace_bytes=1.0)).drive.iteration.tolist()) == {3, 39}


def test_nothing_there(write_model):
    model = write_model()
    with pytest.raises(ObjectNotFoundError) as caught:
        read_model(model.store, ModelKeys("modle"))
    [problem] = caught.value.problems
    assert problem.what == "there is nothing to report on under modle"
    assert problem.expected == "a model that was trained or raced: one of model"
    assert problem.fix == "drctl report model"


def test_a_model_in_s3(write_model, s3_server):
    model = write_model()
    keys = StoreKeys(s3_server.access_key_id, Secret(s3_server.secret_access_key))
    store = S3Store("analysis", endpoint_url=s3_server.endpoint_url, keys=keys)
    store.create_bucket_if_missing()
    for info in model.store.list():
        store.put(info.key, model.store.get(info.key))
    here, there = read_model(model.store, model.keys), read_model(store, model.keys)
    assert there.iterations == here.iterations
    assert (there.drive.rows == here.drive.rows).all()
    assert there.place == "s3://analysis/model"
    assert there.missing == here.missing


def test_spread():
    assert spread([1, 2, 3], 5) == [1, 2, 3]
    assert spread(list(range(11)), 3) == [0, 5, 10]
    assert spread([1, 2, 3], 1) == [3]


def test_the_track_is_found_by_its_length_and_road(track):
    points = track.centre_m
    assert find_track(track.length_m, points).name in ("reinvent_base", "reinvent_carpet", "reinvent_concrete")
    assert find_track(track.length_m, points, ("reinvent_wood",)).name == "reinvent_wood"
    assert find_track(track.length_m, points + 30.0, ("reinvent_base",)) is None
    assert find_track(3.0, points, ("reinvent_base",)) is None


def _at(model):
    return model.store, model.keys
