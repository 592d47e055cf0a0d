"""What a comparison asks: words of the nano models' domain, which larger ones know as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.audio import Audio

QUESTIONS = (
    "where is the nearest museum",
    "when does the library open tomorrow",
    "could you show me the way to the station",
)
_SILENCE_S = 0.3  # before the question, as between any two sentences


def spoken_questions(
    synthesizer: Any, texts: Sequence[str] = QUESTIONS, *, voice: int = 1, seed: int = 0
) -> Mapping[str, Audio]:
    """Each text as a user would say it: another voice than the answer's, a silence before it."""
    asked = {}
    for text in texts:
        speech = synthesizer.synthesize(text, voice=voice, seed=seed)
        before = np.zeros(round(_SILENCE_S * speech.rate_hz), np.float32)
        asked[text] = Audio(np.concatenate([before, speech.samples]), speech.rate_hz)
    return asked
