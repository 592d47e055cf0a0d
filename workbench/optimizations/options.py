"""What an engine's switches set. A field's default is *off*: what one has without any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GeneratorName = Literal["transformers", "frame"]
Streaming = Literal["pseudo", "true"]


@dataclass(frozen=True)
class EngineOptions:
    """How an engine runs. ``EngineOptions()`` has every switch off; each switch changes a field.

    ``dtype`` and ``codec_dtype`` are the networks' and the codec's (``auto``: by device and size,
    ``half``: the device's 16-bit type, see ``workbench.optimizations.dtypes``).
    ``autocast_dtype`` runs float32 weights under ``torch.autocast``. ``generator`` is
    transformers' ``generate`` or our frame step; the fields under "frame step" have no meaning
    for the former. ``codebooks`` is how many of the codec's codebooks are written and decoded
    (None: all). ``threads`` are CPU threads while it speaks (None: one for small models, else
    PyTorch's number). ``process`` names the process-wide switches that are in force while it
    speaks, as ``name`` or ``name=value``.
    """

    generator: GeneratorName = "transformers"
    dtype: str = "float32"
    codec_dtype: str = "float32"
    autocast_dtype: str | None = None
    inference_mode: bool = False  # off: torch.no_grad, as transformers' generate has it
    static_kv_cache: bool = False  # of transformers' generate; the frame step has no other
    codebooks: int | Literal["half"] | None = None
    threads: int | None = None
    quantization: Literal["int8", "int8_dynamic", "fp8", "native_int8", "native_int4"] | None = None
    compile_mode: str | None = None
    torch_jit: bool = False
    # The frame step.
    fused_projections: bool = False
    folded_depth_embedding: bool = False
    sync_free_sampling: bool = False
    buffer_pool: bool = False
    cuda_graphs: bool = False
    prefill_buckets: bool = False
    native_layers: bool = False
    # Around it.
    streaming: Streaming = "pseudo"
    batched_text: bool = False
    batching: bool = False
    pinned_memory: bool = False
    preload_weights: bool = False
    warm_up: bool = False
    native_rvq: bool = False  # of a reference's encoding
    native_codec: bool = False  # its decoder
    process: tuple[str, ...] = ()
