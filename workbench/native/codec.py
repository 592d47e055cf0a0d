"""Mimi's decoder in one native call: codes in, sound out, any number of streams and frames.

decoder = Decoder(table, …)                          # weights, packed once
streams = Streams(decoder, batch=2, frames=1)        # state of two streams
sound = streams.step(codes)                          # [2, K, 1] int64 → [2, samples] float32

One frame of mimi-nano is 25.6 million operations on 7.8 MB of weights, 0.2 ms of work in a hundred
operations of PyTorch that take milliseconds to start. Here all layers run in one call; how, is in
``native/README.md``. It computes `workbench.models.mimi.streaming.MimiDecoderStream` in float32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import InputError, ModelError
from workbench.native.codec_parts import Attention, DecoderLayer, Filter, Upsampling
from workbench.native.codec_structures import (
    CCodec,
    CFilter,
    CLayer,
    CResidual,
    CStreams,
    CUpsampling,
)
from workbench.native.library import BAD_ARGUMENT, cpu_library, native_status
from workbench.native.registration import done, thread_count
from workbench.native.watched import watched

_SPARE_SLOTS = 64  # positions until the window's keys move to the front of their cache


class Decoder:
    """A codec's weights for any number of streams.

    ``table`` ``[books, entries, dim]`` holds the codebooks, the first ``semantic`` of which have a
    projection of their own; ``projections`` is (semantic, acoustic), None where there is none.
    ``samples`` is a frame's length. Raises InputError for parts that don't fit together, and
    ModelError where the kernels aren't built.
    """

    def __init__(
        self,
        table: Tensor,
        semantic: int,
        projections: tuple[Filter | None, Filter | None],
        upsample: Filter,
        layers: Sequence[DecoderLayer],
        attention: Attention,
        first: Filter,
        stages: Sequence[Upsampling],
        last: Filter,
    ) -> None:
        library = cpu_library()
        if library is None:
            status = native_status()
            raise ModelError(f"the native codec is {status.reason}", status.remedy)
        self.library = library
        self._kept: list[object] = [projections, upsample, layers, first, stages, last]
        self.attention = attention
        self.layers = len(layers)
        self.positions_per_frame: int = upsample.c.repeat
        self.books, self.entries = table.shape[:2]
        self._applied = _applied(projections, upsample, layers, first, stages, last)
        c_layers = (CLayer * len(layers))(*map(self._layer, layers))
        c_stages = (CUpsampling * len(stages))(*map(self._stage, stages))
        self._kept += [c_layers, c_stages]
        self.c = CCodec(
            self._pointer(table),
            *(CFilter() if one is None else one.c for one in projections),
            upsample.c,
            c_layers,
            self._pointer(attention.frequencies),
            first.c,
            c_stages,
            last.c,
            self.books,
            self.entries,
            table.shape[2],
            semantic,
            len(layers),
            first.c.inputs,
            attention.heads,
            attention.groups,
            attention.head_dim,
            attention.window,
            len(stages),
            attention.epsilon,
            attention.rotary_scale,
        )
        self.state: int = library.wb_codec_state(ctypes.byref(self.c))
        self.samples: int = library.wb_codec_samples(ctypes.byref(self.c))
        if self.state < 0:
            raise InputError("a codec of parts that don't fit together", "check their shapes")

    def work(self, streams: int, frames: int) -> tuple[int, int]:
        """Operations (multiply-adds × 2) and bytes of weights of a step, without attention."""
        products = sum(one.weights * times for one, times in self._applied)
        size = sum(one.weights for one, _ in self._applied)
        return 2 * products * streams * frames, 4 * size

    def _layer(self, layer: DecoderLayer) -> CLayer:
        return CLayer(
            *map(self._pointer, (*layer.attention_norm, *layer.mlp_norm)),
            layer.query_key_value.c,
            layer.out.c,
            layer.up.c,
            layer.down.c,
        )

    def _stage(self, stage: Upsampling) -> CUpsampling:
        blocks = (CResidual * len(stage.residuals))(
            *(
                CResidual(one.narrow.c, one.widen.c, one.shortcut.c if one.shortcut else CFilter())
                for one in stage.residuals
            )
        )
        self._kept.append(blocks)
        return CUpsampling(stage.up.c, blocks, len(blocks))

    def _pointer(self, numbers: Tensor) -> int:
        self._kept.append(kept := numbers.detach().float().cpu().contiguous())
        return kept.data_ptr()


class Streams:
    """``batch`` streams of a ``decoder``, each at its own position, in steps of up to ``frames``.

    ``tensors`` hold all that a step reads and changes; streams of zeros stand at their start.
    ``threads`` share large products (0: PyTorch's number). A stream's bits depend neither on the
    other streams, nor on how its frames are cut into steps, nor on the threads. Not for use by two
    threads at a time: steps share scratch memory.
    """

    def __init__(self, decoder: Decoder, batch: int, frames: int, threads: int = 0) -> None:
        attention = decoder.attention
        self.decoder, self.batch, self.frames = decoder, batch, frames
        self._threads = threads
        positions = max(frames * decoder.positions_per_frame, _SPARE_SLOTS)
        slots = attention.window - 1 + positions
        shape = (decoder.layers, batch, attention.groups, slots, attention.head_dim)
        self.state = torch.zeros(batch, decoder.state)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.positions, self.used = torch.zeros(2, batch, dtype=torch.int64)
        self.tensors = [self.state, self.keys, self.values, self.positions, self.used]
        pointers = (tensor.data_ptr() for tensor in self.tensors)
        self._c = CStreams(*pointers, batch, slots)
        library = decoder.library
        needed = library.wb_codec_bytes(ctypes.byref(decoder.c), batch, frames)
        if needed < 0:
            raise InputError(f"{batch} streams in steps of {frames} frames", "use 1 or more")
        self._scratch = torch.empty(needed, dtype=torch.uint8)
        self._step = library.wb_codec_step
        self._pointers = ctypes.byref(decoder.c), ctypes.byref(self._c)

    def step(self, codes: Tensor, active: Tensor | None = None) -> Tensor:
        """Sound ``[B, T * samples]`` of the next codes ``[B, K, T]`` int64, K and T at least 1.

        Streams where ``active`` ``[B]`` bool is false stay as they are and give silence. Raises
        InputError for other shapes and for codes that there aren't, and changes nothing then.
        """
        batch, books, frames = codes.shape if codes.ndim == 3 else (0, 0, 0)
        if (
            batch != self.batch
            or not 1 <= books <= self.decoder.books
            or not 1 <= frames <= self.frames
            or codes.dtype != torch.int64
            or codes.device.type != "cpu"
        ):
            raise InputError(
                f"codes of shape {list(codes.shape)} and type {codes.dtype} on {codes.device}",
                f"pass int64 [{self.batch}, 1 to {self.decoder.books}, 1 to {self.frames}] "
                "on the CPU",
            )
        codes = codes.contiguous()
        if active is not None:
            active = active.contiguous()
        sound = torch.empty(batch, frames * self.decoder.samples)
        with watched("codec_step", lambda: self.decoder.work(batch, frames)):
            status = self._step(
                *self._pointers,
                frames,
                codes.data_ptr(),
                books,
                None if active is None else active.data_ptr(),
                thread_count(self._threads),
                self._scratch.data_ptr(),
                sound.data_ptr(),
            )
        if status == BAD_ARGUMENT:
            raise InputError(
                f"codes from {int(codes.min())} to {int(codes.max())}",
                f"pass codes from 0 to {self.decoder.entries - 1}; "
                "special codes (end of audio, padding) can't be decoded",
            )
        done(status, "codes")
        return sound

    def reset(self, rows: Tensor) -> None:
        """Starts the streams anew where ``rows`` ``[B]`` bool is true."""
        self.state.masked_fill_(rows[:, None], 0)
        self.positions.masked_fill_(rows, 0)
        self.used.masked_fill_(rows, 0)


def _applied(
    projections: tuple[Filter | None, Filter | None],
    upsample: Filter,
    layers: Sequence[DecoderLayer],
    first: Filter,
    stages: Sequence[Upsampling],
    last: Filter,
) -> list[tuple[Filter, int]]:
    """Every filter with how often a frame applies it."""
    rows = upsample.c.repeat  # positions a frame, later its samples
    found = [(one, 1) for one in (*projections, upsample) if one is not None]
    for layer in layers:
        found += [(one, rows) for one in (layer.query_key_value, layer.out, layer.up, layer.down)]
    found.append((first, rows))
    for stage in stages:
        found.append((stage.up, rows))
        rows *= stage.up.c.repeat
        for block in stage.residuals:
            parts = (block.narrow, block.widen, block.shortcut)
            found += [(one, rows) for one in parts if one is not None]
    return [*found, (last, rows)]
