"""How many recordings fit into memory in one training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from workbench.engines.csm.batches import free_bytes, largest_batch

# Beside what the forward pass keeps, the backward pass needs the gradients of it.
_BACKWARD = 2.0


def automatic_batch(forward: Callable[[int], Any], device: torch.device) -> int:
    """The largest batch, 1 to 16, whose training step takes at most half of the free memory.

    ``forward(rows)`` makes the loss of so many of the longest recordings. What two rows keep more
    than one is what a row takes: weights, which are kept too, are in both.
    """
    row = saved_bytes(lambda: forward(2)) - saved_bytes(lambda: forward(1))
    return largest_batch(free_bytes(device), max(1, int(_BACKWARD * row)))


def saved_bytes(forward: Callable[[], Any]) -> int:
    """Bytes that autograd keeps for the backward pass of ``forward``, shared memory once.

    The same on every device. What gradient checkpointing makes anew isn't kept, so not counted.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made = forward()
    del made  # only now: as long as the graph lives, no two tensors share an address
    return sum(kept.values())
