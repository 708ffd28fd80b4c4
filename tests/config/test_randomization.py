"""What DR_RANDOMIZE means."""

import pytest

from drctl.config.randomization import RANDOMIZED_GROUPS, parse_randomized


def test_groups_and_shares():
    assert parse_randomized("camera, lights:0.25") == (("lights", 0.25), ("camera", 1.0))
    assert parse_randomized("all") == tuple((group, 1.0) for group in RANDOMIZED_GROUPS)


def test_of_two_mentions_the_later_one_counts():
    found = dict(parse_randomized("all:0.5,latency:0,camera"))
    assert "latency" not in found
    assert (found["camera"], found["walls"]) == (1.0, 0.5)


@pytest.mark.parametrize("text", ["", "colour", "camera:2", "camera:-1", "camera:much", "camera:nan", "camera;lights"])
def test_anything_else_is_no_list_of_groups(text):
    assert parse_randomized(text) is None
