"""How each claim is measured: the one place to edit when an engine, part or switch arrives.

A claim without an entry in ``WAYS`` is answered "not measurable here", never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.studies.claims.ledger import Claim

# What a claim may need that a run of the ledger hasn't, as a reason; empty where it has.
NEEDS: Mapping[str, str] = {
    "tts": "",  # any speech synthesizer: the engine of the run
    "lora": "an adapter's cost is measured in notebook 61, outside of the ledger",
    "rvq": "the quantizer is measured by `workbench bench rvq`, outside of the ledger",
    "f5": "F5-TTS is measured in notebook 81, outside of the ledger",
    "fish": "it takes the Fish-Speech engine, which the workbench doesn't have yet",
}


@dataclass(frozen=True)
class Way:
    """How one claim is measured.

    ``switches`` are turned on together, over what they require; ``all`` and ``all_but_compile``
    stand for the recommended preset. ``probe`` is a small measurement instead (``probes.py``,
    ``facts.py``). ``needs`` is what must be in the run (a key of ``NEEDS``); if not, what the
    switches do to the engine at hand is told beside the reason. ``metric`` is the figure of the
    samples (None: the one that the switch's effect shows in). ``sound`` says that the claim also
    promises the sound. ``texts`` is how many there must be, for a batch of them. ``gap`` is why
    nothing here can measure it.
    """

    switches: tuple[str, ...] = ()
    probe: str = ""
    needs: str = "tts"
    metric: str | None = None
    sound: bool = False
    texts: int = 1
    gap: str = ""


_CONVERSE = "a conversation is measured by `workbench converse --compare`, outside of the ledger"


def _on(*switches: str, **more: object) -> Way:
    return Way(switches, **more)  # type: ignore[arg-type]


WAYS: Mapping[str, Way] = {
    # -- FERN ----------------------------------------------------------------------------------
    "fern.compile.tts": _on("torch_compile"),
    "fern.compile.audit": _on("torch_compile"),
    "fern.flash.layers": Way(probe="attention"),
    "fern.flash.audit": Way(probe="attention"),
    "fern.tf32.models": _on("tf32"),
    "fern.tf32.matmul": Way(probe="matmul"),
    "fern.cudnn_benchmark": _on("cudnn_benchmark"),
    "fern.quick_wins": _on("tf32", "cudnn_benchmark", "bf16_default"),
    "fern.kv_cache": _on("static_kv_cache"),
    "fern.int8.models": _on("int8"),
    "fern.int8.memory": _on("int8"),
    "fern.whisper.fp16": Way(probe="whisper_float16"),
    "fern.whisper.int8": Way(probe="whisper_int8"),
    "fern.whisper.int8.accuracy": Way(probe="whisper_words", metric="wer"),
    "fern.whisper.base": Way(probe="whisper_base"),
    "fern.whisper.tiny": Way(probe="whisper_tiny"),
    "fern.batch.tts": _on("batching", texts=3),
    "fern.rvq": Way(needs="rvq"),
    "fern.rvq.tts": Way(needs="rvq"),
    "fern.cuda_graphs.variance": _on("cuda_graphs"),
    "fern.streaming.first_audio": _on("true_streaming"),
    "fern.streaming.saving": _on("true_streaming"),
    "fern.llm.max_tokens": Way(
        gap="it doesn't say how long answers were before; the time of a chat model's answer grows "
        "with its tokens (notebook 52)"
    ),
    "fern.llm.local": Way(
        gap="it doesn't say how long the answer is; `workbench bench chat` tells a chat model's "
        "first token and each further one"
    ),
    "fern.turn.semantic.cost": Way(probe="turn_cost"),
    "fern.turn.semantic.gain": Way(probe="turn_gain"),
    "fern.vad.frame": Way(probe="vad_frame"),
    "fern.pipeline.total": Way(gap=_CONVERSE),
    "fern.pipeline.first_audio": Way(gap=_CONVERSE),
    "fern.lora.latency": Way(needs="lora"),
    # -- RTX50: advice for PyTorch models, measured on the engine at hand ------------------------
    "rtx50.total": _on("all", sound=True),
    "rtx50.throughput": _on("all"),
    "rtx50.hybrid": _on("hybrid_precision", sound=True),
    "rtx50.bf16.memory": _on("hybrid_precision"),
    "rtx50.stft_half": Way(probe="stft_half"),
    "rtx50.cuda_graphs": _on("cuda_graphs"),
    "rtx50.compile": _on("torch_compile"),
    "rtx50.flash": Way(
        gap="how much memory a kernel moves stands in the GPU's hardware counters (Nsight "
        "Compute), which the workbench doesn't read"
    ),
    "rtx50.pinned": Way(probe="copy"),
    "rtx50.buffers": Way(probe="allocations"),
    "rtx50.preload": _on("preload_weights"),
    "rtx50.threads": _on("physical_threads"),
    "rtx50.inference_mode": _on("inference_mode"),
    "rtx50.batch_text": _on("batched_text"),
    # -- F5-TTS --------------------------------------------------------------------------------
    "f5.total": _on("all", needs="f5"),
    "f5.half": _on("hybrid_precision", needs="f5"),
    "f5.half.memory": _on("hybrid_precision", needs="f5"),
    "f5.compile": _on("torch_compile", needs="f5"),
    "f5.cuda_flags": _on("cudnn_benchmark", "tf32", needs="f5"),
    "f5.transfers": Way(needs="f5"),
    "f5.utilization": Way(needs="f5"),
    "f5.nfe": Way(needs="f5"),
    # -- VoiceReel -----------------------------------------------------------------------------
    "voicereel.target": Way(needs="fish"),
    "voicereel.optimized": _on("all_but_compile", needs="fish"),
    "voicereel.compile": _on("torch_compile", needs="fish"),
    "voicereel.fp16.memory": _on("hybrid_precision", needs="fish"),
    "voicereel.int8.size": _on("int8", needs="fish"),
    "voicereel.warmup": _on("warmup"),
    "voicereel.similar_lengths": Way(probe="length_buckets"),
}


def way_of(claim: Claim) -> Way:
    """How ``claim`` is measured; a gap where nobody has said how."""
    return WAYS.get(claim.id, Way(gap="no way to measure it is written down in claims/ways.py"))
