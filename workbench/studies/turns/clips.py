"""Turns with hesitations for the evaluation of turn detectors: where speech ends is known.

A sentence is cut into parts between words, each part is spoken alone, and they are put together
with silences of drawn lengths. That keeps the truth exact with any synthesizer; the price is that
each part is spoken like the end of a sentence, so intonation tells a listener less than in a
human's pause. The words, which a semantic detector reads, are not affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.paths import data_dir

# Log-normal with these settings has 56, 25, 10 and 3 % of pauses above 0.3, 0.6, 1.0 and 1.6 s.
# The VAD baseline of LiveKit's eot-bench (English) cuts 56, 22, 10 and 5 % off at such waits.
PAUSE_MEDIAN_S = 0.343
PAUSE_SIGMA = 0.85
PAUSE_LIMITS_S = (0.15, 3.0)
TAIL_S = 4.0  # silence after the turn: more than any wait that is tried
_LEAD_S = 0.3
_AUDIBLE_DB = -40.0  # below a part's peak is silence


@dataclass(frozen=True)
class TurnClip:
    """A turn as it was put together.

    Part i of ``parts`` sounds from ``starts_s[i]`` to ``ends_s[i]`` of ``audio``.
    """

    parts: tuple[str, ...]
    audio: Audio
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(self.parts)

    def said(self, until_s: float) -> str:
        """The words said by ``until_s``; within a part they are taken to be of equal length."""
        words: list[str] = []
        for part, start_s, end_s in zip(self.parts, self.starts_s, self.ends_s, strict=True):
            share = (until_s - start_s) / (end_s - start_s)
            all_words = part.split()
            # A detector's frame may end a little before the sound does.
            words += all_words[: round(min(max(share, 0.0), 1.0) * len(all_words))]
        return " ".join(words)


def held_out_texts() -> tuple[str, ...]:
    """The 200 sentences of ``data/nano/held-out.txt``, which no nano model has seen."""
    lines = (data_dir() / "nano" / "held-out.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line.strip())


def make_turns(
    texts: Iterable[str],
    speak: Callable[[str], Audio],
    *,
    pauses: tuple[int, int] = (1, 3),
    noise_dbfs: float = -60.0,
    seed: int = 0,
) -> list[TurnClip]:
    """A turn of each text, with ``pauses`` (least, most) hesitations between its words.

    ``speak`` is a synthesizer: ``lambda text: engine.synthesize(text, voice=0)``. Under all lies
    white noise at ``noise_dbfs``. The same ``seed`` draws the same places and lengths. A text of
    fewer words than pauses + 1 gets fewer.

    Raises InputError where a part comes out silent, or for pauses that can't be.
    """
    if not 0 <= pauses[0] <= pauses[1]:
        raise InputError(f"pauses={pauses}", "give the least and the most, at least 0")
    source = np.random.default_rng(seed)
    return [_turn(text, speak, pauses, noise_dbfs, source) for text in texts]


def _turn(
    text: str,
    speak: Callable[[str], Audio],
    pauses: tuple[int, int],
    noise_dbfs: float,
    source: np.random.Generator,
) -> TurnClip:
    words = text.split()
    if not words:
        raise InputError("an empty text", "pass a sentence")
    count = min(int(source.integers(pauses[0], pauses[1] + 1)), len(words) - 1)
    cuts = sorted(source.choice(np.arange(1, len(words)), count, replace=False).tolist())
    parts = tuple(
        " ".join(words[first:last])
        for first, last in zip([0, *cuts], [*cuts, len(words)], strict=True)
    )
    spoken = [_audible(speak(part), part) for part in parts]
    rate_hz = spoken[0].rate_hz
    silences = [_LEAD_S, *_pause_lengths(count, source), TAIL_S]
    pieces: list[Audio] = []
    starts_s: list[float] = []
    ends_s: list[float] = []
    at = 0
    for silence_s, part in zip(silences, spoken, strict=False):
        pieces += [_silence(silence_s, rate_hz), part]
        starts_s.append((at + len(pieces[-2])) / rate_hz)
        at += len(pieces[-2]) + len(part)
        ends_s.append(at / rate_hz)
    whole = Audio.concatenate([*pieces, _silence(silences[-1], rate_hz)])
    noise = source.standard_normal(len(whole)).astype(np.float32) * 10 ** (noise_dbfs / 20)
    samples = np.clip(whole.samples + noise, -1, 1)
    return TurnClip(parts, Audio(samples, rate_hz), tuple(starts_s), tuple(ends_s))


def _pause_lengths(count: int, source: np.random.Generator) -> list[float]:
    drawn = PAUSE_MEDIAN_S * np.exp(PAUSE_SIGMA * source.standard_normal(count))
    return [float(length) for length in np.clip(drawn, *PAUSE_LIMITS_S)]


def _audible(audio: Audio, text: str) -> Audio:
    """``audio`` without the silence at its edges."""
    level = np.abs(audio.samples)
    peak = float(level.max(initial=0.0))
    loud = np.flatnonzero(level > peak * 10 ** (_AUDIBLE_DB / 20))
    if peak < 1e-4 or not len(loud):
        raise InputError(f"{text!r} was spoken without a sound", "use another voice or text")
    return Audio(audio.samples[loud[0] : loud[-1] + 1], audio.rate_hz)


def _silence(length_s: float, rate_hz: int) -> Audio:
    return Audio(np.zeros(round(length_s * rate_hz), np.float32), rate_hz)
