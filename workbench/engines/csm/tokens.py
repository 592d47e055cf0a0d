"""Texts to token ids on the device: one by one, or all in one call and one copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from workbench.engines.csm.transfer import Transfer
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import written


class TextTokens:
    """Tokenizes what speakers say, as CSM reads it: ``<begin>[voice]text<end>``."""

    def __init__(self, csm: LoadedCsm, transfer: Transfer, *, batched: bool) -> None:
        self._csm = csm
        self._transfer = transfer
        self._batched = batched

    def __call__(self, said: Sequence[tuple[int, str]]) -> list[torch.Tensor]:
        """Token ids ``[N]`` int64 on the device of each ``(voice, text)``."""
        texts = [written(voice, text) for voice, text in said]
        if not self._batched:
            return [self._sent(self._framed(self._csm.encode(text))) for text in texts]
        rows = [self._framed(ids) for ids in self._csm.encode_batch(texts)]
        together = self._sent([token for row in rows for token in row])
        return list(together.split([len(row) for row in rows]))

    def _framed(self, ids: Sequence[int]) -> list[int]:
        return [self._csm.begin_id, *ids, self._csm.end_id]

    def _sent(self, ids: list[int]) -> torch.Tensor:
        return self._transfer.to_device(torch.tensor(ids))
