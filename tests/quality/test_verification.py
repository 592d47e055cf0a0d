import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.quality.verification import equal_error_rate, similarity_matrix


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clips(speakers, each, spread, seed=0):
    source = np.random.default_rng(seed)
    centres = source.standard_normal((speakers, 16))
    owners = np.repeat(np.arange(speakers), each)
    noise = spread * source.standard_normal((len(owners), 16))
    return unit(centres[owners] + noise), [f"s{owner}" for owner in owners]


def test_speakers_far_apart_are_never_confused():
    embeddings, owners = clips(6, 4, 0.01)
    found = equal_error_rate(embeddings, owners)
    assert found.value == 0
    assert found.interval == (0, 0)
    assert (found.same, found.different) == (6 * 6, 24 * 23 // 2 - 36)
    assert (found.speakers, found.clips) == (6, 24)


def test_noise_is_confused_half_of_the_time():
    source = np.random.default_rng(1)
    owners = [f"s{n % 8}" for n in range(80)]
    found = equal_error_rate(unit(source.standard_normal((80, 16))), owners)
    assert 0.4 < found.value < 0.6
    assert found.interval[0] < 0.5 < found.interval[1]


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_the_rate_is_that_of_counting_at_every_threshold(seed):
    embeddings, owners = clips(4, 3, 1.0, seed)
    found = equal_error_rate(embeddings, owners)
    pairs = [
        (float(embeddings[i] @ embeddings[j]), owners[i] == owners[j])
        for i in range(len(owners))
        for j in range(i)
    ]
    same = [score for score, one in pairs if one]
    different = [score for score, one in pairs if not one]
    best = min(
        ((np.mean([s <= t for s in same]), np.mean([d > t for d in different])) for t, _ in pairs),
        key=lambda rates: abs(rates[0] - rates[1]),
    )
    assert found.value == pytest.approx(sum(best) / 2, abs=0.03)
    assert found.interval[0] <= found.value + 0.05


def test_what_makes_no_pairs_is_refused():
    embeddings, _ = clips(3, 1, 0.1)
    for owners in (["a", "b", "c"], ["a", "a", "a"], ["a"]):
        with pytest.raises(InputError):
            equal_error_rate(embeddings, owners)


def test_a_matrix_leaves_a_clip_and_itself_out():
    rows = {"a": unit([[1, 0], [1, 1]]), "b": unit([[0, 1]])}
    found = similarity_matrix(rows)
    half = np.sqrt(0.5)
    assert found[0, 0] == pytest.approx(half)
    assert found[0, 1] == found[1, 0] == pytest.approx(half / 2)
    assert np.isnan(found[1, 1])
    other = similarity_matrix(rows, {"c": unit([[1, 0]])})
    assert other.shape == (2, 1)
    assert other[:, 0] == pytest.approx([(1 + half) / 2, 0])
