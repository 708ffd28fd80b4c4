"""Every combination of sensors: its network, its frozen graph, and what an evaluation feeds into it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from evaluation.policy_case import CAMERAS, CPU, LIDARS, PolicyCase, metadata_of

from drctl.errors import FormatError
from drctl.evaluation.graph_policy import GraphPolicy, check_graph
from drctl.formats.model_metadata import LidarConfig, ModelMetadata
from drctl.formats.network_layout import DEEP, MIDDLE, SHALLOW
from drctl.formats.observation import ObservationForm, layout_of
from drctl.formats.policy_graph import inspect_policy
from drctl.trainer.networks import ActorCritic


def check_equal(case):
    """The graph under OpenVINO answers what the trainer's float32 network does."""
    stacks = case.stacks(4)
    policy = GraphPolicy(case.graph(), case.metadata, "model_0.pb")
    wanted = case.answers(stacks)
    for row, expected in zip(stacks, wanted, strict=True):
        policy.begin()
        for frame in row:
            chosen = policy.act(frame)
        found = policy._request.get_output_tensor().data[0]
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
        assert chosen.tolist() == ([int(expected.argmax())] if case.kind == "discrete" else [found.tolist()])
    assert np.ptp(wanted, axis=0).max() > 1e-3  # otherwise nothing of what is seen would matter


@pytest.mark.parametrize(
    ("camera", "lidar", "stack"),
    [("STEREO_CAMERAS", "LIDAR", 2), ("FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR", 1)],
)
def test_the_graph_equals_the_network(camera, lidar, stack):
    check_equal(PolicyCase(camera, lidar, stack=stack))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("camera", "lidar", "stack"),
    [*((*pair, 1) for pair in product(CAMERAS, LIDARS)), *((camera, "LIDAR", 3) for camera in CAMERAS)],
)
def test_the_graph_of_every_combination_equals_the_network(camera, lidar, stack):
    check_equal(PolicyCase(camera, lidar, stack=stack))


# Every kind with every network, every camera and every lidar, and each network with either form of input.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("camera", "lidar", "network", "kind"),
    [
        ("STEREO_CAMERAS", "LIDAR", MIDDLE, "discrete"),
        ("LEFT_CAMERA", "SECTOR_LIDAR", MIDDLE, "discrete"),
        ("STEREO_CAMERAS", None, DEEP, "discrete"),
        ("observation", "LIDAR", DEEP, "discrete"),
        ("FRONT_FACING_CAMERA", None, SHALLOW, "continuous"),
        ("STEREO_CAMERAS", "SECTOR_LIDAR", SHALLOW, "continuous"),
        ("LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR", MIDDLE, "continuous"),
        ("observation", "LIDAR", DEEP, "continuous"),
        ("FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR", SHALLOW, "sac"),
        ("observation", "LIDAR", SHALLOW, "sac"),
        ("LEFT_CAMERA", None, MIDDLE, "sac"),
        ("STEREO_CAMERAS", "SECTOR_LIDAR", DEEP, "sac"),
    ],
)
def test_the_graph_of_every_kind_equals_the_network(camera, lidar, network, kind):
    check_equal(PolicyCase(camera, lidar, network, kind, heads="separate" if network == DEEP else "shared"))


# Weights by hand from contract 6.3, with 3 actions and one value: convolutions and dense layers with their biases.
SINGLE = (8 * 8 * 32 + 32) + (4 * 4 * 32 * 64 + 64) + (3 * 3 * 64 * 64 + 64)
STEREO_DEEP = 2 * 9 * 32 + 32 + 9 * 32 * 64 + 64 + 9 * 64 * 64 + 64 + 9 * 64 * 128 + 128 + 9 * 128 * 128 + 128


def beside(values):
    return (values * 256 + 256) + (256 * 256 + 256)


def rest(width, *units):
    total = 0
    for size in units:
        total, width = total + width * size + size, size
    return total + width * 3 + 3 + width + 1


@pytest.mark.parametrize(
    ("metadata", "stack", "expected"),
    [
        (metadata_of("LEFT_CAMERA", None), 1, SINGLE + rest(11264, 512)),
        (metadata_of("FRONT_FACING_CAMERA", None), 4, SINGLE + 3 * 2048 + rest(11264, 512)),
        (metadata_of("STEREO_CAMERAS", None), 1, SINGLE + 2048 + rest(11264, 512)),
        (metadata_of("FRONT_FACING_CAMERA", "LIDAR"), 1, SINGLE + beside(64) + rest(11264 + 256, 512)),
        (metadata_of("FRONT_FACING_CAMERA", "LIDAR"), 2, SINGLE + 2048 + beside(128) + rest(11264 + 256, 512)),
        (metadata_of("LEFT_CAMERA", "SECTOR_LIDAR"), 1, SINGLE + beside(8) + rest(11264 + 256, 512)),
        (metadata_of("LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR"), 1, SINGLE + beside(80) + rest(11264 + 256, 512)),
        (metadata_of("observation", None, DEEP), 1, SINGLE + rest(11264, 256, 128)),
        (metadata_of("STEREO_CAMERAS", None, DEEP), 1, STEREO_DEEP + rest(25 * 35 * 128, 256, 128)),
    ],
)
def test_the_networks_have_the_weights_of_the_contract(metadata, stack, expected):
    network = ActorCritic(layout_of(metadata, stack), 3, heads="shared", seed=0, device=CPU)
    assert sum(tensor.numel() for tensor in network.parameters.values()) == expected


def test_inputs_lie_side_by_side_in_the_order_of_the_alphabet():
    graph = inspect_policy(PolicyCase("STEREO_CAMERAS", "LIDAR").graph(), "model_0.pb")
    scope = "main_level/agent/main/online/"
    assert graph.inputs == {"LIDAR": (64,), "STEREO_CAMERAS": (120, 160, 2)}
    merger = graph.nodes[f"{scope}network_1/merger"]
    assert merger.operation == "ConcatV2"
    flat = "Flatten/flatten/Reshape"
    assert merger.inputs == (
        f"{scope}network_1/LIDAR/{flat}",
        f"{scope}network_1/STEREO_CAMERAS/{flat}",
        f"{scope}network_1/merger/axis",
    )
    assert graph.nodes[f"{scope}network_1/middleware_fc_embedder/Dense_0/kernel"].shape == (256 + 11264, 512)
    assert graph.nodes[f"{scope}network_1/LIDAR/Dense_0/kernel"].shape == (64, 256)
    assert graph.nodes[f"{scope}network_1/LIDAR/Dense_2/kernel"].shape == (256, 256)


def test_the_planes_of_an_input_are_ordered_by_age_and_then_by_eye():
    form = ObservationForm("STEREO_CAMERAS", "LIDAR", None)
    frames = np.zeros((2, 2 * 19200 + 64), np.uint8)
    for age, frame in enumerate(frames):
        frame[:19200], frame[19200:38400], frame[38400:] = 10 + age, 20 + age, 50 + age
    values = form.input_values(frames)
    assert values["STEREO_CAMERAS"].shape == (1, 120, 160, 4)
    assert values["STEREO_CAMERAS"][0, 7, 9].tolist() == [10, 20, 11, 21]
    assert values["LIDAR"].shape == (1, 128)
    assert values["LIDAR"][0, [0, 63, 64, 127]].tolist() == pytest.approx([0.50, 0.50, 0.51, 0.51])


def test_missing_frames_are_the_first_one_and_a_new_place_forgets_the_old():
    case = PolicyCase("FRONT_FACING_CAMERA", None, stack=3)
    policy = GraphPolicy(case.graph(), case.metadata, "model_0.pb")
    first, second, third = case.stacks(1)[0]

    def probability_of(*stack):
        return case.answers(np.array(stack)[None])[0, 0]

    def act(frame):
        policy.act(frame)
        return pytest.approx(float(policy._request.get_output_tensor().data[0, 0]), abs=1e-5)

    assert probability_of(first, first, first) == act(first)
    assert probability_of(first, first, second) == act(second)
    assert probability_of(first, second, third) == act(third)
    policy.begin()
    assert probability_of(second, second, second) == act(second)


@pytest.mark.parametrize(
    ("graph_sensors", "metadata", "said"),
    [
        (("LEFT_CAMERA", None), metadata_of("LEFT_CAMERA", "LIDAR"), "sees with LEFT_CAMERA, .* LEFT_CAMERA, LIDAR"),
        (
            ("LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR"),
            ModelMetadata(
                metadata_of("LEFT_CAMERA", None).action_space,
                ("LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR"),
                lidar=LidarConfig(8, 8, 2.0),
            ),
            r"has the inputs DISCRETIZED_SECTOR_LIDAR \(80,\), LEFT_CAMERA \(120, 160, 1\), which are not those of",
        ),
    ],
)
def test_a_graph_of_other_sensors_is_refused(graph_sensors, metadata, said):
    graph = PolicyCase(*graph_sensors).graph()
    with pytest.raises(FormatError, match=said):
        check_graph(graph, metadata, "model_3.pb")


def test_everything_that_does_not_fit_is_said_at_once():
    graph = PolicyCase("LEFT_CAMERA", None).graph()
    other = ModelMetadata(type(metadata_of("LEFT_CAMERA", None).action_space)((0.0,), (1.0,)))
    with pytest.raises(FormatError) as caught:
        check_graph(graph, other, "model_3.pb")
    assert [problem.what for problem in caught.value.problems] == [
        "model_3.pb sees with LEFT_CAMERA, model_metadata.json says FRONT_FACING_CAMERA",
        "model_3.pb chooses one of 3 actions, model_metadata.json has one of 1 actions",
    ]
