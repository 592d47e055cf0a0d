"""Minutes of conversation with faults in every stage; the command runs thirty."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.conversation.soak import soak


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
def test_minutes_with_faults(mode):
    seen = []
    found = soak(6, seed=3, mode=mode, progress=seen.append)
    assert found.problems == []
    assert found.turns > 12
    assert found.barge_ins > 1
    assert found.outcomes["interrupted"] == found.barge_ins
    assert {"recognizer", "chat", "synthesizer", "turn", "vad", "source"} == set(found.failures)
    assert any("hangs" in name for name in found.injected)
    assert seen[:5] == list(range(1, 6))


def test_the_same_seed_is_the_same_conversation():
    one, two = (soak(1, seed=5).to_dict() for _ in range(2))
    for made in (one, two):
        made.pop("took_s")
        made.pop("grown_objects")
    assert one == two


@given(st.integers(0, 10_000), st.floats(0, 0.6), st.sampled_from(["serial", "overlapped"]))
@settings(max_examples=4, deadline=None)
def test_no_faults_break_the_trace_or_get_it_stuck(seed, faults, mode):
    found = soak(1, seed=seed, faults=faults, mode=mode)
    assert not found.open_streams
    assert not found.tasks_left
    assert found.longest_stop_ms < 80
    assert found.longest_answer_s < 90


def test_problems_are_said():
    fine = soak(1, seed=0, faults=0.0)
    assert fine.problems == []
    from dataclasses import replace

    bad = replace(fine, open_streams=1, tasks_left=2, grown_objects=10**6, longest_answer_s=100,
                  longest_stop_ms=200, outcomes={})  # fmt: skip
    assert len(bad.problems) == 6
