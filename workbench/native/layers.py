"""Decoder layers of a language model from static key/value caches, a whole stack in one call.

stack = Stack(layers, norm, cos, sin, heads=4, groups=2)   # layers: [Layer(…), …]
hidden = stack.step(x, positions)                          # [B, T, H] → [B, T, H]

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
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import InputError, ModelError
from workbench.native.layer_structures import TYPES, CLayer, CStack
from workbench.native.library import BAD_ARGUMENT, cpu_library, native_status
from workbench.native.matrix import Matrix, Work, floats
from workbench.native.registration import done, thread_count
from workbench.native.watched import watched


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
        self._library = layers_library()
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
        self._kept.append(array := (CLayer * len(parts))(*parts))
        self.c = CStack(
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
            cache_type=TYPES[caches[0].dtype],
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
        accepted(status, "positions outside the caches")
        return y

    def _layer(self, layer: Layer) -> CLayer:
        return CLayer(
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
        self._kept.append(kept := floats(numbers))
        return kept.data_ptr()

    def _scratch_for(self, tokens: int) -> int:
        if tokens > self._scratch_tokens:
            needed = self._library.wb_stack_bytes(ctypes.byref(self.c), tokens)
            self._scratch = scratch_memory(needed, "a stack")
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


def layers_library() -> ctypes.CDLL:
    """The CPU's library. Raises ModelError where the kernels aren't built."""
    library = cpu_library()
    if library is None:
        status = native_status()
        raise ModelError(f"the native layers are {status.reason}", status.remedy)
    return library


def accepted(status: int, refused: str, what: str = "x") -> None:
    """Raises InputError for a call that was ``refused``, or that found ``what`` not finite."""
    if status == BAD_ARGUMENT:
        raise InputError(refused, "check what was passed")
    done(status, what)


def scratch_memory(needed: int, what: str) -> Tensor:
    """Scratch memory; PyTorch's is 64-byte aligned. InputError for -1 bytes, C's refusal."""
    if needed < 0:
        raise InputError(f"{what} of parts that don't fit together", "check their shapes")
    return torch.empty(needed, dtype=torch.uint8)
