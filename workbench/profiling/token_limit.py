"""The roofline of one token of a Llama-like language model, from its configuration alone.

A token reads every weight once, but of the embedding table only its own row (the output layer,
often the same table, it reads whole), and the keys and values of all positions before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.errors import InputError
from workbench.hardware.ceilings import Ceilings
from workbench.profiling.roofline import BYTES_OF


@dataclass(frozen=True)
class TokenLimit:
    """The least time of one token at ``position``; ``cached``: all of it fits into the cache."""

    weights: int
    nbytes: int
    flops: int
    limit_ms: float
    bound_by: str  # "memory" | "compute"
    cached: bool
    dtype: str
    position: int
    machine: str
    read_gbs: float

    @property
    def tokens_per_s(self) -> float:
        """At the limit."""
        return 1000 / self.limit_ms

    def describe(self) -> str:
        """A line to print before the measurement."""
        where = "its cache" if self.cached else "memory"
        return (
            f"One token in {self.dtype} at position {self.position} reads {self.nbytes / 1e6:,.1f} "
            f"MB ({self.weights / 1e6:,.1f} M weights) and does {self.flops / 1e6:,.1f} MFLOP: at "
            f"least {self.limit_ms:.3g} ms on {self.machine} ({self.read_gbs:,.0f} GB/s from "
            f"{where}), {self.tokens_per_s:,.0f} tokens a second, bound by {self.bound_by}"
        )


def token_limit(
    config: Any,
    ceilings: Ceilings,
    dtype: str = "float32",
    position: int = 64,
    device: str | None = None,
) -> TokenLimit:
    """The least time of one token of the model that ``config`` (a LlamaConfig) describes.

    ``position``: tokens before it. ``device``: None for the one that matters on this machine.
    Raises InputError for a type that has no ceiling.
    """
    if dtype not in BYTES_OF:
        raise InputError(f"the type {dtype!r}", f"choose one of {', '.join(BYTES_OF)}")
    hidden, layers = config.hidden_size, config.num_hidden_layers
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    heads, shared = config.num_attention_heads, config.num_key_value_heads
    products = layers * (
        2 * hidden * head * (heads + shared) + 3 * hidden * config.intermediate_size
    )
    products += hidden * config.vocab_size
    weights = products + (2 * layers + 1) * hidden
    cache = 2 * layers * shared * head * (position + 1)
    nbytes = (weights + hidden + cache) * BYTES_OF[dtype]
    flops = 2 * products + 4 * layers * heads * head * (position + 1)
    device = device or ceilings.device
    cached_gbs = ceilings.cached_gbs(device)
    cached = bool(cached_gbs) and nbytes <= ceilings.cache_bytes.get(device, 0)
    read_gbs = cached_gbs if cached and cached_gbs else ceilings.memory_gbs(device)
    memory_ms = nbytes / read_gbs / 1e6
    compute_ms = flops / ceilings.matmul_gflops(dtype, device) / 1e6
    return TokenLimit(
        weights=weights,
        nbytes=nbytes,
        flops=flops,
        limit_ms=max(memory_ms, compute_ms),
        bound_by="memory" if memory_ms >= compute_ms else "compute",
        cached=cached,
        dtype=dtype,
        position=position,
        machine=ceilings.machine,
        read_gbs=read_gbs,
    )
