"""Waiting for a run to be ready, moment by moment."""

from types import SimpleNamespace

import pytest

from drctl.errors import FailedError, Problem, UnavailableError
from drctl.operations import readiness
from drctl.status.run_status import RunStatus

PROBLEM = Problem("trainer died 2 times within 10 minutes, at last with exit status 1")


def moment(*, is_running=True, **known):
    return RunStatus(7, "car", "/run", is_running, False, "starting", 0.0, None, (), (), **known)


@pytest.fixture
def wait(monkeypatch):
    """Let a run show some moments one after the other."""

    def wait(*moments):
        seen = iter(moments)
        monkeypatch.setattr(readiness, "read_run", lambda *_: next(seen))
        monkeypatch.setattr(readiness, "read_plan", lambda _folder: None)
        nothing = SimpleNamespace(run_folder="/run", store=None)
        return readiness.wait_until_ready(nothing, nothing, None, lambda _message: None)

    return wait


def test_a_failed_run_that_its_supervisor_still_ends_is_told_when_it_has_ended(wait):
    failure = {"reason": "failed", "exit_status": FailedError.exit_status, "problems": (PROBLEM,)}
    with pytest.raises(FailedError) as caught:
        wait(moment(), moment(**failure), moment(**failure, is_running=False))
    assert caught.value.problems == (PROBLEM,)


def test_what_must_be_mended_first_ends_the_start(wait):
    with pytest.raises(UnavailableError) as caught:
        wait(moment(), moment(problems=(PROBLEM,)))
    assert caught.value.problems == (PROBLEM,)
