"""References in chunks: a long recording of a voice as several short ones with their words.

VoiceReel reads long references in chunks of 10 s. Engines encode each reference by itself, so
that memory is bounded by a chunk, and those that take one only get a whole piece of it.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.reel.script import Script

CHUNK_S = 10.0
_SEARCH_S = 2.0  # before the end of a chunk, for the quietest place
_WINDOW_S = 0.05
_QUIET = 1e-3  # of the loudest window's energy, 30 dB below it: no speech
_SHORTEST_S = 1.0  # a rest below it stays with the chunk before


def references_of(script: Script, speaker: str) -> tuple[list[Reference], str]:
    """The references of ``speaker`` in chunks, ``script.reference_s`` of them at most.

    Also says in words what was left out, if anything. Raises InputError for a file that is no
    sound.
    """
    chosen: list[Reference] = []
    known = 0.0
    total = 0.0
    for file in script.speakers[speaker].references:
        audio = Audio.read(Path(file.audio))
        total += audio.duration_s
        reference = Reference(audio, file.text, script.speakers[speaker].voice)
        for chunk in chunked(reference):
            if chosen and known + chunk.audio.duration_s > script.reference_s:
                break
            chosen.append(chunk)
            known += chunk.audio.duration_s
    left_out = ""
    if total - known > _WINDOW_S:
        left_out = f"{speaker}: {known:.1f} of {total:.1f} s of references are used"
    return chosen, left_out


def chunked(reference: Reference, chunk_s: float = CHUNK_S) -> list[Reference]:
    """``reference`` in pieces of at most ``chunk_s`` seconds, cut where it is quietest.

    The words go with the sound by their share of it: as many letters as the chunk has loud
    windows, cut between two words. That is an estimate; a transcript with times would be exact.
    """
    cuts = _cuts(reference.audio, chunk_s)
    if len(cuts) == 2:
        return [reference]
    samples, rate_hz = reference.audio.samples, reference.audio.rate_hz
    energy = _energy(samples, rate_hz)
    loud = energy > _QUIET * energy.max(initial=0)
    spoken = np.cumsum(loud) / max(loud.sum(), 1)  # at the end of each window
    ends = np.array(cuts[1:]) * len(loud) // len(samples)
    texts = _divided(reference.text, spoken[np.maximum(ends, 1) - 1])
    return [
        Reference(Audio(samples[a:b], rate_hz), text, reference.voice)
        for (a, b), text in zip(pairwise(cuts), texts, strict=True)
    ]


def _cuts(audio: Audio, chunk_s: float) -> list[int]:
    """Sample positions from 0 to the end; between them at most ``chunk_s``."""
    rate_hz, end = audio.rate_hz, len(audio)
    longest, search = int(chunk_s * rate_hz), int(_SEARCH_S * rate_hz)
    window = max(1, int(_WINDOW_S * rate_hz))
    cuts = [0]
    while end - cuts[-1] > longest:
        last = cuts[-1] + longest
        if end - last < _SHORTEST_S * rate_hz:  # leave more than a scrap for the last chunk
            last = end - int(_SHORTEST_S * rate_hz)
        first = max(cuts[-1] + window, last - search)
        starts = np.arange(first, last - window + 1, window)
        if not len(starts):
            cuts.append(last)
            continue
        energy = [float(np.square(audio.samples[at : at + window]).sum()) for at in starts]
        cuts.append(int(starts[int(np.argmin(energy))]) + window // 2)
    return [*cuts, end]


def _energy(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Mean square of each window."""
    count = max(1, round(len(samples) / (_WINDOW_S * rate_hz)))
    return np.array([np.square(part).mean() for part in np.array_split(samples, count)])


def _divided(text: str, shares: np.ndarray) -> list[str]:
    """``text`` cut between words, so that the first pieces hold ``shares`` of its letters."""
    words = text.split()
    letters = np.cumsum([len(word) + 1 for word in words], dtype=np.float64)
    if not words:
        return [""] * len(shares)
    middles = (letters - [(len(word) + 1) / 2 for word in words]) / letters[-1]
    owner = np.minimum(np.searchsorted(shares, middles), len(shares) - 1)
    return [
        " ".join(word for word, at in zip(words, owner, strict=True) if at == piece)
        for piece in range(len(shares))
    ]
