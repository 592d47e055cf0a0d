"""How the frame step runs: which of its rungs are on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FrameSettings:
    """The frame step's own switches; each is off by default.

    ``codebooks`` is how many codebooks are written and read (None: all). ``compile_mode`` is a
    mode of ``torch.compile``; ``jit`` traces the same functions with ``torch.jit`` instead.
    ``cuda_graphs`` replays a whole frame as one CUDA graph, ``prefill_buckets`` the reading of a
    prompt as one of a few. ``native_layers`` makes a frame in two native calls. ``frozen`` says
    that the networks are compiled with their weights as constants.
    """

    codebooks: int | None = None
    fused_projections: bool = False
    folded_depth_embedding: bool = False
    sync_free_sampling: bool = False
    compile_mode: str | None = None
    jit: bool = False
    cuda_graphs: bool = False
    prefill_buckets: bool = False
    native_layers: bool = False
    frozen: bool = False
