"""The user's code is run, limited and blamed for the right line."""

import signal
import threading
import time

import numpy as np
import pytest

from drctl.simulation.reward.function import RewardFailedError, RewardFunction
from drctl.simulation.reward.watchdog import TimeLimitError, Watchdog


def call(source, params=None):
    return RewardFunction(source, "reward_function.py").for_episode()(params or {"x": 1.0})


@pytest.mark.parametrize(
    ("body", "reward"),
    [("params['x'] + 1", 2.0), ("1", 1.0), ("True", 1.0), ("'0.5'", 0.5), ("-1e5", -1e5), ("1e5", 1e5)],
)
def test_what_float_takes_is_a_reward(body, reward):
    value = call(f"def reward_function(params):\n    return {body}")
    assert (value, type(value)) == (reward, float)


def test_numbers_of_numpy_are_rewards():
    assert call("import numpy\ndef reward_function(params):\n    return numpy.float32(0.5)") == 0.5


def test_globals_live_for_one_episode():
    source = "calls = 0\ndef reward_function(params):\n    global calls\n    calls += 1\n    return calls"
    reward = RewardFunction(source, "reward_function.py")
    first, second = reward.for_episode(), reward.for_episode()
    assert [first({}), first({}), second({}), first({})] == [1.0, 2.0, 1.0, 3.0]


def test_classes_and_dataclasses_of_the_file_work():
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Memory:\n    total: float = 0.0\n"
        "memory = Memory()\ndef reward_function(params):\n    memory.total += 1\n    return memory.total"
    )
    assert call(source) == 1.0


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("def reward_function(params):\n    return params['speeed']", 2, "reward_function raised KeyError: 'speeed'"),
        (
            "def part():\n    return 1 / 0\n\ndef reward_function(params):\n    return part()",
            2,
            "reward_function raised ZeroDivisionError: division by zero",
        ),
        (
            "import math\ndef reward_function(params):\n    a = 2\n    return math.sqrt(-1)",
            4,
            "reward_function raised ValueError: math domain error",
        ),
        ("a = 1\ndef reward_function(params):\n    return float('nan')", 2, "reward_function returned nan"),
        ("def reward_function(params):\n    return float('-inf')", 1, "reward_function returned -inf"),
        ("def reward_function(params):\n    return 100001", 1, "reward_function returned 100001"),
        ("def reward_function(params):\n    pass", 1, "reward_function returned None"),
        ("def reward_function(params):\n    return 10**400", 1, "reward_function returned 1000"),
        ("def reward_function(params):\n    return [1.0]", 1, "reward_function returned [1.0]"),
        ("def reward_function(params)\n    return 1", 1, "reward_function.py is not Python: expected ':'"),
        (
            "import no_such_module_anywhere\ndef reward_function(params):\n    return 1",
            1,
            "reward_function raised ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        ("import sys\ndef reward_function(params):\n    sys.exit(0)", 3, "reward_function raised SystemExit: 0"),
        ("def reward(params):\n    return 1", None, "reward_function.py defines no reward_function, only reward"),
        ("reward_function = 3", None, "reward_function.py defines no reward_function"),
        (
            "def reward_function():\n    return 1",
            None,
            "reward_function raised TypeError: reward_function() takes 0 positional arguments but 1 was given",
        ),
    ],
)
def test_a_failure_names_file_line_and_cause(source, line, message):
    with pytest.raises(RewardFailedError) as caught:
        call(source)
    error = caught.value
    assert error.details.message.startswith(message)
    assert (error.details.file, error.details.line) == ("reward_function.py", line)
    assert (error.code, error.exit_status) == ("reward_failed", 3)
    problem = error.problems[0]
    assert problem.what == error.details.message
    if line is None:
        assert problem.where == "reward_function.py"
    else:
        assert problem.where == f"reward_function.py:{line}: {source.splitlines()[line - 1].strip()}"
    assert problem.fix == "correct reward_function.py"


def test_what_was_expected_is_said():
    with pytest.raises(RewardFailedError) as caught:
        call("def reward_function(params):\n    return None")
    assert caught.value.problems[0].expected == "a finite number from -100000 to 100000"


def test_params_and_car_of_the_failed_call_are_kept():
    reward = RewardFunction("def reward_function(params):\n    return None", "reward_function.py").for_episode()
    with pytest.raises(RewardFailedError) as caught:
        reward({"x": 1.5}, car=7)
    assert (caught.value.details.params, caught.value.details.car) == ({"x": 1.5}, 7)


HANGS = (
    "def reward_function(params):\n    while True:\n        try:\n            sum(range(100))\n"
    "        except Exception:\n            pass"
)


def test_a_call_that_never_returns_is_ended_even_if_it_catches_exceptions():
    watchdog = Watchdog(limit_s=0.1)
    reward = RewardFunction(HANGS, "reward_function.py", watchdog).for_episode()
    with pytest.raises(RewardFailedError, match=r"^reward_function took more than 0\.1 s$") as caught, watchdog:
        reward({})
    assert caught.value.details.line in range(2, 7)


def test_a_file_that_never_ends_is_ended():
    with pytest.raises(RewardFailedError, match=r"took more than 0\.1 s") as caught:
        RewardFunction("while True:\n    pass", "reward_function.py", Watchdog(limit_s=0.1)).for_episode()
    assert caught.value.details.line in (1, 2)


def test_the_limit_counts_each_call_by_itself():
    with Watchdog(limit_s=0.3) as watchdog:
        for _ in range(4):
            watchdog.call_begins()
            time.sleep(0.1)


def test_an_alarm_of_other_code_is_put_back():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeLimitError), Watchdog(limit_s=0.05):
        time.sleep(5.0)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_outside_the_main_thread_nothing_is_armed():
    failures = []

    def enter():
        try:
            with Watchdog(limit_s=0.01):
                time.sleep(0.05)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert failures == []


def test_a_function_of_this_process_can_be_used():
    reward = RewardFunction.from_callable(lambda params: np.float64(params["x"] * 2)).for_episode()
    assert reward({"x": 2.0}) == 4.0
