"""Buckets and batch sizes: every text once, similar lengths together, never more than fits."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny
from workbench.engines.csm.batches import LARGEST, buckets, largest_batch, row_bytes

LENGTHS = st.lists(st.integers(1, 500), max_size=60)


@given(LENGTHS, st.integers(1, 20))
def test_every_text_is_in_one_bucket(lengths, largest):
    made = buckets(lengths, largest)
    assert sorted(index for bucket in made for index in bucket) == list(range(len(lengths)))
    assert all(1 <= len(bucket) <= largest for bucket in made)


@given(LENGTHS, st.integers(1, 20))
def test_lengths_of_a_bucket_are_similar(lengths, largest):
    for bucket in buckets(lengths, largest):
        found = [lengths[index] for index in bucket]
        assert max(found) <= max(1.5 * min(found), min(found) + 12)


@given(LENGTHS, st.integers(1, 20))
def test_buckets_go_from_short_to_long_and_split_only_where_they_must(lengths, largest):
    made = buckets(lengths, largest)
    flat = [lengths[index] for bucket in made for index in bucket]
    assert flat == sorted(flat)
    for bucket, after in pairwise(made):
        shortest, following = lengths[bucket[0]], lengths[after[0]]
        assert len(bucket) == largest or following > max(1.5 * shortest, shortest + 12)


def test_equal_lengths_keep_their_order():
    assert buckets([5, 5, 90, 5], 2) == [[0, 1], [3], [2]]


@given(st.integers(0, 10**12), st.integers(1, 10**10))
def test_a_batch_fits_half_of_the_free_memory(free, per_row):
    rows = largest_batch(free, per_row)
    assert 1 <= rows <= LARGEST
    assert rows == 1 or rows * per_row <= free / 2
    assert rows == LARGEST or (rows + 1) * per_row > free / 2


def test_a_row_s_bytes_are_those_of_the_frame_step_s_caches(tiny_engine):
    tiny_engine.synthesize("hi", seed=0, max_frames=2)
    step = tiny_engine._generator._step
    caches = [
        getattr(one, kind) for one in (step.backbone, step.depth) for kind in ("keys", "values")
    ]
    held = sum(cache.nbytes for layers in caches for cache in layers)
    said = row_bytes(tiny_engine.config, torch.float32)
    assert 0 <= held - said <= 0.01 * held  # the depth decoder's caches may have spare places
    assert row_bytes(tiny.config(), torch.bfloat16) == said / 2
