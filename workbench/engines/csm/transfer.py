"""Copies between host and device: plain, or through page-locked staging buffers."""

from __future__ import annotations

import torch


class Transfer:
    """Plain copies, as ``Tensor.to`` makes them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """A host tensor on the device."""
        return tensor.to(self.device)

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """A device tensor on the host."""
        return tensor.cpu()


class StagedTransfer(Transfer):
    """Copies through buffers that are allocated once for each type and direction, and reused.

    They grow to the largest tensor so far. With ``pin`` they are locked in memory, so that a GPU
    reads and writes them by itself while the host goes on; ``to_host`` waits, as its result is
    wanted.
    """

    def __init__(self, device: torch.device, *, pin: bool = True) -> None:
        super().__init__(device)
        self._pin = pin
        self._buffers: dict[tuple[torch.dtype, str], torch.Tensor] = {}
        self._sent: torch.cuda.Event | None = None

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """A host tensor on the device; the copy may still be under way."""
        if self._sent is not None:
            self._sent.synchronize()  # the last copy must have left the buffer
        staged = self._buffer(tensor, "to device").copy_(tensor)
        sent = staged.to(self.device, non_blocking=True, copy=True)
        if self.device.type == "cuda":
            self._sent = torch.cuda.Event()
            self._sent.record()
        return sent

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """A device tensor on the host, in memory of its own."""
        staged = self._buffer(tensor, "to host")
        staged.copy_(tensor, non_blocking=True)
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        return staged.clone()

    def _buffer(self, tensor: torch.Tensor, direction: str) -> torch.Tensor:
        """A staging buffer in ``tensor``'s shape and type."""
        key = tensor.dtype, direction
        count = tensor.numel()
        if key not in self._buffers or len(self._buffers[key]) < count:
            with torch.inference_mode(False):  # one made there couldn't be written to outside
                self._buffers[key] = torch.empty(count, dtype=tensor.dtype, pin_memory=self._pin)
        return self._buffers[key][:count].view(tensor.shape)
