"""DNSMOS by the package that ships it, where it is installed, and what is said where it isn't."""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.cloning.voices import sample_voices
from workbench.errors import InputError, ModelError
from workbench.quality import naturalness
from workbench.quality.naturalness import RATE_HZ, WINDOW_S, Naturalness, load_naturalness

SIZE = int(WINDOW_S * RATE_HZ)


class Network:
    """Answers with a window's loudest sample thrice; keeps what it heard."""

    def __init__(self):
        self.heard = []

    def get_inputs(self):
        return [SimpleNamespace(name="input_1")]

    def run(self, _outputs, inputs):
        (window,) = inputs["input_1"]
        self.heard.append(window)
        return [np.array([[window.max()] * 3], np.float32)]


def test_short_clips_are_repeated_and_long_ones_heard_window_by_window():
    network = Network()
    ramp = np.linspace(0, 0.5, 2 * RATE_HZ, dtype=np.float32)
    Naturalness(network).rate(Audio(ramp, RATE_HZ))
    (heard,) = network.heard
    assert len(heard) == SIZE
    assert np.array_equal(heard[: 4 * RATE_HZ], np.tile(ramp, 2))

    network = Network()
    Naturalness(network).rate(Audio(np.zeros(12 * RATE_HZ, np.float32), RATE_HZ))
    assert [len(window) for window in network.heard] == [SIZE] * 3


def test_scores_are_brought_to_the_scale_of_opinions_and_averaged():
    loud = np.zeros(SIZE + RATE_HZ, np.float32)
    loud[: RATE_HZ // 2] = 1.0  # in the first of two windows only
    opinion = Naturalness(Network()).rate(Audio(loud, RATE_HZ))
    of_one, of_zero = -0.06766283 + 1.11546468 + 0.04602535, 0.04602535
    assert opinion.overall == pytest.approx((of_one + of_zero) / 2)


def test_too_little_sound_is_refused():
    with pytest.raises(InputError, match="0.20 s"):
        Naturalness(Network()).rate(Audio(np.zeros(RATE_HZ // 5, np.float32), RATE_HZ))


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(naturalness, "find_spec", lambda _name: None)
    with pytest.raises(InputError) as caught:
        load_naturalness()
    assert "workbench[naturalness]" in caught.value.remedy


def test_a_package_without_its_network_says_so(monkeypatch, tmp_path):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(naturalness, "find_spec", lambda _name: spec)
    with pytest.raises(ModelError, match="can't be loaded"):
        load_naturalness()


@pytest.mark.skipif(find_spec("speechmos") is None, reason="speechmos isn't installed")
def test_noise_and_clipping_lower_the_opinion():
    judge = load_naturalness()
    clips = [clip.audio for clip in sample_voices()[1].clips[:3]]
    clean = Audio.concatenate(clips)
    noise = np.random.default_rng(0).normal(0, 0.05, len(clean)).astype(np.float32)
    noisy = Audio(np.clip(clean.samples + noise, -1, 1), clean.rate_hz)
    clipped = Audio(np.clip(20 * clean.samples, -0.5, 0.5), clean.rate_hz)
    good, hissing, broken = judge.rate(clean), judge.rate(noisy), judge.rate(clipped)
    assert all(1 <= score <= 5 for score in vars(good).values())
    assert hissing.background < good.background - 0.5
    assert hissing.overall < good.overall
    assert broken.signal < good.signal
