"""A synthesizer as an arm: each trial speaks one text.

SpeechArm("csm-nano", ["good morning"], load={"optimizations": ["tf32"]}).trial(0, seed=0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.measure.engine_arm import EngineArm
from workbench.measure.speech import frame_ms, largest_gap_ms, onset_ms, prebuffer_ms, ttfa_ms

METRIC = "frame_ms"  # comparable also where arms end after different numbers of frames
Delivery = Literal["true", "pseudo", "whole"]


def speech_arm(name: str, engine: str, texts: Sequence[str], **settings: Any) -> Arm:
    """The arm ``name``, whose worker hosts ``SpeechArm(engine, texts, **settings)``.

    ``python`` and ``environment`` are the arm's, all else is ``SpeechArm``'s.
    """
    python, environment = settings.pop("python", None), settings.pop("environment", {})
    kwargs = {"engine": engine, "texts": list(texts), **settings}
    return Arm(name, "workbench.measure.speech_arm:SpeechArm", kwargs, python, environment)


class SpeechArm(EngineArm):
    """Speaks ``texts`` in turn, one a trial.

    ``streaming`` is how sound is handed over: ``true``, ``pseudo``, ``whole`` (all at once), or
    None for the engine's own way, which its switches decide. ``max_frames`` cuts every speech, so
    that trials of engines that never end by themselves have one length.
    """

    def __init__(
        self,
        engine: str,
        texts: Sequence[str],
        *,
        streaming: Delivery | None = None,
        **settings: Any,
    ) -> None:
        if streaming is not None and streaming not in get_args(Delivery):
            raise InputError(
                f"no streaming called {streaming!r}", f"use {', '.join(get_args(Delivery))} or None"
            )
        super().__init__(engine, texts, **settings)
        self.streaming = streaming
        self._last: Speech | None = None

    def work(self, index: int, seed: int) -> Speech:
        """Speaks text ``index`` (modulo their number)."""
        self._last = None
        return self.spoken(self.texts[index % len(self.texts)], seed, **self.options)

    def figures(self, made: Speech) -> dict[str, float]:
        """The figures of a speech, which is the last one from now on."""
        self._last = made
        return _figures(made)

    def last(self) -> Speech:
        """The speech of the last trial, with samples and codes. InputError before the first."""
        if self._last is None:
            raise InputError("no trial has run", "ask for the last speech after a trial")
        return self._last

    def speak(self, text: str, seed: int, temperature: float | None = None) -> Speech:
        """Speaks any text, outside of trials and without a clock: for checks of the sound.

        ``temperature`` defaults to the arm's, as do voice and frame limit.
        """
        options = dict(self.options)
        if temperature is not None:
            options["temperature"] = temperature
        return self.spoken(text, seed, **options)

    def about(self) -> dict[str, Any]:
        """What really ran, and how sound was handed over."""
        own = getattr(getattr(self.engine, "options", None), "streaming", None)
        return {**super().about(), "streaming": self.streaming or own}

    def spoken(self, text: str, seed: int, **options: Any) -> Speech:
        """The speech of one request."""
        if self.streaming == "whole":
            return self.engine.synthesize(text, seed=seed, **options)
        stream = self.engine.stream(text, seed=seed, streaming=self.streaming, **options)
        self.consume(stream)
        return stream.speech

    def consume(self, stream: Any) -> None:
        """Takes every chunk as it comes."""
        for _ in stream:
            pass


def _figures(speech: Speech) -> dict[str, float]:
    """The figures of one speech.

    Raises InputError for one without sound, of which no time to first audio can be told.
    """
    if not speech.frames:
        raise InputError(
            f"no sound came of {speech.text!r} (seed {speech.seed})", "use another text or seed"
        )
    return {
        "generation_ms": speech.generation_ms,
        "ttfa_ms": ttfa_ms(speech),
        "onset_ms": onset_ms(speech),
        "frame_ms": frame_ms(speech),
        "rtf": speech.rtf,
        "largest_gap_ms": largest_gap_ms(speech),
        "prebuffer_ms": prebuffer_ms(speech),
        "frames": float(speech.frames),
        "ended": float(speech.ended == "eos"),
    }
