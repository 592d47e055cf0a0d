"""Turning texts into tokens on the device, as an arm."""

from __future__ import annotations

import time
from itertools import cycle, islice

from workbench.measure.engine_arm import EngineArm

_CALLS = 10  # in a trial: one call takes less than a millisecond
_TEXTS = 32


class TextArm(EngineArm):
    """Each trial tokenizes 32 texts, the given ones in turn, by the engine's ``tokenize``."""

    warm_ups = 1

    def work(self, index: int, seed: int) -> dict[str, float]:
        """``text_ms`` is the time of one call, until the tokens are on the device: a mean of 10."""
        texts = list(islice(cycle(self.texts), _TEXTS))
        self._wait()
        begin = time.perf_counter()
        for _ in range(_CALLS):
            rows = self.engine.tokenize(texts)
            self._wait()
        text_ms = 1000 * (time.perf_counter() - begin) / _CALLS
        return {"text_ms": text_ms, "tokens": float(sum(map(len, rows)))}

    def _wait(self) -> None:
        if self.cuda:
            import torch

            torch.cuda.synchronize()
