"""Made-up speech for tests of turns: a buzz with vowels' resonances, and a detector of level."""

import numpy as np
from scipy.signal import lfilter

from workbench.audio import Audio

RATE_HZ = 16_000


def buzz(seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> Audio:
    """A voiced sound: pulses at a gliding pitch through three resonances, with syllables."""
    source = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    time_s = np.arange(count) / rate_hz
    pitch_hz = 120 + 20 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = np.cumsum(pitch_hz) / rate_hz
    pulses = np.diff(np.floor(phase), prepend=0.0) + 0.01 * source.standard_normal(count)
    for centre_hz, width_hz in ((600, 80), (1200, 100), (2500, 150)):
        radius = np.exp(-np.pi * width_hz / rate_hz)
        angle = 2 * np.pi * centre_hz / rate_hz
        pulses = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], pulses)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)
    samples = pulses * syllables
    return Audio((0.3 * samples / np.abs(samples).max()).astype(np.float32), rate_hz)


def say(text: str) -> Audio:
    """A buzz of 0.3 s a word."""
    return buzz(0.3 * len(text.split()), seed=len(text))


class LevelVad:
    """Speech is what is louder than -40 dBFS; frames of 20 ms."""

    name = "level"
    rate_hz = RATE_HZ
    frame_samples = 320
    threshold = 0.5

    def probability(self, frame: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(frame))) > 0.01)

    def reset(self) -> None:
        pass


class WordJudge:
    """Knows the sentences: certain at the last word, or wrong where ``fooled`` says so."""

    name = "words"

    def __init__(self, texts, fooled=()):
        self.ends = {text.split()[-1] for text in texts}
        self.fooled = set(fooled)
        self.asked = []

    def probability(self, transcript: str) -> float:
        self.asked.append(transcript)
        last = transcript.split()[-1] if transcript else ""
        return 0.9 if last in self.ends or last in self.fooled else 0.1
