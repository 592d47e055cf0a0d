"""One track of all segments, and when each of them is heard in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.audio import AUDIBLE_DBFS, Audio
from workbench.errors import InputError

WINDOW_S = 0.010  # speech is told from silence by the level of so short a piece
RANGE_DB = 30.0  # below a segment's loudest piece, where that is below -10 dBFS
SILENCE_DBFS = -60.0  # a segment that never gets louder holds no speech
LEAD_S, TAIL_S = 0.04, 0.08  # kept around speech: breath before it, the room's end after it
_FADE_S = 0.004  # at a cut, so that it doesn't click


@dataclass(frozen=True)
class Piece:
    """A segment's sound and the silence that follows it."""

    audio: Audio
    pause_s: float


@dataclass(frozen=True)
class Span:
    """Samples of a track, ``start`` to before ``end``, in which speech is heard."""

    start: int
    end: int


def speech_span(audio: Audio) -> Span | None:
    """Where speech begins and ends in ``audio``; None where there is none.

    Speech is from the first to the last 10 ms whose level passes -40 dBFS, or, in a quiet
    segment, 30 dB below its loudest 10 ms; pops of a sample or two don't count.
    """
    window = max(1, round(WINDOW_S * audio.rate_hz))
    count = len(audio) // window
    if not count:
        return None
    power = np.square(audio.samples[: count * window].reshape(count, window), dtype=np.float64)
    level_dbfs = 10 * np.log10(power.mean(1) + 1e-12)
    loudest = float(level_dbfs.max())
    if loudest < SILENCE_DBFS:
        return None
    heard = np.flatnonzero(level_dbfs > min(AUDIBLE_DBFS, loudest - RANGE_DB))
    return Span(int(heard[0]) * window, (int(heard[-1]) + 1) * window)


def assemble(pieces: Sequence[Piece], rate_hz: int) -> tuple[Audio, list[Span]]:
    """All pieces in one track at ``rate_hz``, and the span of each one's speech in it.

    Silence around a piece's speech is trimmed to 40 ms before and 80 ms after it, so that pauses
    are as long as asked for; the last piece has none. A piece without speech stays whole, and is
    its own span. Raises InputError for no pieces.
    """
    if not pieces:
        raise InputError("a track of no segments", "pass at least one")
    sounds: list[np.ndarray] = []
    spans: list[Span] = []
    at = 0
    for number, piece in enumerate(pieces):
        audio = piece.audio.resampled(rate_hz)
        speech = speech_span(audio)
        first, last = 0, len(audio)
        if speech is not None:
            first = max(0, speech.start - round(LEAD_S * rate_hz))
            last = min(len(audio), speech.end + round(TAIL_S * rate_hz))
        sound = _faded(audio.samples[first:last], rate_hz, first > 0, last < len(audio))
        heard = speech or Span(0, len(audio))
        spans.append(Span(at + heard.start - first, at + heard.end - first))
        sounds.append(sound)
        at += len(sound)
        if number + 1 < len(pieces):
            pause = np.zeros(round(piece.pause_s * rate_hz), np.float32)
            sounds.append(pause)
            at += len(pause)
    return Audio(np.concatenate(sounds), rate_hz), spans


def _faded(samples: np.ndarray, rate_hz: int, begins: bool, ends: bool) -> np.ndarray:
    """A copy that fades in and out where it was cut."""
    made = samples.copy()
    length = min(round(_FADE_S * rate_hz), len(made) // 2)
    ramp = np.linspace(0, 1, length, endpoint=False, dtype=np.float32)
    if begins and length:
        made[:length] *= ramp
    if ends and length:
        made[-length:] *= ramp[::-1]
    return made


def onset_errors_ms(track: Audio, spans: Sequence[Span]) -> list[float]:
    """By how much each span begins later (+) or earlier than sound is heard, in ms.

    Heard is the first sample above -40 dBFS after the middle of the silence before: found in the
    track alone, by another rule than the one that made the spans. A span in which nothing passes
    that level is left out.
    """
    errors = []
    before = 0
    for span in spans:
        first = (before + span.start) // 2
        onset_s = Audio(track.samples[first : span.end], track.rate_hz).audible_onset_s
        if onset_s is not None:
            errors.append(1000 * ((span.start - first) / track.rate_hz - onset_s))
        before = span.end
    return errors
