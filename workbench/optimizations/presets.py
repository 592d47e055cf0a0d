"""Sets of switches that belong together."""

from __future__ import annotations

from workbench.errors import InputError
from workbench.optimizations.registry import choose
from workbench.optimizations.switch import Site, Switch

# What `load` uses where nothing is said: what keeps the sound and starts at once. Where there are
# no native kernels, or the device is a GPU, both native switches are left out, and PyTorch does it.
DEFAULT = "default"

_BASE = (
    "inference_mode",
    "frame_step",
    "buffer_pool",
    "sync_free_sampling",
)
_FOLDED = ("fused_projections", "folded_depth_embedding")

PRESETS: dict[str, tuple[str, ...]] = {
    DEFAULT: (
        *_BASE,
        *_FOLDED,
        "native_layers",
        "native_codec",
        "true_streaming",
        "batched_text",
        "batching",
    ),
    # The first sound soon: all that takes time once is done by `load`.
    "conversation": (
        *_BASE,
        *_FOLDED,
        "cudnn_benchmark",
        "sdpa_flash",
        "native_layers",
        "native_codec",
        "torch_compile",
        "cuda_graphs",
        "prefill_buckets",
        "true_streaming",
        "batched_text",
        "pinned_memory",
        "preload_weights",
        "warmup",
        "tf32",
        "hybrid_precision",
    ),
    # Many texts; the last one's end counts.
    "batch": (
        *_BASE,
        *_FOLDED,
        "cudnn_benchmark",
        "native_layers",
        "native_codec",
        "torch_compile",
        "batched_text",
        "batching",
        "pinned_memory",
        "warmup",
        "tf32",
        "hybrid_precision",
    ),
    # For fine-tuning: only what a backward pass can go through. Gradient checkpointing and the
    # largest batch are the training loop's.
    "training": ("cudnn_benchmark", "matmul_precision", "tf32", "bf16"),
}


def excludes(one: Switch, other: Switch) -> bool:
    """Whether the two can't be on together."""
    return other.name in one.conflicts or one.name in other.conflicts


def preset(name: str, site: Site) -> tuple[tuple[str, ...], dict[str, str]]:
    """The preset's switches that ``site`` supports, and why the others are left out.

    Of two that exclude each other the first one that works here is used.

    Raises InputError for an unknown preset.
    """
    if name not in PRESETS:
        raise InputError(f"no preset called {name!r}", f"use {', '.join(PRESETS)}")
    left_out = {}
    used: list[str] = []
    for text in PRESETS[name]:
        choice = choose(text)
        reason = choice.unsupported(site)
        missing = [need for need in choice.switch.requires if need in left_out]
        if not reason and missing:
            reason = f"it needs {missing[0]}"
        excluded = [one for one in used if excludes(choice.switch, choose(one).switch)]
        if not reason and excluded:
            reason = f"{excluded[0]} takes its place here"
        if reason:
            left_out[choice.switch.name] = reason
        else:
            used.append(text)
    return tuple(used), left_out
