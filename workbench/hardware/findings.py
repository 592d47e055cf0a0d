"""What the ceilings say, in words: titles, captions and alternative texts of their plots."""

from __future__ import annotations

from workbench.hardware.ceilings import Ceilings


def memory_finding(ceilings: Ceilings) -> str:
    """What the memory gives, in a sentence (medians, as its plot shows)."""
    memory_gbs = max(ceilings.find(name).median for name in ("copy", "read"))
    found = f"Memory ({ceilings.device}) gives {memory_gbs:,.0f} GB a second"
    if not any(one.name == "cached read" for one in ceilings.in_unit("GB/s")):
        return found
    return f"{found}, the cache {ceilings.find('cached read').median / memory_gbs:.1f}× as much"


def matmul_finding(ceilings: Ceilings) -> str:
    """How bfloat16 products compare with float32, in a sentence (medians)."""
    plain, brain = (ceilings.find("matmul", dtype).median for dtype in ("float32", "bfloat16"))
    if brain >= plain:
        return f"Matrix products run {brain / plain:.1f}× as fast in bfloat16 as in float32"
    return f"Matrix products run {plain / brain:.1f}× as fast in float32 as in bfloat16"


def alt_text(ceilings: Ceilings, unit: str) -> str:
    """The ceilings in ``unit`` for those who don't see the plot."""
    parts = [f"{one.label} {one.median:,.1f}" for one in ceilings.in_unit(unit)]
    return f"Median rates in {unit} on {ceilings.machine}: {'; '.join(parts)}."


def caption(ceilings: Ceilings, unit: str) -> str:
    """Machine, samples, and what may have disturbed the ceilings in ``unit``."""
    counts = [len(one.samples) for one in ceilings.in_unit(unit)]
    samples = f"{ceilings.machine}; n = {min(counts)} to {max(counts)} samples each"
    return "; ".join([samples, "median and its 95 % bootstrap interval", *ceilings.notes])
