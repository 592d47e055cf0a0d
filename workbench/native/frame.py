"""A frame of codes in two calls: two stacks, their heads and embeddings, and the sampling.

frame = Frame(backbone=stack, depth=…, …)     # stacks of `workbench.native.layers`
codes = frame.write(hidden, temperatures=(0.9, 0.9), top_k=(50, 50), noise=noise)
hidden = frame.read(codes, positions)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.native.layer_structures import TYPES, CFrame, CMatrix, CSampling
from workbench.native.layers import Stack, accepted, layers_library, scratch_memory
from workbench.native.matrix import Matrix, Work, address, floats
from workbench.native.registration import thread_count
from workbench.native.watched import watched


class Frame:
    """One frame of a model of codes such as CSM: two calls, ``read`` and ``write``.

    ``backbone`` reads a frame of K codes, the sum of their embeddings, and ``head`` predicts the
    first code of the next frame; ``depth``, which starts from ``projector`` of the hidden state,
    predicts the others in turn, with ``depth_heads``, K - 1 of V codes. ``audio_table`` is
    ``[K, vocabulary, H]`` or more codebooks, ``depth_table`` ``[K - 1, vocabulary, H_depth]`` or
    more, float32 or bfloat16. Raises InputError for what doesn't fit together.
    """

    def __init__(
        self,
        *,
        backbone: Stack,
        depth: Stack,
        head: Matrix,
        projector: Matrix,
        depth_heads: Sequence[Matrix],
        audio_table: Tensor,
        depth_table: Tensor,
        threads: int = 0,
    ) -> None:
        self._library = layers_library()
        self.codebooks = len(depth_heads) + 1
        self.codes: int = head.c.outputs
        vocabulary = depth_table.shape[1]
        wanted = ((audio_table, self.codebooks, backbone), (depth_table, self.codebooks - 1, depth))
        for table, books, stack in wanted:
            if (
                table.ndim != 3
                or table.shape[0] < books
                or table.shape[1:] != (vocabulary, stack.hidden)
                or table.dtype not in (torch.float32, torch.bfloat16)
                or not table.is_contiguous()
            ):
                raise InputError(
                    f"embeddings of shape {list(table.shape)} and type {table.dtype}",
                    f"pass [{books}, {vocabulary}, {stack.hidden}] of float32 or bfloat16",
                )
        array = (CMatrix * len(depth_heads))(*(one.c for one in depth_heads))
        self._kept = (backbone, depth, head, projector, depth_heads, audio_table, depth_table)
        self._backbone, self._depth = backbone, depth
        self._heads_work = Work.of((head, projector, *depth_heads))
        self._batch, self._hidden = backbone.batch, backbone.hidden
        self._threads = threads
        self._c = CFrame(
            backbone=backbone.c,
            depth=depth.c,
            head=head.c,
            projector=projector.c,
            depth_heads=array,
            audio_table=audio_table.data_ptr(),
            depth_table=depth_table.data_ptr(),
            codebooks=self.codebooks,
            codes=self.codes,
            vocabulary=vocabulary,
            audio_type=TYPES[audio_table.dtype],
            depth_type=TYPES[depth_table.dtype],
        )
        needed = self._library.wb_frame_bytes(ctypes.byref(self._c))
        self._scratch = scratch_memory(needed, "a frame")

    def read(self, codes: Tensor, positions: Tensor) -> Tensor:
        """``codes`` ``[B, K]`` at ``positions`` ``[B]``, both int64 → hidden ``[B, H]`` float32.

        Raises InputError for other shapes, and for codes or positions that there aren't.
        """
        self._check(codes, (self._batch, self.codebooks), torch.int64, "codes")
        self._check(positions, (self._batch,), torch.int64, "positions")
        codes, positions = codes.contiguous(), positions.contiguous()
        hidden = torch.empty(self._batch, self._hidden)
        with watched("frame_read", self._read_work):
            status = self._library.wb_frame_read(
                ctypes.byref(self._c),
                codes.data_ptr(),
                positions.data_ptr(),
                thread_count(self._threads),
                self._scratch.data_ptr(),
                hidden.data_ptr(),
            )
        accepted(status, "codes beyond the vocabulary, or positions beyond the caches")
        return hidden

    def write(
        self,
        hidden: Tensor,
        temperatures: tuple[float, float] = (0.0, 0.0),
        top_k: tuple[int, int] = (0, 0),
        noise: Tensor | None = None,
    ) -> Tensor:
        """The frame's codes ``[B, K]`` int64 from ``hidden`` ``[B, H]``.

        ``temperatures`` and ``top_k`` are codebook 0's and the others'; a temperature of 0 is
        greedy, a ``top_k`` of 0 keeps all codes. A code is the first with the largest
        ``logit / temperature + noise`` among the ``top_k``, where ``noise`` ``[K, B, V]`` float32
        holds Gumbel draws. Raises InputError for other shapes, for negative settings, and where a
        logit is NaN or infinite.
        """
        self._check(hidden, (self._batch, self._hidden), hidden.dtype, "hidden states")
        if noise is not None:
            shape = (self.codebooks, self._batch, self.codes)
            self._check(noise, shape, torch.float32, "noise")
            noise = noise.contiguous()
        hidden = floats(hidden)
        codes = torch.empty(self._batch, self.codebooks, dtype=torch.int64)
        sampling = CSampling(*temperatures, *top_k)
        with watched("frame_write", self._write_work):
            status = self._library.wb_frame_write(
                ctypes.byref(self._c),
                hidden.data_ptr(),
                ctypes.byref(sampling),
                address(noise),
                thread_count(self._threads),
                self._scratch.data_ptr(),
                codes.data_ptr(),
            )
        accepted(status, "sampling below 0 or without noise", "logits")
        return codes

    def _read_work(self) -> tuple[int, int]:
        """The backbone's products, once; all rows share a read of its weights."""
        work = self._backbone.work
        return self._batch * work.flops, work.bytes

    def _write_work(self) -> tuple[int, int]:
        """K tokens through the depth decoder in K - 1 passes, and every head once."""
        depth, heads = self._depth.work, self._heads_work
        return (
            self._batch * (self.codebooks * depth.flops + heads.flops),
            (self.codebooks - 1) * depth.bytes + heads.bytes,
        )

    @staticmethod
    def _check(tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype, name: str) -> None:
        if tensor.shape != shape or tensor.dtype != dtype or tensor.device.type != "cpu":
            raise InputError(
                f"{name} of shape {list(tensor.shape)} and type {tensor.dtype} on {tensor.device}",
                f"pass {list(shape)} of {dtype} on the CPU",
            )
