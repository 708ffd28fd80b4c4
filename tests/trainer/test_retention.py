"""Which checkpoints go when space runs out."""

from drctl.trainer.retention import RECENT, checkpoints_to_drop


def test_nothing_goes_within_the_budget():
    assert checkpoints_to_drop(dict.fromkeys(range(30), 10), best=3, budget_bytes=300) == []


def test_the_best_and_the_newest_stay_even_beyond_the_budget():
    dropped = checkpoints_to_drop(dict.fromkeys(range(40), 10), best=3, budget_bytes=0)
    assert set(range(40)) - set(dropped) == {3, *range(40 - RECENT, 40)}


def test_the_untrained_network_goes_first_and_the_oldest_trained_one_last():
    sizes = dict.fromkeys(range(40), 10)
    assert checkpoints_to_drop(sizes, best=39, budget_bytes=390) == [0]
    assert 1 not in checkpoints_to_drop(sizes, best=39, budget_bytes=110)
    assert 1 in checkpoints_to_drop(sizes, best=39, budget_bytes=100)
    assert checkpoints_to_drop(dict.fromkeys(range(5), 10), best=0, budget_bytes=0) == []


def test_what_remains_is_dense_near_the_end_and_sparse_before():
    sizes = dict.fromkeys(range(1001), 1)
    kept = sorted(set(sizes) - set(checkpoints_to_drop(sizes, best=1000, budget_bytes=30)))
    assert len(kept) == 30
    older = [1001 - number for number in kept if number <= 1000 - RECENT]
    ratios = [older[place] / older[place + 1] for place in range(len(older) - 1)]
    # Spread evenly on a logarithmic scale, 20 ages between 11 and 1001 have neighbours about a factor 1.27 apart.
    assert max(ratios) < 1.9
    assert min(ratios) > 1.05


def test_thinning_step_by_step_keeps_a_history_of_old_checkpoints():
    stored: dict[int, int] = {}
    for number in range(300):
        stored[number] = 1
        for old in checkpoints_to_drop(stored, best=number, budget_bytes=20):
            del stored[old]
    assert len(stored) == 20
    ages = [299 - number for number in stored]
    assert sum(age > 100 for age in ages) >= 1
    assert sum(20 < age <= 100 for age in ages) >= 2
