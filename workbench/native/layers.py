"""Decoder layers of a language model from static key/value caches, a whole stack in one call.

stack = Stack(layers, norm, cos, sin, heads=4, groups=2)   # layers: [Layer(…), …]
hidden = stack.step(x, positions)                          # [B, T, H] → [B, T, H]
frame = Frame(backbone=stack, depth=…, …)                  # a frame of codes in two calls
codes = frame.write(hidden, temperatures=(0.9, 0.9), top_k=(50, 50), noise=noise)
hidden = frame.read(codes, positions)

A small model's step is a thousand small operations, each of which costs PyTorch more to start than
to do; here a stack of layers is one call. These objects hold pointers to weights and caches, so
that they aren't operations of ``torch.ops``: nothing can trace or compile them. What they compute
is `workbench.models.csm.transformer.CachedTransformer.step`, in float32.

Memory: float32 weights that bfloat16 holds exactly (checkpoints stored in it) are read from a
bfloat16 copy, half their size more, which halves what a step reads and changes no bit; all other
weights are read where they are. Weights that change later need new objects. Large ones are moved
into huge pages where the system has them (`workbench.pages`), which changes their speed only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.errors import InputError, ModelError
from workbench.native.int4 import BLOCK, Int4Linear
from workbench.native.library import BAD_ARGUMENT, cpu_library, native_status
from workbench.native.linear import Int8Linear
from workbench.native.registration import done, thread_count
from workbench.native.watched import watched
from workbench.pages import ask_for_huge_pages

_PIECE = 1024  # rows that are compared with their bfloat16 at a time
_TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2, torch.uint8: 3}  # wb_type


class _CMatrix(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("outputs", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("type", ctypes.c_int32),
    )


class _CLayer(ctypes.Structure):
    _fields_ = (
        ("attention_norm", ctypes.c_void_p),
        ("query_key_value", _CMatrix),
        ("out", _CMatrix),
        ("mlp_norm", ctypes.c_void_p),
        ("gate_up", _CMatrix),
        ("down", _CMatrix),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    )


class _CStack(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.POINTER(_CLayer)),
        *((name, ctypes.c_void_p) for name in ("norm", "cos", "sin")),
        *(
            (name, ctypes.c_int64)
            for name in (
                *("count", "hidden", "heads", "groups", "head_dim"),
                *("intermediate", "batch", "slots"),
            )
        ),
        ("epsilon", ctypes.c_float),
        ("cache_type", ctypes.c_int32),
    )


class _CFrame(ctypes.Structure):
    _fields_ = (
        ("backbone", _CStack),
        ("depth", _CStack),
        ("head", _CMatrix),
        ("projector", _CMatrix),
        ("depth_heads", ctypes.POINTER(_CMatrix)),
        ("audio_table", ctypes.c_void_p),
        ("depth_table", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("codebooks", "codes", "vocabulary")),
        ("audio_type", ctypes.c_int32),
        ("depth_type", ctypes.c_int32),
    )


class _CSampling(ctypes.Structure):
    _fields_ = (
        ("temperature", ctypes.c_float),
        ("depth_temperature", ctypes.c_float),
        ("top_k", ctypes.c_int64),
        ("depth_top_k", ctypes.c_int64),
    )


class Work(NamedTuple):
    """Operations (multiply-adds × 2) of a row, and bytes of weights that all rows share."""

    flops: int
    bytes: int

    @classmethod
    def of(cls, matrices: Iterable[Matrix]) -> Work:
        """That of several products, one after another."""
        each = [matrix.work for matrix in matrices]
        return cls(sum(one.flops for one in each), sum(one.bytes for one in each))


class Matrix:
    """Weights ``[O, I]`` as the kernels read them: float32, bfloat16, or codes with ``scales``.

    int8 codes have ``scales`` ``[O, 1]`` float32; codes of 4 bits, uint8 ``[O, I / 2]``, those of
    `workbench.native.int4.quantize_int4`. ``bias`` is ``[O]`` float32. Raises InputError for other
    types, shapes and devices than the CPU.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, scales: Tensor | None = None):
        if weight.device.type != "cpu" or weight.ndim != 2 or weight.dtype not in _TYPES:
            raise InputError(
                f"weights of shape {list(weight.shape)} and type {weight.dtype} on {weight.device}",
                "pass [O, I] of float32, bfloat16, int8 or int4's codes on the CPU",
            )
        outputs, inputs = weight.shape
        if weight.dtype == torch.uint8:
            inputs *= 2
        coded = weight.dtype in (torch.int8, torch.uint8)
        if (scales is not None) != coded:
            raise InputError(f"scales for weights of type {weight.dtype}", "only codes have scales")
        groups = 1 if weight.dtype == torch.int8 else inputs // BLOCK
        if scales is not None and scales.shape != (outputs, groups):
            raise InputError(f"scales of shape {list(scales.shape)}", f"pass [{outputs}, {groups}]")
        self.weight = _compact(weight.detach())
        ask_for_huge_pages(self.weight.data_ptr(), self.weight.nbytes)
        self.scales = None
        if scales is not None:
            kept = torch.float32 if weight.dtype == torch.int8 else torch.bfloat16
            self.scales = scales.detach().to(kept).contiguous()
        self.bias = None if bias is None else _floats(bias)
        self.c = _CMatrix(
            weight=self.weight.data_ptr(),
            scales=_address(self.scales),
            bias=_address(self.bias),
            outputs=outputs,
            inputs=inputs,
            type=_TYPES[self.weight.dtype],
        )

    @property
    def work(self) -> Work:
        """What one row's product takes."""
        scales = 0 if self.scales is None else self.scales.nbytes
        return Work(2 * self.c.outputs * self.c.inputs, self.weight.nbytes + scales)

    @classmethod
    def of(cls, linear: nn.Module, outputs: int | None = None) -> Matrix:
        """That of a linear layer (``nn``, int8 or int4), or of its first ``outputs``.

        Raises ModelError for any other module.
        """
        rows = slice(outputs)
        if isinstance(linear, (Int8Linear, Int4Linear)):
            bias = None if linear.bias is None else linear.bias[rows]
            return cls(linear.weight[rows], bias, linear.scales[rows])
        if not isinstance(linear, nn.Linear) or type(linear.weight.data) is not Tensor:
            raise ModelError(
                f"the native layers can't read {type(linear).__name__} weights",
                "use float32, bfloat16, native_int8 or native_int4 weights",
            )
        return cls(linear.weight[rows], None if linear.bias is None else linear.bias[rows])


@dataclass(frozen=True)
class Layer:
    """A decoder layer's weights, and its caches ``[B, G, S, D]``, which are written in place.

    ``query_key_value`` has the outputs of all query heads, then the keys' and the values';
    ``gate_up`` those of the gate, then as many of its factor.
    """

    attention_norm: Tensor
    query_key_value: Matrix
    out: Matrix
    mlp_norm: Tensor
    gate_up: Matrix
    down: Matrix
    keys: Tensor
    values: Tensor


class Stack:
    """A stack of Llama-like decoder layers with its last ``norm``.

    Each layer: RMSNorm, rotary grouped-query attention, RMSNorm, SwiGLU, each half with its
    residual. ``cos`` and ``sin`` are ``[S, D]``, of which the caches' S positions are rotated;
    ``heads`` share ``groups`` key heads. Weights may be float32, bfloat16, int8 or int4, caches
    float32 or bfloat16, everything on the CPU; sums and activations are float32. ``threads``
    share large products (0: PyTorch's number).

    Raises InputError for tensors that don't fit together, and ModelError where the kernels aren't
    built. Not for use by two threads at a time: calls share scratch memory.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        norm: Tensor,
        cos: Tensor,
        sin: Tensor,
        *,
        heads: int,
        groups: int,
        epsilon: float,
        threads: int = 0,
    ) -> None:
        self._library = _library()
        caches = [cache for layer in layers for cache in (layer.keys, layer.values)]
        if not caches:
            raise InputError("a stack of no layers", "pass at least one")
        self._check_caches(caches, groups)
        batch, _, slots, head_dim = caches[0].shape
        for name, table in (("cos", cos), ("sin", sin)):
            if table.shape != (slots, head_dim):
                raise InputError(
                    f"{name} of shape {list(table.shape)}", f"pass [{slots}, {head_dim}]"
                )
        self.hidden = len(norm)
        self.batch = batch
        self.work = Work.of(
            matrix
            for layer in layers
            for matrix in (layer.query_key_value, layer.out, layer.gate_up, layer.down)
        )
        self._threads = threads
        self._kept: list[object] = [*layers]  # what C points to
        parts = [self._layer(layer) for layer in layers]
        self._kept.append(array := (_CLayer * len(parts))(*parts))
        self.c = _CStack(
            layers=array,
            norm=self._pointer(norm),
            cos=self._pointer(cos),
            sin=self._pointer(sin),
            count=len(parts),
            hidden=self.hidden,
            heads=heads,
            groups=groups,
            head_dim=head_dim,
            intermediate=layers[0].down.c.inputs,
            batch=batch,
            slots=slots,
            epsilon=epsilon,
            cache_type=_TYPES[caches[0].dtype],
        )
        self._scratch_tokens = 0
        self._scratch_for(1)  # refuses what doesn't fit together

    def step(self, x: Tensor, positions: Tensor) -> Tensor:
        """T tokens a row, ``x`` ``[B, T, H]`` at ``positions`` ``[B, T]`` int64 → ``[B, T, H]``.

        Each row stands at its own positions. Their keys and values go into the caches, and a token
        attends to its row's caches up to its own position. The result is float32; a row's bits
        don't depend on the batch. NaN and infinity stay in their row, its caches included.

        Raises InputError for other shapes, and for positions outside the caches.
        """
        tokens = x.shape[1] if x.ndim == 3 else 0
        if x.shape != (self.batch, tokens, self.hidden) or tokens < 1:
            raise InputError(
                f"x of shape {list(x.shape)}", f"pass [{self.batch}, T, {self.hidden}]"
            )
        if positions.shape != (self.batch, tokens) or positions.dtype != torch.int64:
            raise InputError(
                f"positions of shape {list(positions.shape)} and type {positions.dtype}",
                f"pass int64 [{self.batch}, {tokens}]",
            )
        positions = positions.contiguous()  # held until the call is done
        y = x.detach().to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        rows = tokens * self.batch
        with watched("stack_step", lambda: (rows * self.work.flops, self.work.bytes)):
            status = self._library.wb_stack_step(
                ctypes.byref(self.c),
                tokens,
                positions.data_ptr(),
                thread_count(self._threads),
                self._scratch_for(tokens),
                y.data_ptr(),
            )
        _done(status, "positions outside the caches")
        return y

    def _layer(self, layer: Layer) -> _CLayer:
        return _CLayer(
            attention_norm=self._pointer(layer.attention_norm),
            query_key_value=layer.query_key_value.c,
            out=layer.out.c,
            mlp_norm=self._pointer(layer.mlp_norm),
            gate_up=layer.gate_up.c,
            down=layer.down.c,
            keys=layer.keys.data_ptr(),
            values=layer.values.data_ptr(),
        )

    def _pointer(self, numbers: Tensor) -> int:
        self._kept.append(kept := _floats(numbers))
        return kept.data_ptr()

    def _scratch_for(self, tokens: int) -> int:
        if tokens > self._scratch_tokens:
            needed = self._library.wb_stack_bytes(ctypes.byref(self.c), tokens)
            self._scratch = _memory(needed, "a stack")
            self._scratch_tokens = tokens
        return self._scratch.data_ptr()

    @staticmethod
    def _check_caches(caches: Sequence[Tensor], groups: int) -> None:
        first = caches[0]
        for cache in caches:
            if (
                cache.ndim != 4
                or cache.shape != first.shape
                or cache.shape[1] != groups
                or cache.dtype not in (torch.float32, torch.bfloat16)
                or cache.dtype != first.dtype
                or cache.device.type != "cpu"
                or not cache.is_contiguous()
            ):
                raise InputError(
                    f"caches of shape {list(cache.shape)} and type {cache.dtype} on {cache.device}",
                    f"pass [B, {groups}, S, D] of float32 or bfloat16 on the CPU, all alike",
                )


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
        self._library = _library()
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
        array = (_CMatrix * len(depth_heads))(*(one.c for one in depth_heads))
        self._kept = (backbone, depth, head, projector, depth_heads, audio_table, depth_table)
        self._backbone, self._depth = backbone, depth
        self._heads_work = Work.of((head, projector, *depth_heads))
        self._batch, self._hidden = backbone.batch, backbone.hidden
        self._threads = threads
        self._c = _CFrame(
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
            audio_type=_TYPES[audio_table.dtype],
            depth_type=_TYPES[depth_table.dtype],
        )
        needed = self._library.wb_frame_bytes(ctypes.byref(self._c))
        self._scratch = _memory(needed, "a frame")

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
        _done(status, "codes beyond the vocabulary, or positions beyond the caches")
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
        hidden = _floats(hidden)
        codes = torch.empty(self._batch, self.codebooks, dtype=torch.int64)
        sampling = _CSampling(*temperatures, *top_k)
        with watched("frame_write", self._write_work):
            status = self._library.wb_frame_write(
                ctypes.byref(self._c),
                hidden.data_ptr(),
                ctypes.byref(sampling),
                _address(noise),
                thread_count(self._threads),
                self._scratch.data_ptr(),
                codes.data_ptr(),
            )
        _done(status, "sampling below 0 or without noise", "logits")
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


def _library() -> ctypes.CDLL:
    library = cpu_library()
    if library is None:
        status = native_status()
        raise ModelError(f"the native layers are {status.reason}", status.remedy)
    return library


def _done(status: int, refused: str, what: str = "x") -> None:
    if status == BAD_ARGUMENT:
        raise InputError(refused, "check what was passed")
    done(status, what)


def _compact(weight: Tensor) -> Tensor:
    """bfloat16 where that holds ``weight`` exactly; contiguous."""
    if weight.dtype == torch.float32 and all(
        torch.equal(piece.bfloat16().float(), piece) for piece in weight.split(_PIECE)
    ):
        weight = weight.bfloat16()
    return weight.contiguous()


def _floats(numbers: Tensor) -> Tensor:
    return numbers.detach().float().contiguous()


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _memory(needed: int, what: str) -> Tensor:
    """Scratch memory; PyTorch's is 64-byte aligned. InputError for -1 bytes, C's refusal."""
    if needed < 0:
        raise InputError(f"{what} of parts that don't fit together", "check their shapes")
    return torch.empty(needed, dtype=torch.uint8)
