"""Reading on the host whether all rows have ended."""

from __future__ import annotations

from typing import Protocol

import torch


class EndFlag(Protocol):
    """Asked once a frame."""

    def read(self, flag: torch.Tensor) -> bool:
        """Takes this frame's ``flag`` (a bool scalar on the device); says whether to stop."""
        ...


class PromptFlag:
    """Reads each flag at once: on a GPU the host waits for the frame to be finished."""

    def read(self, flag: torch.Tensor) -> bool:
        """See ``EndFlag``."""
        return bool(flag)


class LateFlag:
    """Reads a frame's flag when the next one has been asked for, so that the device has work.

    The flag goes to pinned memory behind the frame's work; the host waits for that copy alone,
    while the device is busy with the next frame. One frame past the end is made for nothing.
    """

    def __init__(self, pinned: bool = True) -> None:
        self._hosts = [torch.zeros((), dtype=torch.bool, pin_memory=pinned) for _ in range(2)]
        self._copied = [torch.cuda.Event() if pinned else None for _ in range(2)]
        self._asked = 0

    def read(self, flag: torch.Tensor) -> bool:
        """See ``EndFlag``; the answer is the flag of the frame before."""
        now, before = self._asked % 2, (self._asked + 1) % 2
        self._hosts[now].copy_(flag, non_blocking=True)
        event = self._copied[now]
        if event is not None:
            event.record()
        self._asked += 1
        if self._asked == 1:
            return False
        event = self._copied[before]
        if event is not None:
            event.synchronize()
        return bool(self._hosts[before])


def end_flag(device: torch.device, sync_free: bool) -> EndFlag:
    """The late one where it pays: on a GPU, with sync-free sampling."""
    return LateFlag() if sync_free and device.type == "cuda" else PromptFlag()
