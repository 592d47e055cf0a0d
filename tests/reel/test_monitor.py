"""Timers by name, also from threads, and the target's verdict."""

import threading

import pytest

from workbench.reel.monitor import Monitor, target_met, target_verdict


def test_times_add_up_by_name():
    monitor = Monitor()
    for elapsed_s in (0.5, 2.0, 1.0):
        monitor.add("synthesis", elapsed_s)
    with pytest.raises(ValueError, match="x"), monitor("failed"):
        raise ValueError("x")
    timer = monitor.timers["synthesis"]
    assert (timer.count, timer.total_s, timer.longest_s) == (3, 3.5, 2.0)
    assert list(monitor.timers) == ["synthesis", "failed"]
    assert monitor.total_s("never") == 0
    assert "synthesis 3.50 s (3 times)" in str(monitor)


def test_threads_lose_no_time():
    monitor = Monitor()
    threads = [
        threading.Thread(target=lambda: [monitor.add("a", 1.0) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.timers["a"].count == monitor.total_s("a") == 2_000


@pytest.mark.parametrize(
    ("audio_s", "synthesis_s", "met"),
    [(30, 8, True), (30, 8.1, False), (15, 4, True), (0, 0, None)],
)
def test_the_target_is_thirty_seconds_in_eight(audio_s, synthesis_s, met):
    assert target_met(audio_s, synthesis_s) is met
    words = target_verdict(audio_s, synthesis_s)
    assert ("met" in words, "missed" in words) == (met is True, met is False)
