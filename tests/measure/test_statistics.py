"""Percentiles, intervals with their coverage, ratios of pairs, fair interleaving."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.measure.statistics import (
    bootstrap_interval,
    interleaved,
    paired_ratio,
    percentiles,
    timed,
)

TIMES = st.lists(st.floats(0.1, 1e4), min_size=2, max_size=30)


def test_percentiles_by_their_names():
    assert percentiles(range(101)) == {"p5": 5, "p50": 50, "p95": 95, "p99": 99}
    assert percentiles([3.0], points=(50, 99.9)) == {"p50": 3, "p99.9": 3}


@settings(max_examples=30, deadline=None)
@given(TIMES)
def test_an_interval_holds_its_estimate_and_stays_within_the_samples(samples):
    interval = bootstrap_interval(samples)
    assert min(samples) <= interval.low <= interval.value <= interval.high <= max(samples)
    assert interval.n == len(samples)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        interval = bootstrap_interval(random.lognormal(size=25), seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.90 <= covered / 300 <= 0.985


def test_the_same_seed_gives_the_same_interval():
    samples = np.random.default_rng(1).normal(size=20)
    assert bootstrap_interval(samples, seed=3) == bootstrap_interval(samples, seed=3)
    assert bootstrap_interval(samples, np.mean).value == pytest.approx(samples.mean())


def test_a_wider_confidence_gives_a_wider_interval():
    samples = np.random.default_rng(1).normal(size=40)
    narrow, wide = bootstrap_interval(samples, confidence=0.5), bootstrap_interval(samples)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_paired_ratio_sees_through_common_drift():
    drift = np.linspace(1, 10, 30)  # ten times slower at the end, for both alike
    ratio = paired_ratio(8 * drift, drift)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((8, 8, 8))
    assert str(ratio) == "8.0× (8.0–8.0, n = 30)"


@settings(max_examples=30, deadline=None)
@given(TIMES)
def test_swapping_the_pair_inverts_the_ratio(samples):
    others = list(reversed(samples))
    forward, backward = paired_ratio(samples, others), paired_ratio(others, samples)
    assert forward.value == pytest.approx(1 / backward.value)


def test_interleaved_calls_every_arm_once_a_round_in_changing_order():
    calls: list[str] = []
    arms = {name: (lambda name=name: calls.append(name) or len(calls)) for name in "abc"}
    results = interleaved(arms, trials=25, seed=5)
    rounds = [calls[first : first + 3] for first in range(0, 75, 3)]
    assert all(sorted(round) == ["a", "b", "c"] for round in rounds)
    assert {tuple(round) for round in rounds} == {
        ("a", "b", "c"), ("a", "c", "b"), ("b", "a", "c"),
        ("b", "c", "a"), ("c", "a", "b"), ("c", "b", "a"),
    }  # fmt: skip
    assert {name: len(values) for name, values in results.items()} == {"a": 25, "b": 25, "c": 25}
    repeated: list[str] = []
    arms = {name: (lambda name=name: repeated.append(name)) for name in "abc"}
    interleaved(arms, trials=25, seed=5)
    assert repeated == calls


def test_the_garbage_collector_rests_during_a_call_only():
    seen = interleaved({"arm": gc.isenabled}, trials=2)
    assert seen == {"arm": [False, False]}
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        interleaved({"arm": lambda: 1 / 0}, trials=1)
    assert gc.isenabled()


def test_rounds_can_be_watched():
    seen: list[int] = []

    def watch(rounds):
        for number in rounds:
            seen.append(number)
            yield number

    interleaved({"arm": timed(lambda: None)}, trials=3, wrap=watch)
    assert seen == [0, 1, 2]


def test_timed_gives_milliseconds():
    import time

    assert timed(lambda: time.sleep(0.02))() == pytest.approx(20, abs=15)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_interval([1.0]),
        lambda: bootstrap_interval([1.0, float("nan")]),
        lambda: percentiles([]),
        lambda: paired_ratio([1.0, 2.0], [1.0]),
        lambda: paired_ratio([1.0, 0.0], [1.0, 1.0]),
        lambda: interleaved({}, 3),
        lambda: interleaved({"arm": lambda: None}, 0),
    ],
)
def test_what_makes_no_figure_is_refused(call):
    with pytest.raises(InputError):
        call()
