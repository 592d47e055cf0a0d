"""Copies from the host to the GPU, as an arm: of a prompt's size and of a weight's."""

from __future__ import annotations

import time
from typing import Any

from workbench.errors import InputError
from workbench.measure.engine_arm import EngineArm

_PROMPT_COPIES = 100  # in a trial: one takes some microseconds
_WEIGHT_COPIES = 5
_PROMPT_TOKENS = 256


class TransferArm(EngineArm):
    """Each trial copies prompts and the engine's largest weight to the GPU, as the engine copies.

    Raises InputError on the CPU, where nothing is copied.
    """

    warm_ups = 1

    def __init__(self, *args: Any, **settings: Any) -> None:
        import torch

        from workbench.engines.csm.transfer import StagedTransfer, Transfer

        super().__init__(*args, **settings)
        if not self.cuda:
            raise InputError(
                f"copies to a GPU can't be measured on {getattr(self.engine, 'device', 'the CPU')}",
                "load with device='cuda' on a machine that has one",
            )
        device = self.engine.device
        pinned = self.engine.options.pinned_memory
        self._transfer = StagedTransfer(device) if pinned else Transfer(device)
        self._prompt = torch.zeros(_PROMPT_TOKENS, dtype=torch.int64)
        largest = max(self.engine.csm.model.parameters(), key=lambda weight: weight.nbytes)
        self._weight = torch.empty(largest.shape, dtype=largest.dtype).fill_(0)

    def work(self, index: int, seed: int) -> dict[str, float]:
        """``prompt_ms`` and ``weight_ms`` are of one copy each; ``transfer_ms`` is their sum."""
        prompt_ms = self._copies_ms(self._prompt, _PROMPT_COPIES)
        weight_ms = self._copies_ms(self._weight, _WEIGHT_COPIES)
        return {
            "transfer_ms": prompt_ms + weight_ms,
            "prompt_ms": prompt_ms,
            "weight_ms": weight_ms,
            "gb_per_s": self._weight.nbytes / weight_ms / 1e6,
        }

    def _copies_ms(self, tensor: Any, count: int) -> float:
        import torch

        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            self._transfer.to_device(tensor)
            torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - begin) / count

    def about(self) -> dict[str, Any]:
        """What really ran, and how large the copies were."""
        sizes = {"prompt_bytes": self._prompt.nbytes, "weight_bytes": self._weight.nbytes}
        return {**super().about(), **sizes}
