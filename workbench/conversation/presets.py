"""Sets of engines that belong together, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.conversation.placement import ECHO, SPHINX, Engines
from workbench.errors import InputError

DEFAULT = "nano"
PRESETS: Mapping[str, Engines] = {
    # The shipped models; the recognizer as its card has it measured.
    "nano": Engines(
        recognizer_settings={"compute_type": "int8", "beam_size": 1, "window": "trimmed"},
        turn="semantic",
    ),
    # No chat model: a recognizer of the nano voice's words, whose text is said again.
    "echo": Engines(recognizer=SPHINX, chat=ECHO),
    # FERN as it runs today; the chat model over the network, with a key in the environment.
    "fern": Engines(
        recognizer="large-v3-turbo",
        recognizer_settings={"workers": 4},
        chat="gemini-flash-latest",
        synthesizer="csm-1b",
        vad="webrtc",
    ),
    # FERN's plans: all of it on one GPU, and the chat model tells whether a turn is over.
    "local": Engines(
        recognizer="large-v3-turbo",
        recognizer_settings={"window": "trimmed"},
        chat="llama-3.2-1b",
        synthesizer="csm-1b",
        turn="semantic",
    ),
}


def preset(name: str, **instead: Any) -> Engines:
    """The engines of a preset, with what ``instead`` has in their place; None keeps the preset's.

    An engine of another name doesn't get the settings that the preset has for its own. Raises
    InputError for an unknown preset, and where the parts don't fit together.
    """
    if name not in PRESETS:
        raise InputError(f"no conversation called {name!r}", f"use {', '.join(PRESETS)}")
    given = {field: value for field, value in instead.items() if value is not None}
    for engine in ("recognizer", "chat", "synthesizer"):
        if engine in given:
            given.setdefault(f"{engine}_settings", {})
    return replace(PRESETS[name], **given)
