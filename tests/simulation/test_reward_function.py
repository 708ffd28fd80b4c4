"""The user's code is run, limited and blamed for the right line."""

import threading
import time

import pytest

from drctl.simulation.reward import function as function_module
from drctl.simulation.reward.function import CallLimit, RewardFunction, RewardFunctionError


def call(source, params=None):
    reward = RewardFunction(source)
    return reward.call(reward.for_episode(), params or {"x": 1.0})


def test_the_value_is_returned_as_a_float():
    assert call("def reward_function(params):\n    return params['x'] + 1") == 2.0
    assert call("import numpy\ndef reward_function(params):\n    return numpy.float32(0.5)") == 0.5
    assert call("def reward_function(params):\n    return True") == 1.0


def test_globals_live_for_one_episode():
    reward = RewardFunction(
        "calls = 0\ndef reward_function(params):\n    global calls\n    calls += 1\n    return calls"
    )
    first, second = reward.for_episode(), reward.for_episode()
    assert [reward.call(first, {}), reward.call(first, {}), reward.call(second, {})] == [1.0, 2.0, 1.0]


def test_classes_and_dataclasses_of_the_module_work():
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Memory:\n    total: float = 0.0\n"
        "memory = Memory()\ndef reward_function(params):\n    memory.total += 1\n    return memory.total"
    )
    assert call(source) == 1.0


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("def reward_function(params):\n    return params['speeed']", 2, "KeyError: 'speeed'"),
        (
            "def helper():\n    return 1 / 0\n\ndef reward_function(params):\n    return helper()",
            2,
            "ZeroDivisionError",
        ),
        ("def reward_function(params):\n    return float('nan')", 1, "it returned nan"),
        ("def reward_function(params):\n    return 1e6", 1, "it returned 1000000.0"),
        ("def reward_function(params):\n    pass", 1, "not 'NoneType'"),
        ("def reward_function(params)\n    return 1", 1, "SyntaxError: expected ':'"),
        ("import no_such_module_anywhere\ndef reward_function(params):\n    return 1", 1, "No module named"),
        ("def reward(params):\n    return 1", None, "it defines no function reward_function(params)"),
        ("import sys\ndef reward_function(params):\n    sys.exit(0)", 3, "SystemExit"),
    ],
)
def test_a_failure_names_file_line_and_cause(source, line, message):
    with pytest.raises(RewardFunctionError) as caught:
        call(source)
    assert message in caught.value.details.message
    assert caught.value.details.line == line
    where = "reward_function.py" if line is None else f"reward_function.py:{line}"
    assert caught.value.problems[0].where == where
    assert caught.value.exit_status == 3


def test_the_params_of_the_failed_call_are_kept():
    with pytest.raises(RewardFunctionError) as caught:
        call("def reward_function(params):\n    return None", {"x": 1.5, "waypoints": [(0.0, 1.0)]})
    assert caught.value.details.params == {"x": 1.5, "waypoints": [[0.0, 1.0]]}


def test_a_call_that_never_returns_is_ended_even_if_it_catches_exceptions(monkeypatch):
    monkeypatch.setattr(function_module, "LIMIT_S", 0.2)
    monkeypatch.setattr(function_module, "CHECK_INTERVAL_S", 0.05)
    source = (
        "def reward_function(params):\n    while True:\n        try:\n            sum(range(100))\n"
        "        except Exception:\n            pass"
    )
    with pytest.raises(RewardFunctionError, match=r"a call took more than 0\.2 s") as caught, CallLimit():
        call(source)
    assert caught.value.details.line in range(2, 7)


def test_the_limit_counts_each_call_by_itself(monkeypatch):
    monkeypatch.setattr(function_module, "LIMIT_S", 0.2)
    monkeypatch.setattr(function_module, "CHECK_INTERVAL_S", 0.02)
    with CallLimit() as limit:
        for _ in range(3):
            limit.begin()
            time.sleep(0.12)


def test_outside_the_main_thread_nothing_is_armed():
    failures = []

    def enter():
        try:
            with CallLimit():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert failures == []
