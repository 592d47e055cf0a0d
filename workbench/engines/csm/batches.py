"""Which texts are spoken together: buckets of similar length, as large as memory allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch

from workbench.hardware import cpu

LARGEST = 16  # rows; beyond it one waits long for the first of them
_MEMORY_SHARE = 0.5  # of what is free: activations, the codec and other programs need the rest
# A batch runs until its longest row ends, so that shorter ones wait; but a few characters more
# are no reason for a batch of their own.
_LENGTH_RATIO = 1.5
_LENGTH_SLACK = 12


def buckets(lengths: Sequence[int], largest: int) -> list[list[int]]:
    """Indices of ``lengths`` in groups of at most ``largest``, similar lengths together.

    A group's longest is at most 1.5 times its shortest, or 12 more. Groups go from short to long;
    equal lengths keep their order.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and len(groups[-1]) < largest:
            shortest = lengths[groups[-1][0]]
            if lengths[index] <= max(_LENGTH_RATIO * shortest, shortest + _LENGTH_SLACK):
                groups[-1].append(index)
                continue
        groups.append([index])
    return groups


def row_bytes(config: Any, dtype: torch.dtype, positions: int | None = None) -> int:
    """Bytes of key/value caches that one row of a CSM of this config takes.

    ``positions`` are the backbone's (None: all that the model has).
    """

    def cache(network: Any, positions: int) -> int:
        width: int = network.num_key_value_heads * network.head_dim
        layers: int = network.num_hidden_layers
        return 2 * layers * width * positions * dtype.itemsize

    return cache(config, positions or config.max_position_embeddings) + cache(
        config.depth_decoder_config, config.num_codebooks
    )


def largest_batch(free_bytes: int, bytes_per_row: int) -> int:
    """Rows whose caches fit half of the free memory: 1 to 16."""
    return max(1, min(LARGEST, int(_MEMORY_SHARE * free_bytes) // bytes_per_row))


def free_bytes(device: torch.device) -> int:
    """Memory that a new batch can have on ``device``."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What the allocator holds but doesn't use is free for us, too.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    free_host = cpu.free_memory_bytes()
    return sys.maxsize if free_host is None else free_host  # unknown: nothing is refused
