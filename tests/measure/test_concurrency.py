"""Loads of growing size: what is found in known ones, and a real measurement at toy size."""

from dataclasses import replace

import numpy as np
import pytest

from tests.measure.test_load import load
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure.concurrency import Concurrency, Together, measure_concurrency


def speech(level=0.1):
    return Speech(
        samples=np.full(3_840, level, np.float32), rate_hz=24_000, text="hi", voice=0, seed=0,
        codes=np.zeros((2, 2), np.int64), ended="cap", generation_ms=10.0,
        chunks_ms=(5.0, 10.0), chunks_samples=(1_920, 1_920), implementation="frame",
        weights="0123",
    )  # fmt: skip


def stream(first_ms, interval_ms, chunks=6):
    return (0.0, tuple(first_ms + interval_ms * index for index in range(chunks)))


def at_pace(listeners, interval_ms):
    """A load whose frames take ``interval_ms`` each."""
    streams = [stream(interval_ms, interval_ms)] * listeners
    return load(listeners, frames_ms=(interval_ms,) * 6, streams=streams)


def concurrency(paces, limits_ms=None, together=None):
    return Concurrency(
        loads={count: [at_pace(count, pace)] * 2 for count, pace in paces.items()},
        together=together or Together((speech(),), (speech(),)),
        limits_ms=limits_ms or {},
        prebuffer_ms=0.0,
        machine="test",
    )


def test_the_largest_load_in_real_time_is_found():
    found = concurrency({1: 10.0, 4: 25.0, 16: 79.0, 64: 300.0})
    assert found.largest_in_real_time == 16
    assert found.finding == "16 streams in real time"
    assert found.throughput(16) == pytest.approx(16 * 80 / 79)
    assert found.interval_curves["p95"] == pytest.approx({1: 10, 4: 25, 16: 79, 64: 300})
    assert found.ttfa_curves["p50"] == pytest.approx({1: 10, 4: 25, 16: 79, 64: 300})
    assert found.underruns(64) == 64 * 5 * 2
    assert found.needed_prebuffer_ms(64) == pytest.approx(5 * 220)
    assert found.throughput_finding == "64 streams make 2.1× as much sound a second as 1 stream"
    assert "95 % hear something within 300 ms among 64 streams" in found.ttfa_finding
    assert [row["real time"] for row in found.rows()] == [True, True, True, False]


def test_what_was_not_tried_is_not_claimed():
    assert "no more were tried" in concurrency({1: 10.0, 2: 20.0}).finding
    none = concurrency({1: 90.0, 2: 200.0})
    assert none.largest_in_real_time is None
    assert none.finding == "Not even 1 stream in real time"
    assert "with 1 stream 0.9 s of audio a second" in none.verdict


def test_a_load_behind_one_that_failed_does_not_count():
    assert concurrency({1: 10.0, 2: 90.0, 4: 20.0}).largest_in_real_time == 1


def test_the_roofline_is_drawn_where_it_is_known():
    assert "roofline" not in concurrency({1: 10.0}).throughput_curves
    curves = concurrency({1: 10.0, 2: 12.0}, {1: 2.0, 2: 2.5}).throughput_curves
    assert curves["roofline"] == {1: 40.0, 2: 64.0}
    assert curves["needed in real time"] == {1: 1.0, 2: 2.0}


def test_together_is_compared_with_alone():
    other = replace(speech(0.3), codes=np.ones((2, 2), np.int64))
    pair = Together((speech(), speech()), (speech(), other))
    assert pair.difference == pytest.approx(0.2)
    assert pair.token_share == 0.5
    assert not pair.same
    assert pair.audible
    assert list(pair.clips) == ["alone", "together with 1 other"]
    assert "the sound differs" in concurrency({1: 10.0}, together=pair).verdict


def test_a_measurement_at_toy_size(tiny_engine):
    found = measure_concurrency(
        tiny_engine, [2, 1], ["short", "medium"], seconds=1.0, max_frames=5, limits_ms={1: 0.1}
    )
    assert list(found.loads) == [1, 2]
    assert found.rounds == 2
    assert found.deadline_ms == 80.0
    assert found.together.same
    assert found.together.token_share == 1.0
    assert "sound a second" in found.throughput_finding
    names = [name for name, values, _ in found.samples() if values]
    assert {"interval/1", "first audio/2", "frame/2", "throughput/1", "roofline/1"} <= set(names)
    assert len(found.rows()) == 2
    assert "underruns" in found.verdict


@pytest.mark.parametrize("wrong", [{"streams": []}, {"streams": [0]}, {"rounds": 1}], ids=str)
def test_nothing_to_measure_is_refused(tiny_engine, wrong):
    asked = {"streams": [1], "sentences": ["short"], **wrong}
    with pytest.raises(InputError, match="at least 1"):
        measure_concurrency(tiny_engine, **asked)
