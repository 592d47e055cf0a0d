"""The rows of a stream: which are meant, and whether input fits them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import InputError

Rows = Tensor | Sequence[int] | None


def check_device(given: Tensor, device: torch.device) -> None:
    """Raises InputError for input on another device than the codec."""
    if given.device != device:
        raise InputError(f"input on {given.device}, a codec on {device}", "move one to the other")


def check_active(active: Tensor | None, batch_size: int) -> None:
    """Raises InputError for what is no mask ``[B]`` of bool, nor None."""
    if active is not None and (active.dtype != torch.bool or active.shape != (batch_size,)):
        raise InputError(
            f"an active mask of shape {list(active.shape)} and type {active.dtype}",
            f"pass a bool tensor [{batch_size}]",
        )


def row_mask(rows: Rows, batch_size: int, device: torch.device) -> Tensor:
    """``rows`` as a mask ``[B]``: None means all. Raises InputError for rows there aren't."""
    if rows is None:
        return torch.ones(batch_size, dtype=torch.bool, device=device)
    rows = torch.as_tensor(rows, device=device)
    if rows.dtype == torch.bool:
        check_active(rows, batch_size)
        return rows
    if rows.ndim != 1 or (len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < batch_size):
        raise InputError(f"rows {rows.tolist()}", f"pass indices from 0 to {batch_size - 1}")
    mask = torch.zeros(batch_size, dtype=torch.bool, device=device)
    mask[rows.long()] = True
    return mask
