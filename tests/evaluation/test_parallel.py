"""Races in processes of their own: outcomes, errors and the end of all processes."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from evaluation.round_track import LEFT, STRAIGHT, constant_graph

from drctl.errors import FailedError, FormatError
from drctl.evaluation.checkpoint import StoredCheckpoint
from drctl.evaluation.job import Entrant, RaceJob, run_job
from drctl.evaluation.parallel import run_jobs
from drctl.evaluation.recording import CarLook
from drctl.evaluation.rules import RaceRules


@pytest.fixture
def make_jobs(circle_spec):
    def make(*graphs, laps=1):
        rules = RaceRules(laps=laps, max_resets=0)
        spec = circle_spec()
        return [
            RaceJob(
                number,
                (Entrant("m", StoredCheckpoint(number, graph, f"model_{number}.pb"), spec, CarLook()),),
                rules,
            )
            for number, graph in enumerate(graphs)
        ]

    return make


def children():
    return [child for child in multiprocessing.active_children() if child.is_alive()]


def test_races_in_other_processes_are_the_same_races(make_jobs):
    jobs = make_jobs(constant_graph(LEFT), constant_graph(STRAIGHT))
    seen = set()
    found = {outcome.number: outcome for outcome in run_jobs(jobs, 2, lambda number, _: seen.add(number))}
    assert seen == {0, 1}
    assert not children()
    for number, job in enumerate(jobs):
        (here,) = run_job(job, lambda _: None).races
        (there,) = found[number].races
        assert there.laps == here.laps
        assert (there.rows["x"] == here.rows["x"]).all()
        assert (there.poses == here.poses).all()


def test_an_error_in_one_race_ends_the_others(make_jobs):
    jobs = make_jobs(constant_graph(LEFT), constant_graph(LEFT)[:4000], laps=1000)
    with pytest.raises(FormatError, match=r"model_1\.pb is truncated"):
        list(run_jobs(jobs, 2, lambda _number, _progress: None))
    assert not children()


def test_a_killed_race_is_told(make_jobs):
    jobs = make_jobs(constant_graph(LEFT), constant_graph(LEFT), laps=1000)
    is_killed = False

    def kill(_number, _progress):
        nonlocal is_killed
        if not is_killed:
            is_killed = True
            os.kill(children()[0].pid, signal.SIGKILL)

    with pytest.raises(FailedError, match=r"the race of checkpoint . on circle ended without a result"):
        list(run_jobs(jobs, 2, kill))
    assert not children()
