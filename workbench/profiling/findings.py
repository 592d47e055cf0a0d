"""A profile in words: what takes the time, how far it is from the limit, what to try next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.errors import InputError
from workbench.optimizations.registry import choose
from workbench.optimizations.site import site_of
from workbench.profiling.tables import FrameCounts, StageRow
from workbench.profiling.trace import HOST

STAGE_WORDS: Mapping[str, str] = {
    "text": "text", "context": "context's encoding", "prefill": "prefill", "backbone": "backbone",
    "depth": "depth decoder", "codec": "codec", "graph": "frame's CUDA graph", HOST: "host code",
}  # fmt: skip
_IDLE = 0.25  # idle shares above are worth a switch against launches
_MANY = 100  # operator calls of a frame; far from the roofline they cost more than their work
_NEAR_LIMIT = 0.4  # shares of the roofline above which only smaller weights help much
_DOMINANT = 0.4


def stage_words(stage: str) -> str:
    """A stage as a sentence calls it."""
    return STAGE_WORDS.get(stage, stage)


def finding(
    stages: Sequence[StageRow], idle_share: float, limit_share: float | None, on_gpu: bool
) -> str:
    """What takes the time, how much of it nothing runs, and the share of the limit."""
    most = largest(stages)
    share = (most.time_ms or 0.0) / sum(row.time_ms or 0.0 for row in stages)
    nothing = "no kernel runs on the GPU" if on_gpu else "no operator runs, only Python"
    words = (
        f"The {stage_words(most.stage)} takes {percent(share)} of the time; "
        f"in {percent(idle_share)} of the profiled time {nothing}"
    )
    if limit_share is not None:
        words += f"; the frames reach {percent(limit_share)} of the roofline"
    return words


def largest(stages: Sequence[StageRow]) -> StageRow:
    """The stage that takes most of the time."""
    return max(stages, key=lambda row: row.time_ms or 0.0)


def percent(share: float) -> str:
    """ "34 %", "0.4 %"."""
    return f"{100 * share:.1f} %" if share < 0.01 else f"{100 * share:.0f} %"


def suggestions(
    engine: Any,
    stages: Sequence[StageRow],
    frame: FrameCounts,
    idle_share: float,
    limit_share: float | None,
    on_gpu: bool,
) -> list[tuple[str, str]]:
    """Switches that address what was found, with why, most promising first.

    Only those that work at this site, with what is on already, and exist.
    """
    on = {name.partition("=")[0] for name in engine.optimizations}
    site = site_of(engine.device, "csm", getattr(engine.config, "num_codebooks", 0))
    asked = _asked(engine, stages, frame, idle_share, limit_share, on_gpu)
    found: dict[str, str] = {}
    for name, why in asked:
        try:
            choice = choose(name)
        except (InputError, ImportError):
            continue
        switch = choice.switch
        blocked = choice.unsupported(site) or not on.issuperset(switch.requires)
        if name in on or blocked or on.intersection(switch.conflicts):
            continue
        found.setdefault(name, why)
    return list(found.items())


def _asked(
    engine: Any,
    stages: Sequence[StageRow],
    frame: FrameCounts,
    idle_share: float,
    limit_share: float | None,
    on_gpu: bool,
) -> Iterator[tuple[str, str]]:
    """What the figures ask for, whether or not it can be had."""
    calls = f"{frame.operators:,.0f} operator calls a frame"
    if engine.implementation == "transformers":
        yield "frame_step", f"generate's host code makes {calls}"
    if on_gpu and frame.host_reads >= 1:
        yield "sync_free_sampling", f"the host waits {frame.host_reads:.0f} times a frame"
    far = limit_share is not None and limit_share < _NEAR_LIMIT
    if idle_share > _IDLE or (far and frame.operators > _MANY):
        launches = f"{frame.kernel_launches:,.0f} launches a frame"
        if on_gpu:
            yield "cuda_graphs", f"the GPU waits for {launches}"
        else:
            yield "native_layers", f"{calls}, which two native calls replace"
        yield "torch_compile", f"{launches if on_gpu else calls}, most of them small"
        yield "fused_projections", f"{calls}: fewer and larger products"
        yield "folded_depth_embedding", f"{calls}: a product less for each codebook"
    if on_gpu:
        yield "bf16", "half the bytes of each weight"
    if limit_share is not None and limit_share > _NEAR_LIMIT:
        yield "int8", f"{percent(limit_share)} of the roofline: only fewer bytes help much"
    most = largest(stages)
    if most.stage == "codec" and not on_gpu:
        yield "native_codec", "the codec takes most: all its layers in one native call"
    if most.stage == "depth":
        share = (most.time_ms or 0.0) / sum(row.time_ms or 0.0 for row in stages)
        if share > _DOMINANT:
            yield "fused_projections", "the depth decoder runs once for each codebook"
            yield "fewer_codebooks", "fewer passes of the depth decoder (changes the sound)"
