"""TensorFlow and LiteRT load drctl's graphs, and drctl loads graphs that TensorFlow has frozen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation.policy_case import PolicyCase, metadata_of

from drctl.errors import FormatError
from drctl.evaluation.graph_policy import GraphPolicy
from drctl.formats.network_layout import DEEP, MIDDLE, SHALLOW, input_node
from drctl.formats.observation import ObservationForm, layout_of
from drctl.formats.policy_graph import inspect_policy
from drctl.formats.policy_weights import decode_policy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

# Every kind, network and camera, and a lidar of either form; not the network of 230 MB.
CASES = {
    "a": ("FRONT_FACING_CAMERA", None, SHALLOW, "discrete"),
    "b": ("LEFT_CAMERA", "SECTOR_LIDAR", MIDDLE, "continuous"),
    "c": ("observation", "LIDAR", DEEP, "sac"),
    "d": ("STEREO_CAMERAS", None, SHALLOW, "sac"),
}
ORIGINALS = [
    ("FRONT_FACING_CAMERA", None, SHALLOW, "discrete"),
    ("LEFT_CAMERA", "LIDAR", DEEP, "continuous"),
    ("STEREO_CAMERAS", None, SHALLOW, "sac"),
    ("observation", "SECTOR_LIDAR", MIDDLE, "discrete"),
]


def node_of(sensor, kind):
    return input_node(sensor).replace("agent/main/", "agent/policy/") if kind == "sac" else input_node(sensor)


def output_of(kind):
    if kind == "sac":
        return "main_level/agent/policy/online/network_0/sac_policy_head_0/policy"
    return "main_level/agent/main/online/network_1/ppo_head_0/policy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which TensorFlow has run everything."""
    if find_spec("tensorflow") is None or find_spec("ai_edge_litert") is None:
        assert not os.environ.get("CI"), "TensorFlow and LiteRT are not installed"
        pytest.skip("TensorFlow or LiteRT is not installed")
    folder = tmp_path_factory.mktemp("graphs")
    for name, what in CASES.items():
        case = PolicyCase(*what)
        (folder / f"{name}.pb").write_bytes(case.graph())
        rows = [case.form.input_values(stack) for stack in case.stacks(3)]
        values = {node_of(sensor, case.kind): np.concatenate([row[sensor] for row in rows]) for sensor in rows[0]}
        np.savez(folder / f"{name}.npz", output=output_of(case.kind), **values)
    originals = []
    for seed, what in enumerate(ORIGINALS):
        inputs = ObservationForm.of(metadata_of(*what)).inputs
        network = SHALLOW if what[0] == "observation" else what[2]
        originals.append({"kind": what[3], "network": network, "actions": 3, "seed": seed, "inputs": inputs})
    (folder / "originals.json").write_text(json.dumps(originals))
    program = Path(__file__).with_name("original_graphs.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, program, folder], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("program", ["tensorflow", "lite"])
def test_the_graph_answers_as_the_trainers_network(folder, name, program):
    case = PolicyCase(*CASES[name])
    wanted = case.answers(case.stacks(3))
    assert np.ptp(wanted, axis=0).max() > 1e-3
    np.testing.assert_allclose(np.load(folder / f"{name}.{program}.npy"), wanted, atol=1e-5, rtol=0)


def rows_of(values, form):
    """The frames, as the simulator gives them, of what was fed into a graph."""
    parts = [np.moveaxis(values[form.camera], -1, 1).reshape(3, -1)]
    if form.lidar:
        parts.append(values[form.lidar] * (100 if form.lidar == "LIDAR" else 1))
    return np.concatenate(parts, axis=1).astype(np.uint8).reshape(3, *form.shape)


@pytest.mark.parametrize("number", range(len(ORIGINALS)))
def test_a_graph_that_tensorflow_has_frozen(folder, number):
    what = ORIGINALS[number]
    metadata = metadata_of(*what)
    data = (folder / f"original-{number}.pb").read_bytes()
    graph = inspect_policy(data, "model_7.pb")
    assert graph.output == {"discrete": "probabilities", "continuous": "units", "sac": "unsquashed"}[what[3]]
    fed = {key.rpartition("/")[2]: value for key, value in np.load(folder / f"original-{number}.npz").items()}
    answers = np.load(folder / f"original-{number}.tensorflow.npy")
    assert np.abs(answers).max() > 0.1
    assert np.ptp(answers, axis=0).max() > 1e-2
    wanted = np.tanh(answers) if what[3] == "sac" else answers
    frames = rows_of(fed, ObservationForm.of(metadata))

    # Driven as it is, and by a network with the weights that were taken out of it.
    case = PolicyCase(*what)
    weights = decode_policy(graph, layout_of(metadata), "model_7.pb")
    for name, tensor in weights.items():
        case.network.assign(name, case.network.parameters[name], torch.from_numpy(tensor))
    np.testing.assert_allclose(case.answers(frames[:, None]), wanted, atol=1e-5, rtol=0)
    driver = GraphPolicy(data, metadata, "model_7.pb")
    chosen = np.concatenate([driver.act(frame) for frame in frames])
    if what[3] == "discrete":
        assert chosen.tolist() == wanted.argmax(axis=1).tolist()
    else:
        np.testing.assert_allclose(chosen, wanted, atol=1e-5, rtol=0)


def test_a_graph_of_another_network_is_named(folder):
    graph = inspect_policy((folder / "original-0.pb").read_bytes(), "model_7.pb")
    with pytest.raises(FormatError) as caught:
        decode_policy(graph, layout_of(metadata_of("FRONT_FACING_CAMERA", None, DEEP)), "model_7.pb")
    (problem,) = caught.value.problems
    assert problem.what == f"model_7.pb has the layers of {SHALLOW}, model_metadata.json says another network"
    assert problem.fix == f'set "neural_network": "{SHALLOW}" in model_metadata.json'
