"""A made-up voice behind the Synthesizer protocol: silence, a tone, silence again."""

import numpy as np

from workbench.engines.cache import EngineCache
from workbench.engines.speech import Speech
from workbench.reel.lane import Lane
from workbench.reel.script import parse_script

RATE_HZ = 24_000
LEAD_S, TAIL_S, CHAR_S = 0.1, 0.15, 0.05


class Options:
    def __init__(self, batching):
        self.batching = batching


class Tones:
    """Says a text as a tone of 50 ms a character, after 100 ms of silence and before 150 ms.

    Pitch follows voice and seed. ``ends`` has how the takes end in turn ("silent" is one without
    sound), then "eos".
    """

    implementation, weights, device, dtype = "tones", "made up", "cpu", "float32"

    def __init__(self, name="tones", *, batching=False, rate_hz=RATE_HZ, ends=(), fail_at=None):
        self.name, self.rate_hz = name, rate_hz
        self.voices = {0: "low", 1: "high"}
        self.options = Options(batching)
        self.ends, self.fail_at = list(ends), fail_at
        self.asked, self.batches, self.warmed, self.closed = [], [], 0, False

    def warm_up(self):
        self.warmed += 1
        return 0.0

    def close(self):
        self.closed = True

    def synthesize(self, text, *, voice=0, context=(), seed=0, temperature=None, max_frames=None):
        if self.fail_at == len(self.asked):
            raise RuntimeError("out of tones")
        seed = 0 if seed is None else seed
        self.asked.append((text, voice, seed, tuple(context), temperature))
        how = self.ends.pop(0) if self.ends else "eos"
        return self._speech(text, voice, seed, how)

    def synthesize_batch(self, texts, *, voice=0, seed=0, temperature=None, max_frames=None):
        self.batches.append((tuple(texts), voice))
        return [self.synthesize(text, voice=voice, seed=seed) for text in texts]

    def _speech(self, text, voice, seed, how):
        time_s = np.arange(round(CHAR_S * len(text) * self.rate_hz)) / self.rate_hz
        tone = 0.2 * np.sin(2 * np.pi * (200 + 100 * voice + seed % 50) * time_s)
        if how == "silent":
            tone *= 0
        lead, tail = (np.zeros(round(s * self.rate_hz)) for s in (LEAD_S, TAIL_S))
        return Speech(
            samples=np.concatenate([lead, tone, tail]), rate_hz=self.rate_hz, text=text,
            voice=voice, seed=seed, codes=np.zeros((1, len(text)), np.int64),
            ended="eos" if how == "silent" else how, generation_ms=1.0, chunks_ms=(1.0,),
            chunks_samples=(1,), implementation="tones", weights=self.weights,
        )  # fmt: skip


def hosted_tones(engine, batch_size, settings):
    """A lane for a process of its own."""
    return Lane(Tones(engine, **settings), batch_size)


def cache_of(*engines):
    """A cache that has these engines and loads none."""
    known = {engine.name: engine for engine in engines}
    return EngineCache(len(known), lambda name, **_: known[name])


def script(texts=("one", "two", "three"), **more):
    """Two speakers in turn, by the engine ``tones``."""
    segments = [
        {"speaker": ("anna", "ben")[number % 2], "text": text} for number, text in enumerate(texts)
    ]
    base = {
        "engine": "tones",
        "speakers": {"anna": {"voice": 1}, "ben": {"voice": 0}},
        "segments": segments,
    }
    return parse_script({**base, **more})
