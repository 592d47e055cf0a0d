"""What the ceilings say, in words: titles, captions and alternative texts of their plots."""

from __future__ import annotations

from workbench.hardware.ceilings import Ceilings


def memory_finding(ceilings: Ceilings) -> str:
    """What the memory gives, in a sentence."""
    memory_gbs, cached_gbs = ceilings.memory_gbs(), ceilings.cached_gbs()
    found = f"Memory ({ceilings.device}) gives {memory_gbs:,.0f} GB a second"
    return found + (f", the cache {cached_gbs / memory_gbs:.1f}× as much" if cached_gbs else "")


def matmul_finding(ceilings: Ceilings) -> str:
    """How bfloat16 products compare with float32, in a sentence."""
    plain, brain = (ceilings.matmul_gflops(dtype) for dtype in ("float32", "bfloat16"))
    if brain >= plain:
        return f"Matrix products run {brain / plain:.1f}× as fast in bfloat16 as in float32"
    return f"Matrix products run {plain / brain:.1f}× as fast in float32 as in bfloat16"


def alt_text(ceilings: Ceilings, unit: str) -> str:
    """The ceilings in ``unit`` for those who don't see the plot."""
    parts = [f"{one.label} {one.median:,.1f}" for one in ceilings.results if one.unit == unit]
    return f"Median rates in {unit} on {ceilings.machine}: {'; '.join(parts)}."


def caption(ceilings: Ceilings, unit: str) -> str:
    """Machine, samples, and what disturbed the ceilings in ``unit``."""
    counts = [len(one.samples) for one in ceilings.results if one.unit == unit]
    shown = "dot: median; bar: its 95 % bootstrap interval"
    lines = [f"{ceilings.machine}; n = {min(counts)} to {max(counts)} samples each; {shown}"]
    return "; ".join([*lines, *ceilings.notes])
