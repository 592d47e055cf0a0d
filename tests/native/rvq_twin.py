"""The walk of ``native/cuda/rvq_tiled.cu`` in PyTorch, with its own constants and float32 rounding.

Tensor cores don't say in which order they add: here sums of 16 products are rounded to float32
towards zero, or towards where ``away`` says, as the worst of them may.
"""

import re
from pathlib import Path

import torch

from workbench.native.rvq_tiled import near_entries

SOURCE = Path(__file__).parents[2] / "native" / "cuda" / "rvq_tiled.cu"
CHUNK = 16  # dimensions that a tensor core adds at once


def constant(name):
    """The kernel's own number."""
    found = re.search(rf"constexpr \w+ {name} = ([^;]+);", SOURCE.read_text())
    terms = found[1].split(" + ")
    return sum(
        float.fromhex(one[:-1]) if one.startswith("0x") else float(one.rstrip("f")) for one in terms
    )


def known(residual):
    """p, |r| and |r - p| of residuals ``[N, D]``, as ``approximate`` has them."""
    near = residual.bfloat16()
    near = near.masked_fill(near.abs() < constant("kSmallest"), 0.0)
    gap = residual - near.float()
    up, vanished = constant("kUp"), constant("kVanished")
    norm = residual.square().sum(1).sqrt() * up + vanished
    error = gap.square().sum(1).sqrt() * up + vanished
    bounded = (norm < constant("kLarge")) & (norm > constant("kSmall"))
    return near, norm, torch.where(bounded, error, torch.inf)


def products(p, q, away=0):
    """``p q^T`` in float32, chunk by chunk; ``away`` 1 or -1 rounds all sums that way."""
    sums = torch.zeros(p.shape[0], q.shape[0])
    for i in range(0, p.shape[1], CHUNK):
        exact = sums.double() + p[:, i : i + CHUNK].double() @ q[:, i : i + CHUNK].double().T
        rounded = exact.float()
        over = (rounded.double() - exact) * (away or rounded.sign()) > 0
        under = (rounded.double() - exact) * away < 0
        target = torch.full_like(rounded, away * torch.inf) if away else torch.zeros_like(rounded)
        sums = torch.where(under if away else over, torch.nextafter(rounded, target), rounded)
    return sums


def bounds(residual, near, tables, away=0):
    """Lower and upper bounds ``[N, V]`` of the scores, as ``screen`` computes them."""
    p, norm, error = known(residual)
    half_norm, entry_error, entry_norm = tables
    score = half_norm - products(p, near, away)
    size = norm[:, None] * entry_norm + half_norm
    addition = constant("kAddition") * residual.shape[1]
    width = constant("kUp") * (
        norm[:, None] * entry_error
        + error[:, None] * entry_norm
        + (addition + constant("kRounding")) * size
    ) + constant("kNegligible")
    return score - width, score + width


def candidates(lower, upper):
    """Which entries ``[N, V]`` may be nearest; a bound that is no number excludes nothing."""
    least = upper.nan_to_num(nan=torch.inf, posinf=torch.inf).amin(1, keepdim=True)
    return ~(lower > least)


def encode(vectors, codebooks):
    """Codes ``[N, K]``, and the share of the entries that were measured."""
    near, tables = near_entries(codebooks)
    residual, codes, measured = vectors, [], 0.0
    for k, book in enumerate(codebooks):
        some = candidates(*bounds(residual, near[k], tables[:, k]))
        distances = (residual[:, None] - book).square().sum(2)
        nearest = distances.masked_fill(~some, torch.inf).min(1).values
        # argmax of booleans: the lowest index of those equally near.
        best = ((distances == nearest[:, None]) & some).to(torch.uint8).argmax(1)
        measured += float(some.double().mean()) / len(codebooks)
        codes.append(best)
        residual = residual - book[best]
    return torch.stack(codes, dim=1), measured
