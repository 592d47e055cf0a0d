"""A pool under load: its figures from known times, and a real one at toy size."""

import pytest

from workbench.engines.csm.streams import StreamPool
from workbench.errors import InputError
from workbench.measure.load import Load, StreamTimes, run_load


def load(listeners=2, chunk_ms=80.0, frames_ms=(40.0, 40.0), streams=()):
    return Load(
        listeners=listeners,
        chunk_ms=chunk_ms,
        chunk_samples=1_920,
        rate_hz=24_000,
        frames_ms=tuple(frames_ms),
        frames_streams=(listeners,) * len(frames_ms),
        streams=tuple(StreamTimes(*one) for one in streams),
        warm_up_s=0.1,
    )


def test_figures_come_from_the_times():
    one = load(streams=[(10.0, (50.0, 90.0, 190.0)), (20.0, (50.0, 90.0))])
    assert one.throughput == pytest.approx(4.0)  # 4 chunks of 80 ms in 80 ms
    assert one.ttfa_ms == [40.0, 30.0]
    assert one.intervals_ms == [40.0, 100.0, 40.0]
    assert one.underruns() == 0  # the third chunk was wanted at 210 ms


def test_a_player_that_runs_dry_is_counted_unless_it_waited():
    late = load(streams=[(0.0, (100.0, 200.0, 300.0))])
    assert late.underruns() == 2
    assert late.needed_prebuffer_ms == pytest.approx(40.0)
    assert late.underruns(prebuffer_ms=40.0) == 0


def test_listeners_come_and_go(tiny_engine):
    # Without pauses, or a quick machine is done with one before the next asks.
    found = run_load(tiny_engine, 3, ["hi", "yes"], seconds=2.0, max_frames=6, pause_ms=0.0, seed=1)
    assert found.listeners == 3
    assert found.chunk_ms == 80.0
    assert len(found.streams) > 3  # each asked more than once
    assert all(one.ttfa_ms > 0 for one in found.streams)
    assert all(1 <= len(one.chunks_ms) <= 6 for one in found.streams)
    assert max(found.frames_streams) == 3
    assert len(found.frames_ms) == len(found.frames_streams)
    assert found.warm_up_s > 0
    StreamPool(tiny_engine, 1).close()  # the engine is free again


@pytest.mark.parametrize(
    "wrong", [{"listeners": 0}, {"texts": []}, {"seconds": 0.0}], ids=lambda one: next(iter(one))
)
def test_a_load_of_nothing_is_refused(tiny_engine, wrong):
    asked = {"listeners": 1, "texts": ["hi"], "seconds": 1.0, **wrong}
    seconds = asked.pop("seconds")
    with pytest.raises(InputError, match="pass some of each"):
        run_load(tiny_engine, asked["listeners"], asked["texts"], seconds=seconds)
