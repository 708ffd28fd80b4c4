"""Begin with an earlier model: what is taken, what is refused before anything starts, and that nothing is written."""

import json

import numpy as np
import pytest
from evaluation.policy_case import PolicyCase

from drctl.errors import ConfigError, DrctlError
from drctl.formats.frozen_graph import encode_policy
from drctl.formats.manifest import BestRecord, Counters, Manifest, SlotState, render_manifest
from drctl.formats.network_layout import DEEP, SHALLOW
from drctl.formats.object_keys import ModelKeys
from drctl.operations.preflight import prepare
from drctl.storage.directory import DirectoryStore
from drctl.trainer.spec import PretrainedSpec

OLD = ModelKeys("old")
ORDER = {"local_s3_pretrained": True, "local_s3_pretrained_prefix": "old"}


def manifest(number, heads="shared"):
    return Manifest(
        number=number,
        steps=10 * number,
        name=f"{number}_Step-{10 * number}.ckpt",
        created=0.0,
        run_token="t",
        lease_epoch=1,
        files={},
        counters=Counters(episodes=20 * number, steps=10 * number),
        slots=(SlotState(),),
        conditions={"network_heads": heads},
        best=BestRecord(2, "2_Step-20.ckpt", 90.0, 1.0),
    )


def add_model(project, bucket="bucket", heads="shared", **metadata):
    """Put a model with the checkpoints 1 to 3; 2 is the best one, 2 and 3 have their optimiser."""
    store = DirectoryStore(project.data_folder / bucket)
    shipped = json.loads((project.custom_files / "model_metadata.json").read_text())
    store.put(OLD.model_metadata, json.dumps({**shipped, **metadata}).encode())
    store.put(OLD.hyperparameters, b"{}")
    index = {
        "best_checkpoint": {"name": "2_Step-20.ckpt", "avg_eval_metric": 90.0, "time_stamp": 1.0},
        "last_checkpoint": {"name": "3_Step-30.ckpt", "avg_eval_metric": 80.0, "time_stamp": 2.0},
    }
    store.put(OLD.checkpoint_index, json.dumps(index).encode())
    for number in (1, 2, 3):
        store.put(OLD.weights(number), b"weights")
        store.put(OLD.manifest(number), render_manifest(manifest(number, heads)))
        if number > 1:
            store.put(OLD.optimizer(number), b"optimizer")
    return store


def objects(store):
    return {info.key: info.version for info in store.list("old")}


def pretrained(project, **options):
    return prepare(project, **{"wipe": False, "resume": False, "force": False, **options})


def problems_of(project, **options):
    with pytest.raises(DrctlError) as caught:
        pretrained(project, **options)
    return caught.value.problems


@pytest.mark.parametrize(("choice", "number"), [("last", 3), ("best", 2), ("1", 1)])
def test_best_last_or_a_number(make_project, choice, number):
    project = make_project(**ORDER, local_s3_pretrained_checkpoint=choice)
    store = add_model(project)
    before = objects(store)
    found = pretrained(project)
    assert found.pretrained == PretrainedSpec("bucket", "old", number, is_full=False)
    text = f"begins with the weights of data/bucket/old, checkpoint {number} ({10 * number} steps)"
    assert text in [note.text for note in found.notes]
    assert objects(store) == before


def test_an_address_names_another_bucket(make_project):
    project = make_project(local_s3_pretrained=True, local_s3_pretrained_prefix="s3://elsewhere/old")
    add_model(project, bucket="elsewhere")
    assert pretrained(project).pretrained == PretrainedSpec("elsewhere", "old", 3, is_full=False)


def test_a_resume_has_begun_already_and_asks_for_no_source(make_project):
    project = make_project(**ORDER)
    own = ModelKeys("rl-deepracer-sagemaker")
    store = DirectoryStore(project.data_folder / "bucket")
    add_model(project)
    first = pretrained(project)
    for key, data in first.files.objects(own, "training_params.yaml").items():
        store.put(key, data)
    store.put(own.manifest(0), render_manifest(manifest(0)))
    for key in objects(store):
        store.delete(key)
    assert pretrained(project, resume=True).pretrained is None


def test_everything_that_makes_another_network_is_named_at_once(make_project):
    project = make_project(**ORDER)
    continuous = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 1, "high": 2}}
    add_model(
        project,
        heads="separate",
        action_space_type="continuous",
        action_space=continuous,
        neural_network="DEEP_CONVOLUTIONAL_NETWORK_DEEP",
        sensor=["LEFT_CAMERA"],
    )
    (problem,) = problems_of(project)
    assert problem.what == "data/bucket/old has another network than these files describe"
    assert problem.where.splitlines() == [
        "data/bucket/old, custom_files/model_metadata.json",
        "action_space_type was continuous, is discrete",
        "actions was None, is 5",
        "sensor was LEFT_CAMERA, is FRONT_FACING_CAMERA",
        "neural_network was DEEP_CONVOLUTIONAL_NETWORK_DEEP, is DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
        "DR_NETWORK_HEADS was separate, is shared",
    ]
    assert problem.fix == "drctl config set DR_LOCAL_S3_PRETRAINED=False"


def test_other_frames_per_observation_are_another_network(make_project):
    project = make_project(**ORDER)
    add_model(project).put(OLD.hyperparameters, b'{"stack_size": 3}')
    (problem,) = problems_of(project)
    assert problem.where.splitlines()[1:] == ["stack_size was 3, is 1"]


def test_other_angles_and_speeds_are_refused_unless_forced(make_project):
    project = make_project(**ORDER)
    shipped = json.loads((project.custom_files / "model_metadata.json").read_text())["action_space"]
    faster = [*shipped[:4], {**shipped[4], "speed": 1.4}]
    add_model(project, action_space=faster)
    (problem,) = problems_of(project)
    assert problem.what == "data/bucket/old has learned other actions than these files have"
    assert problem.where.splitlines()[1:] == ["action 4 was 30 degrees at 1.4 m/s, is 30 degrees at 0.6 m/s"]
    assert problem.fix == "drctl start-training -f begins with it all the same"
    assert pretrained(project, force=True).pretrained.checkpoint == 3


def test_a_model_that_is_not_there(make_project):
    project = make_project(local_s3_pretrained=True, local_s3_pretrained_prefix="odl")
    (problem,) = problems_of(project)
    assert problem.expected == "a trained model; the bucket has none"
    add_model(project)
    (problem,) = problems_of(project)
    assert problem.what == "there is no model data/bucket/odl to begin with"
    assert (problem.expected, problem.fix) == (
        "one of: old",
        "drctl config set DR_LOCAL_S3_PRETRAINED_PREFIX=old",
    )


def test_a_checkpoint_that_is_not_there(make_project):
    project = make_project(**ORDER, local_s3_pretrained_checkpoint=9)
    add_model(project)
    (problem,) = problems_of(project)
    assert problem.what == "data/bucket/old has no checkpoint 9"
    assert problem.expected == "best, last or one of: 1, 2, 3"


def test_a_model_under_the_new_one_s_own_prefix_would_be_wiped_with_it(make_project):
    project = make_project(local_s3_pretrained=True, local_s3_pretrained_prefix="rl-deepracer-sagemaker/old")
    with pytest.raises(ConfigError, match="which lies under its own prefix"):
        pretrained(project)


def test_in_full_needs_the_optimiser_and_episodes_that_are_left(make_project):
    project = make_project(**ORDER, pretrained_full=True)
    add_model(project)
    found = pretrained(project)
    assert found.pretrained == PretrainedSpec("bucket", "old", 3, is_full=True)
    assert any(note.text.startswith("begins with weights, optimiser and counters") for note in found.notes)
    (problem,) = problems_of(make_project(**ORDER, pretrained_full=True, local_s3_pretrained_checkpoint=1))
    assert problem.what == "DR_PRETRAINED_FULL is True, and the optimiser of checkpoint 1 is not kept"
    assert problem.expected == "one of the checkpoints 2, 3"
    file = project.custom_files / "hyperparameters.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "term_cond_max_episodes": 60}))
    (problem,) = problems_of(project)
    assert problem.what == "data/bucket/old has driven 60 episodes already, so the training would end at once"


GRAPH_NOTE = "begins with the policy of data/bucket/old, checkpoint 3, taken out of its graph; the value network begins"


def add_graph(project):
    """Put a model as the original system leaves it, with a TensorFlow checkpoint that nobody reads."""
    store = add_model(project)
    for info in list(store.list("old/.drctl")):
        store.delete(info.key)
    store.put(OLD.hyperparameters, b'{"stack_size": 4}')  # has no effect there
    case = PolicyCase("FRONT_FACING_CAMERA", None)
    weights = {**case.weights, "policy.weight": np.zeros((5, 512), np.float32), "policy.bias": np.zeros(5, np.float32)}
    store.put(OLD.frozen_graph(3), encode_policy(case.layout, 5, weights))
    store.put("old/model/3_Step-30.ckpt.index", b"")
    return store


def test_where_only_the_graph_is_there_the_policy_comes_out_of_it(make_project):
    project = make_project(**ORDER, network_heads="separate")
    store = add_graph(project)
    before = objects(store)
    found = pretrained(project)
    assert found.pretrained == PretrainedSpec("bucket", "old", 3, is_full=False, is_graph=True)
    assert f"{GRAPH_NOTE} untrained" in [note.text for note in found.notes]
    assert objects(store) == before


def test_a_graph_has_no_optimiser(make_project):
    project = make_project(**ORDER, pretrained_full=True)
    add_graph(project)
    (problem,) = problems_of(project)
    assert problem.what == "DR_PRETRAINED_FULL is True, and data/bucket/old has nothing but the graph of checkpoint 3"
    assert problem.fix == "drctl config set DR_PRETRAINED_FULL=False"


def test_a_graph_of_another_checkpoint_is_named(make_project):
    project = make_project(**ORDER, local_s3_pretrained_checkpoint="best")
    add_graph(project)
    (problem,) = problems_of(project)
    assert (problem.what, problem.expected) == ("data/bucket/old has no checkpoint 2", "best, last or one of: 3")


def test_a_graph_of_another_network_than_its_metadata_says(make_project):
    project = make_project(**ORDER)
    store = add_graph(project)
    metadata = json.loads(store.get(OLD.model_metadata))
    store.put(OLD.model_metadata, json.dumps({**metadata, "neural_network": DEEP}).encode())
    (problem,) = problems_of(project)
    name = "data/bucket/old/model/model_3.pb"
    assert problem.what == f"{name} has the layers of {SHALLOW}, model_metadata.json says another network"
