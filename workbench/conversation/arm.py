"""A conversation as an arm of a study: each trial asks one question, in real time.

study = compare_in_processes(preset("nano"), ["where is the nearest station"], plan=Plan(trials=20))
study.judgement("overlapped")
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.conversation.clock import run
from workbench.conversation.comparison import OVERLAPPED, SAME_WAIT, SERIAL
from workbench.conversation.figures import TIMES
from workbench.conversation.placement import Engines, load_stages
from workbench.conversation.settings import Settings
from workbench.conversation.stages import Synthesis
from workbench.conversation.talk import Talk, talk
from workbench.engines.turns.detectors import SILENCE_S
from workbench.errors import InputError
from workbench.measure.arm import Arm, rest_collector
from workbench.measure.plan import Plan
from workbench.measure.resume import kept_study
from workbench.measure.study import Study
from workbench.measure.trials import run_study

METRIC = "first_audio_ms"


class ConversationArm:
    """Hosts a whole conversation. ``questions`` are texts, which its own voice speaks at the start.

    ``engines`` and ``settings`` are the fields of ``Engines`` and ``Settings`` as JSON values.
    """

    def __init__(
        self,
        questions: Sequence[str],
        *,
        engines: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not questions:
            raise InputError("a conversation without questions", "pass at least one text")
        self.stages = load_stages(Engines(**(engines or {})))
        self.settings = Settings(**(settings or {}))
        self.questions = [said(self.stages.synthesizer, text) for text in questions]
        self._last: Talk | None = None

    def warm_up(self) -> float:
        """Asks each question once; returns the seconds it took, the loading included."""
        for index in range(len(self.questions)):
            self._ask(index)
        rest_collector()
        return self.stages.warm_up_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """The times of one question's answer, in ms.

        Raises InputError where it got none.
        """
        gc.collect()
        self._last = self._ask(index)
        first = self._last.first
        if first is None:
            why = "; ".join(one.error for one in self._last.failures) or "nothing was heard"
            raise InputError(f"question {index} got no answer: {why}", "ask something else")
        return {name: float(getattr(first, name) or 0.0) for name in TIMES}

    def about(self) -> dict[str, Any]:
        """What runs in each stage, and how."""
        return {"stages": self.stages.names, "settings": asdict(self.settings)}

    def last(self) -> Talk | None:
        """The talk of the last trial."""
        return self._last

    def _ask(self, index: int) -> Talk:
        question = self.questions[index % len(self.questions)]
        return talk(self.stages, question, self.settings, paced=False)


def said(synthesizer: Synthesis, text: str) -> Audio:
    """``text`` in the synthesizer's voice; InputError where no sound comes of it."""

    async def work() -> list[Audio]:
        return [chunk async for chunk in synthesizer.speak(text)]

    chunks = run(work)
    if not chunks:
        raise InputError(f"no sound came of {text!r}", "ask something else")
    return Audio.concatenate(chunks)


def compare_in_processes(
    engines: Engines,
    questions: Sequence[str],
    *,
    silence_s: float = SILENCE_S,
    plan: Plan | None = None,
    progress: Callable[[str], None] = lambda words: None,
    folder: Path | str | None = None,
    **settings: Any,
) -> Study:
    """Serial against overlapped, each in processes of its own, by time to first audio.

    The serial arm, and the first overlapped one, wait ``silence_s`` for a turn's end; the last one
    has the turn detector of ``engines``. In a ``folder`` the study is written while it runs, and
    goes on where it was cut off.
    """
    fixed = replace(engines, turn="silence", silence_s=silence_s)
    run = run_study if folder is None else partial(kept_study, folder)
    return run(
        "conversation",
        _arm(SERIAL, fixed, questions, mode="serial", **settings),
        [
            _arm(SAME_WAIT, fixed, questions, mode="overlapped", **settings),
            _arm(OVERLAPPED, engines, questions, mode="overlapped", **settings),
        ],
        metric=METRIC,
        plan=plan,
        progress=progress,
    )


def _arm(name: str, engines: Engines, questions: Sequence[str], **settings: Any) -> Arm:
    return Arm(
        name,
        "workbench.conversation.arm:ConversationArm",
        {"questions": list(questions), "engines": asdict(engines), "settings": settings},
    )
