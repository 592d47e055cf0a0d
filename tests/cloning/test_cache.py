"""Codes kept: encoded once, used as they were, and only for the codec that made them."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.cloning.cache import CodeCache
from workbench.engines.speech import Reference
from workbench.errors import InputError, ModelError


@pytest.fixture(scope="module")
def reference():
    generator = np.random.default_rng(3)
    return Reference(Audio(0.1 * generator.standard_normal(20_000), 24_000), "hello there", 1)


def test_kept_codes_give_the_same_speech(tiny_engine, tiny_baseline, reference, tmp_path):
    kept = CodeCache(tmp_path).encoded(tiny_engine, reference)
    assert kept.codes.shape == (4, 11)
    for engine in (tiny_engine, tiny_baseline):
        plain = engine.synthesize("hi", context=[reference], temperature=0, max_frames=12)
        again = engine.synthesize("hi", context=[kept], temperature=0, max_frames=12)
        assert np.array_equal(plain.codes, again.codes)


def test_a_recording_is_encoded_once(tiny_engine, reference, tmp_path):
    cache = CodeCache(tmp_path)
    first = cache.encoded(tiny_engine, reference)
    second = cache.encoded(tiny_engine, replace(reference, text="other words", voice=0))
    assert np.array_equal(first.codes, second.codes)
    assert (second.text, second.voice) == ("other words", 0)
    assert (cache.hits, cache.misses) == (1, 1)
    assert CodeCache(tmp_path).encoded(tiny_engine, reference).codes.dtype == np.int64
    assert cache.encoded(tiny_engine, first) is first
    quieter = replace(reference, audio=Audio(0.5 * reference.audio.samples, 24_000))
    cache.encoded(tiny_engine, quieter)
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_codes_of_another_codec_are_refused(tiny_engine, reference):
    made = tiny_engine.encoded(reference)
    strange = replace(made, codec="mimi-other@123, float32")
    with pytest.raises(InputError, match="mimi-other"):
        tiny_engine.synthesize("hi", context=[strange], max_frames=3)
    with pytest.raises(InputError, match="one frame"):
        tiny_engine.encoded(Reference(Audio(np.ones(100), 24_000), "a"))


def test_codes_of_random_weights_are_not_kept(reference, tmp_path):
    class Random:
        codec_name = "csm-1b@random, float32"

        def encoded(self, reference):
            return replace(reference, codes=np.zeros((4, 3), np.int64), codec=self.codec_name)

    CodeCache(tmp_path).encoded(Random(), reference)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named(tiny_engine, reference, tmp_path):
    CodeCache(tmp_path).encoded(tiny_engine, reference)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match="damaged"):
        CodeCache(tmp_path).encoded(tiny_engine, reference)
