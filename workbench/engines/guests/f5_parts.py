"""What F5-TTS needs around its network: the reference, the length of a part, and the joints."""

from __future__ import annotations

import numpy as np

from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.errors import InputError

HOP = 256
MAX_REFERENCE_S = 12.0  # longer ones leave too little of the seconds that the model learned on
_LEARNED_S = 22.0
_RMS = 0.1  # to which a quieter reference is raised, and its speech lowered again
_SHORT_BYTES = 10  # texts below are spoken slowly, or they would be swallowed
_SHORT_SPEED = 0.3


def prepared(reference: Reference, rate_hz: int) -> tuple[np.ndarray, float]:
    """The reference's samples at ``rate_hz``, loud enough, and the gain for what is spoken.

    Raises InputError for one that is empty, silent, longer than 12 s, or without its words.
    """
    audio = reference.audio.resampled(rate_hz)
    if not 0.5 <= audio.duration_s <= MAX_REFERENCE_S:
        raise InputError(
            f"f5: a reference of {audio.duration_s:.1f} s",
            f"use 0.5 to {MAX_REFERENCE_S:.0f} s, and the words said in them",
        )
    if not any(character.isalnum() for character in reference.text):
        raise InputError("f5: a reference without its words", "say what is spoken in it")
    rms = float(np.sqrt(np.mean(np.square(audio.samples, dtype=np.float64))))
    if rms < 1e-5:
        raise InputError("f5: a silent reference", "use one in which somebody speaks")
    if rms >= _RMS:
        return audio.samples, 1.0
    return audio.samples * np.float32(_RMS / rms), rms / _RMS


def ended(text: str) -> str:
    """``text`` with a full stop and a space: the model knows where the reference's words end."""
    text = text.strip()
    return f"{text} " if text.endswith((".", "!", "?", "…")) else f"{text}. "


def chars_per_part(said: str, reference_s: float, speed: float) -> int:
    """Characters that, at the reference's pace, fill up what the model learned on."""
    pace = len(said.encode()) / reference_s
    return max(20, int(pace * (_LEARNED_S - reference_s) * speed))


def frames(text: str, said: str, reference_frames: int, speed: float) -> int:
    """Mel frames for ``text`` at the reference's pace, by bytes of UTF-8 as F5-TTS counts."""
    size = len(text.encode())
    speed = _SHORT_SPEED if size < _SHORT_BYTES else speed
    return max(1, int(reference_frames / len(said.encode()) * size / speed))


def joined(tail: np.ndarray, sound: np.ndarray, fade: int) -> tuple[np.ndarray, np.ndarray]:
    """What can be played of ``tail`` and then ``sound``, and the new tail of ``fade`` samples.

    The tail passes into the beginning of ``sound`` in straight lines.
    """
    overlap = min(len(tail), len(sound))
    rising = np.linspace(0, 1, overlap, dtype=np.float32)
    mixed = tail[len(tail) - overlap :] * (1 - rising) + sound[:overlap] * rising
    whole = np.concatenate([tail[: len(tail) - overlap], mixed, sound[overlap:]])
    keep = min(fade, len(whole))
    return whole[: len(whole) - keep], whole[len(whole) - keep :]


def made_up(rate_hz: int) -> Reference:
    """Two seconds of a hum with words, for random weights and warming up."""
    time_s = np.arange(2 * rate_hz) / rate_hz
    hum = 0.1 * np.sin(2 * np.pi * 140 * time_s) * np.sin(2 * np.pi * 2 * time_s)
    return Reference(Audio(hum.astype(np.float32), rate_hz), "a hum of two seconds")
