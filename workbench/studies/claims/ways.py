"""How each claim is measured: the one place to edit when an engine, part or switch arrives.

A claim without an entry in ``WAYS`` is answered "not measurable here", never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.studies.claims.ledger import Claim

# By the engine that a claim speaks of: why there may be no answer; empty where any will do.
NEEDS: Mapping[str, str] = {
    "tts": "",  # any speech synthesizer: the engine of the run
    "f5": "it speaks of F5-TTS, and nothing decisive was measured of it here: `workbench run 81`, "
    "or `workbench claims --engine f5 --weights random`, does",
    "fish": "it speaks of Fish-Speech, and nothing decisive was measured of it here: "
    "`workbench claims --engine fish --weights random` does, where that engine is installed",
}


@dataclass(frozen=True)
class Way:
    """How one claim is measured.

    ``switches`` are turned on together, over what they require; ``all`` and ``all_but_compile``
    stand for the recommended preset. ``probe`` is a small measurement instead (``probes.py``,
    ``facts.py``). ``record`` is what another command's records say (``records.py``), and counts
    more than switches; ``command`` is what makes such a record. ``needs`` is the engine it must be
    of (a key of ``NEEDS``); what was measured of another is told beside the reason. ``metric`` is
    the figure of the samples (None: the one that the switch's effect shows in). ``sound`` says
    that the claim also promises the sound. ``texts`` is how many there must be, for a batch of
    them. ``part`` is what the measurement lacks of what the claim speaks of. ``gap`` is why
    nothing here can measure it.
    """

    switches: tuple[str, ...] = ()
    probe: str = ""
    record: str = ""
    command: str = ""
    needs: str = "tts"
    metric: str | None = None
    sound: bool = False
    texts: int = 1
    part: str = ""
    gap: str = ""


_RVQ = "workbench bench rvq --out DIR"
_CONVERSE = "workbench converse --compare 20 --out DIR"
_CHAT = "workbench bench chat --engine llama-3.2-1b --weights random --out DIR"
_LORA = "workbench bench adapter ADAPTER --out DIR"
_SAME_ENGINES = (
    "both conversations have the same engines with all their switches, so that what those gain "
    "isn't in it"
)


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
    "fern.rvq": Way(record="rvq", command=_RVQ),
    "fern.rvq.tts": Way(record="rvq_encode", command=_RVQ),
    "fern.cuda_graphs.variance": _on("cuda_graphs"),
    "fern.streaming.first_audio": _on("true_streaming"),
    "fern.streaming.saving": _on("true_streaming"),
    "fern.llm.max_tokens": Way(
        gap="it doesn't say how long answers were before; the time of a chat model's answer grows "
        "with its tokens (notebook 52)"
    ),
    # It doesn't say how long the answer is: until the first text, which speech can begin with.
    "fern.llm.local": Way(record="chat_answer", command=_CHAT),
    "fern.turn.semantic.cost": Way(probe="turn_cost"),
    "fern.turn.semantic.gain": Way(probe="turn_gain"),
    "fern.vad.frame": Way(probe="vad_frame"),
    "fern.pipeline.total": Way(
        record="conversation_total", command=_CONVERSE, metric="total_ms", part=_SAME_ENGINES
    ),
    "fern.pipeline.first_audio": Way(
        record="conversation_first_audio", command=_CONVERSE, metric="first_audio_ms"
    ),
    "fern.lora.latency": Way(record="adapter", command=_LORA),
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
    "f5.total": _on(
        "all", needs="f5", record="f5_both", part="not all that its document lists is in it"
    ),
    "f5.half": _on("hybrid_precision", needs="f5", record="f5_half"),
    "f5.half.memory": _on("hybrid_precision", needs="f5", record="f5_half"),
    "f5.compile": _on("torch_compile", needs="f5", record="f5_compile"),
    "f5.cuda_flags": _on("cudnn_benchmark", "tf32", needs="f5"),
    "f5.transfers": Way(
        gap="F5-TTS keeps its networks on their device here and moves a reference in and the sound "
        "out: there is nothing with more transfers to compare it with"
    ),
    "f5.utilization": Way(
        gap="the share of time in which a GPU works isn't among a trial's figures"
    ),
    "f5.nfe": Way(needs="f5", record="f5_nfe"),
    # -- VoiceReel -----------------------------------------------------------------------------
    "voicereel.target": Way(needs="fish", record="script_seconds"),
    "voicereel.optimized": _on("all_but_compile", needs="fish", record="script_optimized"),
    "voicereel.compile": _on("torch_compile", needs="fish"),
    "voicereel.fp16.memory": _on("hybrid_precision", needs="fish"),
    "voicereel.int8.size": _on("int8", needs="fish"),
    "voicereel.warmup": _on("warmup"),
    "voicereel.similar_lengths": Way(probe="length_buckets"),
}


def way_of(claim: Claim) -> Way:
    """How ``claim`` is measured; a gap where nobody has said how."""
    return WAYS.get(claim.id, Way(gap="no way to measure it is written down in claims/ways.py"))
