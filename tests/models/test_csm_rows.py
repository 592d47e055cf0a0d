"""Rows that start and stop by themselves against the frame step alone, in float64."""

import pytest
import torch

from tests import tiny
from workbench.models.csm.frame import FrameStep
from workbench.models.csm.graphs import CallCapture
from workbench.models.csm.networks import FrameNetworks
from workbench.models.csm.rows import RowFrames, RowStart
from workbench.models.csm.sampling import Sampling
from workbench.models.csm.settings import FrameSettings

SAMPLING = Sampling(0.9, 5, 0.6, 3)
GREEDY = Sampling(0.0, 5, 0.0, 3)
HALF = Sampling(0.8, 5, 0.0, 3)  # the first codebook drawn, the others greedy


class RehearsedCapture:
    """As a CUDA capture does it: the work runs a few times before, and its state is restored."""

    def __init__(self):
        self.captured = 0

    def __call__(self, work, state):
        self.captured += 1
        before = [tensor.clone() for tensor in state]
        for _ in range(3):
            work()
            for tensor, saved in zip(state, before, strict=True):
                tensor.copy_(saved)
        return work


@pytest.fixture(scope="module")
def networks():
    return FrameNetworks(tiny.model(3).double(), FrameSettings(sync_free_sampling=True))


def prompt(networks, length, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 40, (length,), generator=generator)
    with torch.inference_mode():
        return networks.text_table(ids)


@torch.inference_mode()
def alone(networks, embedded, sampling, seed, frames):
    step = FrameStep(networks)
    generator = torch.Generator().manual_seed(seed)
    codes = step.frame(step.prefill([embedded]), sampling, generator)
    made = [codes]
    while len(made) < frames:
        codes = step.following(codes, sampling, generator)
        made.append(codes)
    return torch.cat(made)  # [T, K]


def rows_of(networks, count, capture=None):
    return RowFrames(FrameStep(networks, count), capture or CallCapture(), SAMPLING)


@pytest.mark.parametrize("capture", [CallCapture, RehearsedCapture])
@torch.inference_mode()
def test_rows_say_what_they_say_alone(networks, capture):
    rows = rows_of(networks, 3, capture())
    asked = {
        0: (prompt(networks, 9, 1), SAMPLING, 11),
        1: (prompt(networks, 40, 2), GREEDY, 12),
        2: (prompt(networks, 3, 3), HALF, 13),
    }
    starts = {0: 0, 1: 4, 2: 30}  # the frame before which each row starts
    made = {row: [] for row in asked}
    for frame in range(80):
        begun = [RowStart(row, *asked[row]) for row, when in starts.items() if when == frame]
        if begun:
            rows.start(begun)
        codes = rows.frame()
        for row in rows.running:
            made[row].append(codes[row].clone())
    for row, (embedded, sampling, seed) in asked.items():
        expected = alone(networks, embedded, sampling, seed, 80 - starts[row])
        assert torch.equal(torch.stack(made[row]), expected), row


@torch.inference_mode()
def test_rows_that_start_together_are_told_apart(networks):
    rows = rows_of(networks, 3)
    asked = [(prompt(networks, length, length), SAMPLING, length) for length in (5, 21)]
    rows.start([RowStart(2, *asked[0]), RowStart(0, *asked[1])])
    made = torch.stack([rows.frame().clone() for _ in range(10)], dim=1)
    assert torch.equal(made[2], alone(networks, *asked[0], 10))
    assert torch.equal(made[0], alone(networks, *asked[1], 10))


@torch.inference_mode()
def test_a_row_used_again_remembers_nothing(networks):
    rows = rows_of(networks, 2)
    rows.start([RowStart(0, prompt(networks, 60, 1), SAMPLING, 1)])
    for _ in range(50):
        rows.frame()
    rows.stop(0)
    rows.frame()  # it runs idle
    after = (prompt(networks, 4, 2), SAMPLING, 2)
    rows.start([RowStart(0, *after)])
    made = torch.stack([rows.frame()[0].clone() for _ in range(30)])
    assert torch.equal(made, alone(networks, *after, 30))


@torch.inference_mode()
def test_a_start_leaves_the_other_rows_caches_alone(networks):
    step = FrameStep(networks, 3)
    step.prefill([prompt(networks, length, length) for length in (4, 8, 6)])
    before = [cache.clone() for cache in step.backbone.keys + step.backbone.values]
    positions = step.positions.clone()
    step.prefill([prompt(networks, 12, 9)], torch.tensor([1]))
    for cache, saved in zip(step.backbone.keys + step.backbone.values, before, strict=True):
        assert torch.equal(cache[[0, 2]], saved[[0, 2]])
        assert not torch.equal(cache[1], saved[1])
    assert step.positions.tolist() == [positions[0], 12, positions[2]]
    assert step.furthest == 12


@torch.inference_mode()
def test_the_caches_are_read_as_far_as_the_furthest_row_stands(networks):
    capture = RehearsedCapture()
    rows = rows_of(networks, 2, capture)
    rows.start([RowStart(0, prompt(networks, 70, 1), GREEDY, 0)])
    rows.frame()
    assert rows.step.furthest == 70
    rows.stop(0)
    rows.start([RowStart(1, prompt(networks, 5, 1), GREEDY, 0)])
    rows.frame()
    rows.frame()
    assert rows.step.furthest == 6 - 1  # the first frame reads nothing
    assert capture.captured == 2  # one for each length
    assert rows.running == [1]
