"""Which switches work beside a LoRA adapter that isn't merged into the weights."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import InputError
from workbench.optimizations.registry import closure

# They take projections' weights as they are: an adapter beside them would go unheard.
LOOK_INTO_WEIGHTS = frozenset(
    (
        "fused_projections",
        "native_layers",
        "int8",
        "int8_dynamic",
        "fp8",
        "native_int8",
        "native_int4",
    )
)


def beside_adapter(
    names: Sequence[str], left_out: dict[str, str], *, asked: bool
) -> tuple[Sequence[str], dict[str, str]]:
    """``names`` without those that would pass an unmerged adapter by, and why, in ``left_out``.

    What requires one of them goes, too. Raises InputError where they were ``asked`` for by name.
    """
    reason = "it looks into the weights, and the adapter is beside them"
    bare = {name: name.partition("=")[0] for name in names}
    out = {one for one in bare.values() if one in LOOK_INTO_WEIGHTS}
    if out and asked:
        raise InputError(
            f"{sorted(out)[0]} with an unmerged adapter: {reason}",
            "merge the adapter, or leave the switch out",
        )
    kept = [name for name in names if not {bare[name], *closure(name)} & out]
    gone = {one: reason for one in bare.values() if one not in {bare[name] for name in kept}}
    return kept, {**left_out, **gone}
