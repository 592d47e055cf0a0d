"""The prefill in buckets of lengths: the unpadded one's numbers, from a few captures."""

import pytest
import torch

from tests import tiny
from tests.models.test_csm_rows import GREEDY, HALF, SAMPLING, RehearsedCapture, alone, prompt
from workbench.models.csm.frame import FrameStep
from workbench.models.csm.graphs import CallCapture
from workbench.models.csm.networks import FrameNetworks
from workbench.models.csm.prefill import LENGTHS, BucketedPrefill, buckets_of
from workbench.models.csm.rows import RowFrames, RowStart
from workbench.models.csm.settings import FrameSettings

LIMIT = 256  # positions of the tiny model
TRIED = [1, 2, 31, 32, 33, 64, 65, 127, 129, 200, 255]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def networks_of(dtype):
    return FrameNetworks(tiny.model(3).to(dtype), FrameSettings(sync_free_sampling=True))


@pytest.fixture(scope="module")
def networks():
    return networks_of(torch.float64)


def steps(networks, batch_size=1, capture=None):
    """A frame step that reads prompts as they come, and one that pads them."""
    plain, padded = (FrameStep(networks, batch_size) for _ in range(2))
    padded.read_prompts = BucketedPrefill(padded, capture or CallCapture())
    return plain, padded


def caches(step):
    return [*step.backbone.keys, *step.backbone.values]


@torch.inference_mode()
def frames(step, hidden, count, sampling=GREEDY):
    generator = torch.Generator().manual_seed(1)
    codes = [step.frame(hidden, sampling, generator)]
    while len(codes) < count:
        codes.append(step.following(codes[-1], sampling, generator))
    return torch.stack(codes)


@pytest.mark.parametrize("dtype", TOLERANCE)
@torch.inference_mode()
def test_padding_changes_neither_hidden_states_nor_caches(dtype):
    plain, padded = steps(networks_of(dtype))
    close = {"rtol": 0, "atol": TOLERANCE[dtype]}
    for length in TRIED:
        asked = [prompt(plain.networks, length, length)]
        torch.testing.assert_close(padded.prefill(asked), plain.prefill(asked), **close)
        for ours, theirs in zip(caches(padded), caches(plain), strict=True):
            torch.testing.assert_close(ours[:, :, :length], theirs[:, :, :length], **close)
        assert torch.equal(padded.positions, plain.positions)
        assert padded.furthest == plain.furthest == length


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("length", [1, 31, 32, 40, 100])
@torch.inference_mode()
def test_the_frames_that_follow_have_the_same_codes(dtype, length):
    plain, padded = steps(networks_of(dtype))
    asked = [prompt(plain.networks, length, length)]
    for sampling in (GREEDY, SAMPLING):
        made = [frames(step, step.prefill(asked), 90, sampling) for step in (plain, padded)]
        assert torch.equal(*made)


@torch.inference_mode()
def test_nothing_behind_a_prompt_is_ever_read(networks):
    """The padding's keys and values could be any numbers: each is written over before it counts."""
    plain, padded = steps(networks)
    asked = [prompt(networks, 40, 1)]
    hidden = padded.prefill(asked)
    assert padded.backbone.keys[-1][:, :, 40:64].any()  # what the padding wrote
    for cache in caches(padded):
        cache[:, :, 40:] = 1e6
    assert torch.equal(frames(padded, hidden, 90), frames(plain, plain.prefill(asked), 90))


@torch.inference_mode()
def test_an_earlier_prompt_leaves_no_trace(networks):
    _, used = steps(networks)
    _, fresh = steps(networks)
    used.prefill([prompt(networks, 60, 1)])
    asked = [prompt(networks, 33, 2)]
    assert torch.equal(used.prefill(asked), fresh.prefill(asked))
    for one, other in zip(caches(used), caches(fresh), strict=True):
        assert torch.equal(one[:, :, :64], other[:, :, :64])


@torch.inference_mode()
def test_texts_of_any_length_are_a_few_captures(networks):
    capture = RehearsedCapture()
    _, padded = steps(networks, capture=capture)
    prefill = buckets_of(padded)
    assert prefill.lengths == (*(length for length in LENGTHS if length < LIMIT), LIMIT)
    for length in range(1, LIMIT, 6):
        padded.prefill([prompt(networks, length, length)])
    assert capture.captured == prefill.graphs == len(prefill.lengths)


@torch.inference_mode()
def test_what_is_captured_ahead_is_not_captured_again(networks):
    capture = RehearsedCapture()
    plain, padded = steps(networks, capture=capture)
    buckets_of(padded).capture_all()
    captured = capture.captured
    assert captured == buckets_of(padded).graphs
    asked = [prompt(networks, 100, 1)]
    torch.testing.assert_close(padded.prefill(asked), plain.prefill(asked), rtol=0, atol=1e-12)
    assert capture.captured == captured
    assert buckets_of(plain) is None
    assert buckets_of(None) is None


@torch.inference_mode()
def test_a_batch_is_read_row_by_row(networks):
    plain, padded = steps(networks, 3, RehearsedCapture())
    asked = [prompt(networks, length, length) for length in (3, 70, 33)]
    hidden = padded.prefill(asked)
    torch.testing.assert_close(hidden, plain.prefill(asked), rtol=0, atol=1e-12)
    assert torch.equal(frames(padded, hidden, 70), frames(plain, plain.prefill(asked), 70))


@torch.inference_mode()
def test_rows_that_come_and_go_say_what_they_say_alone(networks):
    _, padded = steps(networks, 3, RehearsedCapture())
    rows = RowFrames(padded, CallCapture(), SAMPLING)
    asked = {
        0: (prompt(networks, 9, 1), SAMPLING, 11),
        1: (prompt(networks, 40, 2), GREEDY, 12),
        2: (prompt(networks, 33, 3), HALF, 13),
    }
    starts = {0: 0, 1: 0, 2: 20}  # the frame before which each row starts
    made = {row: [] for row in asked}
    for frame in range(60):
        begun = [RowStart(row, *asked[row]) for row, when in starts.items() if when == frame]
        if begun:
            rows.start(begun)
        codes = rows.frame()
        for row in rows.running:
            made[row].append(codes[row].clone())
    for row, (embedded, sampling, seed) in asked.items():
        expected = alone(networks, embedded, sampling, seed, 60 - starts[row])
        assert torch.equal(torch.stack(made[row]), expected), row
