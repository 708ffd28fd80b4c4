"""When a run is over."""

from drctl.formats.manifest import Counters
from drctl.trainer.stop_rule import StopRule


def test_laps_needs_three_clean_evaluations_in_a_row():
    rule = StopRule("laps", max_episodes=1000, target_score=350.0)
    assert rule.reason_to_stop(Counters(episodes=500, lap_streak=2)) is None
    assert "3 evaluations in a row" in (rule.reason_to_stop(Counters(episodes=500, lap_streak=3)) or "")


def test_score_averages_the_last_hundred_episodes():
    rule = StopRule("score", max_episodes=1000, target_score=10.0)
    assert rule.reason_to_stop(Counters(episodes=99, recent_scores=(50.0,) * 99)) is None
    assert rule.reason_to_stop(Counters(episodes=100, recent_scores=(9.9,) * 100)) is None
    assert "reached 10" in (rule.reason_to_stop(Counters(episodes=100, recent_scores=(10.0,) * 100)) or "")


def test_the_number_of_episodes_ends_a_run_under_every_rule():
    for name in ("max_episodes", "score", "laps"):
        rule = StopRule(name, max_episodes=40, target_score=None)
        assert rule.reason_to_stop(Counters(episodes=39)) is None
        assert "term_cond_max_episodes 40" in (rule.reason_to_stop(Counters(episodes=40)) or "")


def test_a_streak_does_not_end_a_run_under_another_rule():
    assert StopRule("max_episodes", 1000, None).reason_to_stop(Counters(episodes=20, lap_streak=9)) is None
