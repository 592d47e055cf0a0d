"""A soak tells what piles up, what compiles late and what differs; the engine does none of it."""

import mmap
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

import workbench
from workbench.errors import InputError
from workbench.measure.soak import Soak, graphs_made, soak, texts_of

MIB = 1 << 20


def found(**changes) -> Soak:
    quiet = Soak(
        engine="a", optimizations=(), machine="m", characters=tuple(range(20)),
        frames=(5,) * 20, ended={"eos": 20},
        resident_bytes=(100 * MIB,) * 20, gpu_bytes=(), graphs=(3,) * 20, differs=(),
        difference=0.0,
    )  # fmt: skip
    return replace(quiet, **changes)


def test_texts_are_different_and_of_many_lengths():
    made = texts_of(300, seed=3)
    assert len(set(made)) == 300
    assert len({len(text) for text in made}) > 60
    assert made == texts_of(300, seed=3) != texts_of(300, seed=4)
    with pytest.raises(InputError, match="longer"):
        texts_of(10_000, longest_words=1)


def test_growth_is_that_of_the_settled_part():
    filling = tuple(min(100 + 10 * place, 200) * MIB for place in range(20))
    assert found(resident_bytes=filling).growth_bytes == 0  # caches that fill up are no leak
    leaking = tuple((100 + place) * MIB for place in range(20))
    leak = found(resident_bytes=leaking)
    assert leak.growth_bytes == pytest.approx(8 * MIB)
    assert leak.slope_bytes == pytest.approx(MIB)
    assert not leak.flat
    assert "growing" in leak.verdict
    peak = list((100 * MIB,) * 20)
    peak[17] = 300 * MIB
    assert found(resident_bytes=tuple(peak)).flat
    assert not found(gpu_bytes=leaking).flat


def test_only_what_is_compiled_late_counts():
    early = found(graphs=(0, 4, *(6,) * 18))
    assert early.compiled_late == 0
    assert early.ok
    late = found(graphs=(*(3,) * 15, *(5,) * 5))
    assert late.compiled_late == 2
    assert not late.ok
    assert "2 graphs" in late.verdict


def test_the_engine_is_flat_and_streams_what_it_says_offline(tiny_engine):
    result = soak(tiny_engine, 24, max_frames=12)
    assert result.same, result.differs
    assert result.compiled_late == 0
    assert len(set(result.characters)) > 12
    # Eight clips' sound is 3 MB in float32: a leak of one a text would show.
    assert result.slope_bytes < 64 * 1024, result.verdict
    assert result.to_dict()["ok"] == result.ok


def test_texts_of_any_length_compile_nothing_anew(tiny_folder, monkeypatch):
    """Dynamo's own count, with a backend that compiles nothing: what it would hand to inductor."""
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **given: real(function, fullgraph=True, backend="eager")
    )
    engine = workbench.load(
        str(tiny_folder),
        optimizations=[
            *("inference_mode", "frame_step", "buffer_pool", "sync_free_sampling"),
            *("torch_compile", "true_streaming"),
        ],
    )
    before = graphs_made()
    engine.synthesize("a", seed=0, max_frames=3)
    made = graphs_made() - before
    assert 0 < made <= 5  # read, and the three ways to a code; one is seen twice at most
    result = soak(engine, 8, max_frames=80)  # far enough for several lengths of the caches
    assert result.graphs[-1] - before == made, result.graphs
    assert result.same


class Clip(SimpleNamespace):
    """A speech of one frame at one level."""

    def __init__(self, level):
        samples = np.full(1_920, level, dtype=np.float32)
        super().__init__(samples=samples, codes=np.zeros((2, 1), int), ended="eos", frames=1)

    def __len__(self):
        return len(self.samples)


class Leaking:
    """Keeps memory of each text, and streams something else than it says offline."""

    optimizations = ()
    name, weights, device, dtype, voices = "leak", "w", torch.device("cpu"), "", {0: "a"}

    def __init__(self):
        self.held = []
        # Growth is a share of what the process holds, which after other tests may be gigabytes.
        self.size = 8 * MIB + psutil.Process().memory_info().rss // 50

    def synthesize(self, text, **_):
        # Pages of its own: what malloc gives may be what an earlier test has freed.
        held = mmap.mmap(-1, self.size)
        held.write(b"\1" * self.size)
        self.held.append(held)
        return Clip(0.0)

    def stream(self, text, *, streaming, **_):
        class Stream(list):
            speech = Clip(1.0)

        return Stream()


def test_an_engine_that_differs_and_leaks_is_told():
    result = soak(Leaking(), [f"text {number}" for number in range(10)])
    assert len(result.differs) == 10
    assert result.difference == 1.0
    assert result.slope_bytes > 6 * MIB
    assert not result.flat
    assert "10 clips differ" in result.verdict


def test_too_few_texts_are_refused(tiny_engine):
    with pytest.raises(InputError, match="at least 8"):
        soak(tiny_engine, 3)
