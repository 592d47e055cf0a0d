"""State carried from chunk to chunk: one static buffer for all layers of a stream."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


class Slot:
    """One layer's part of the bank: ``value`` ``[B, *shape]``, a view that is updated in place."""

    value: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


class StateBank:
    """All convolution state of ``batch_size`` streams in one buffer ``[B, N]``.

    Layers reserve their slots, then ``allocate`` makes the buffer and hands out views. One
    buffer makes it cheap to leave rows untouched: a snapshot before the step and one select
    after it, whatever the number of layers.
    """

    flat: Tensor

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._slots: list[Slot] = []

    def reserve(self, *shape: int) -> Slot:
        """A slot of ``shape`` for each row, zero until a layer writes it."""
        slot = Slot(shape)
        self._slots.append(slot)
        return slot

    def allocate(self, device: torch.device, dtype: torch.dtype) -> None:
        """Makes the buffer; no slot can be reserved afterwards."""
        sizes = [prod(slot.shape) for slot in self._slots]
        self.flat = torch.zeros(self.batch_size, sum(sizes), device=device, dtype=dtype)
        for slot, part in zip(self._slots, self.flat.split(sizes, dim=1), strict=True):
            slot.value = part.view(self.batch_size, *slot.shape)

    def restore(self, before: Tensor, active: Tensor) -> None:
        """Puts the rows that are not ``active`` ``[B]`` back to ``before`` ``[B, N]``."""
        self.flat.copy_(torch.where(active[:, None], self.flat, before))

    def reset(self, rows: Tensor) -> None:
        """Zeroes the rows where ``rows`` ``[B]`` is true."""
        self.flat.masked_fill_(rows[:, None], 0)
