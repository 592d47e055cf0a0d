"""A made-up voice: each word is a tone of its own, which a made-up recognizer hears again."""

import os
from dataclasses import replace

import numpy as np

from workbench.audio import Audio
from workbench.engines.speech import Speech

RATE_HZ = 24_000
WORD_SAMPLES = 1_200
FIRST_HZ, STEP_HZ = 500, 100
WORDS = tuple(f"{a}{b}" for a in "bdfgklmn" for b in ("a", "e", "i", "o", "u"))
CODEBOOKS = 3


def texts(count=20, words=8):
    source = np.random.default_rng(5)
    return tuple(" ".join(source.choice(WORDS, words)) for _ in range(count))


def speech(text, seed=0, level=0.1, ended="eos", weights="shipped", said=None):
    """``said`` is what is really said, where that isn't ``text``."""
    words = (text if said is None else said).split()
    time_s = np.arange(WORD_SAMPLES) / RATE_HZ
    tones = [
        level * np.sin(2 * np.pi * (FIRST_HZ + STEP_HZ * WORDS.index(word)) * time_s)
        for word in words
    ]
    samples = np.concatenate([np.zeros(0), *tones])
    frames = np.arange(CODEBOOKS * len(words)).reshape(CODEBOOKS, len(words))
    return Speech(
        samples=samples, rate_hz=RATE_HZ, text=text, voice=0, seed=seed, codes=frames + seed,
        ended=ended, generation_ms=1.0, chunks_ms=(1.0,), chunks_samples=(len(samples),),
        implementation="made up", weights=weights,
    )  # fmt: skip


def with_samples(clip, samples):
    return replace(clip, samples=samples)


def with_code(clip, frame):
    """The same sound of codes that differ at ``frame``."""
    codes = clip.codes.copy()
    codes[1, frame] += 1
    return replace(clip, codes=codes)


class Ear:
    """Hears the loudest tone of each word's length; counts what it is asked to hear."""

    def __init__(self):
        self.asked = 0

    def unknown_words(self, text):
        return [word for word in text.split() if word not in WORDS]

    def transcribe(self, audio):
        self.asked += 1
        heard = []
        for start in range(0, len(audio) - WORD_SAMPLES + 1, WORD_SAMPLES):
            spectrum = np.abs(np.fft.rfft(audio.samples[start : start + WORD_SAMPLES]))
            peak_hz = spectrum.argmax() * RATE_HZ / WORD_SAMPLES
            if spectrum.max() > 0.5:
                heard.append(
                    WORDS[min(max(round((peak_hz - FIRST_HZ) / STEP_HZ), 0), len(WORDS) - 1)]
                )
        return " ".join(heard)


class Voice:
    """An arm's object; ``at`` names the clip at which it goes wrong, ``how`` the way."""

    def __init__(self, how="", at=2):
        self.how, self.at = how, at
        self.spoken, self.warm = 0, False

    def warm_up(self):
        self.warm = True
        return 0.0

    def about(self):
        return {"engine": "made up", "warm": self.warm}

    def trial(self, index, seed):
        return {"frame_ms": 1.0}

    def speak(self, text, seed, temperature):
        self.spoken += 1
        if self.spoken == self.at:
            if self.how == "die":
                os.kill(os.getpid(), 9)
            if self.how == "raise":
                raise MemoryError("no room for the cache")
            if self.how == "hang":
                import time

                time.sleep(60)
        # What was asked for can be told from the codes: greedy clips have seed 0's.
        return speech(text, seed=seed if temperature is None else 0)


class Mute:
    """Lacks ``speak``."""

    def warm_up(self):
        return 0.0

    def about(self):
        return {}


def silence_like(clip):
    return Audio(np.zeros(len(clip)), clip.rate_hz).samples
