"""A synthesizer slowed down by a known share: what a calibration must find."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from workbench.errors import InputError
from workbench.measure.speech_arm import SpeechArm


class SlowedArm(SpeechArm):
    """A ``SpeechArm`` each of whose frames takes ``slow_down`` (0.03: 3 %) longer.

    After each chunk it works, without sleeping, for that share of the time the chunk took; the
    engine's clock runs on meanwhile. So the first chunk comes in time, and the whole late.
    """

    def __init__(
        self, engine: str, texts: Sequence[str], *, slow_down: float, **settings: Any
    ) -> None:
        if slow_down < 0:
            raise InputError(f"a slow-down of {slow_down}", "use a share such as 0.03")
        super().__init__(engine, texts, **settings)
        if self.streaming == "whole":
            raise InputError(
                "a slowed arm that gets its sound as a whole", "use streaming='true' or 'pseudo'"
            )
        self._slow_down = slow_down

    def consume(self, stream: Any) -> None:
        """Takes the chunks, and its time after each."""
        begin = time.perf_counter()
        for _ in stream:
            now = time.perf_counter()
            until = now + self._slow_down * (now - begin)
            while time.perf_counter() < until:
                pass
            begin = time.perf_counter()

    def about(self) -> dict[str, Any]:
        """What really ran, and by how much it was slowed down."""
        return {**super().about(), "slow_down": self._slow_down}
