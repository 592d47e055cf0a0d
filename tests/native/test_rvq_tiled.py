"""What the tensor cores' screening promises, shown by its twin in PyTorch; no GPU is needed."""

import pytest
import torch

from tests.native import rvq_twin
from tests.native.test_rvq import assert_exact, problem
from workbench.native.rvq_tiled import near_entries, pack_tiled


def scores(residual, book):
    book = book.double()
    return book.square().sum(1) / 2 - residual.double() @ book.T


def cases():
    """Residuals and a codebook: of one level, of many, near an entry, equal ones, zeros."""
    vectors, books = problem(24, books=1, entries=96, dim=64)
    book = books[0]
    for level in (1e-30, 1e-18, 1e-9, 1.0, 1e6, 1e11, 1e15):
        yield f"level {level}", vectors * level, book * level
    spread = 10.0 ** torch.linspace(-25, 17, 96)[:, None]
    yield "entries of all levels", vectors, book * spread
    yield "vectors of all levels", vectors * spread[::4], book
    yield "numbers of all levels", vectors * spread.flatten()[:64], book * spread.flatten()[:64]
    yield "near an entry", book[:24] * (1 + 1e-6 * vectors), book
    yield "on an entry", book[:24].clone(), book
    yield "equal entries", vectors, book[:1].repeat(96, 1)
    yield "close entries", vectors, book[:1] + 1e-5 * book
    yield "zero vectors", torch.zeros_like(vectors), book
    yield "zero entries", vectors, torch.zeros_like(book)
    yield "opposite signs", vectors.abs(), -book.abs()


CASES = {name: case for name, *case in cases()}


@pytest.mark.parametrize("away", [-1, 0, 1])
@pytest.mark.parametrize("name", CASES)
def test_scores_lie_within_their_bounds(name, away):
    residual, book = CASES[name]
    near, tables = near_entries(book[None])
    lower, upper = rvq_twin.bounds(residual, near[0], tables[:, 0], away)
    exact = scores(residual, book)
    assert not (lower.double() > exact).any()
    assert not (upper.double() < exact).any()


@pytest.mark.parametrize("name", CASES)
def test_the_nearest_entry_is_a_candidate(name):
    residual, book = CASES[name]
    near, tables = near_entries(book[None])
    some = rvq_twin.candidates(*rvq_twin.bounds(residual, near[0], tables[:, 0]))
    gaps = (residual.double()[:, None] - book.double()).square().sum(2)
    nearest = gaps == gaps.amin(1, keepdim=True)  # of equally near ones, each
    assert some[nearest].all()


@pytest.mark.parametrize("dim", [32, 96, 256])
def test_the_walk_is_exact_and_measures_few(dim):
    vectors, codebooks = problem(70, books=5, entries=300, dim=dim)
    codes, measured = rvq_twin.encode(vectors, codebooks)
    assert assert_exact(vectors, codebooks, codes) == 70
    assert measured < 0.05


def test_ties_take_the_lowest_index():
    vectors, codebooks = problem(20, entries=128, dim=64)
    codebooks[:, 64:] = codebooks[:, :64]
    assert rvq_twin.encode(vectors, codebooks)[0].max() < 64


def test_a_bound_that_is_too_narrow_is_noticed(monkeypatch):
    residual, book = CASES["level 1.0"]
    near, tables = near_entries(book[None])
    monkeypatch.setattr(rvq_twin, "known", lambda r: (r.bfloat16(), r.norm(dim=1), 0 * r[:, 0]))
    narrow, _ = rvq_twin.bounds(residual, near[0], tables[:, 0] * torch.tensor([[1], [0], [1]]))
    assert (narrow.double() > scores(residual, book)).any()


def test_the_packed_table_is_as_long_as_the_header_says():
    _, codebooks = problem(1, books=3, entries=50, dim=64)
    assert pack_tiled(codebooks).numel() == 3 * 50 * (2 * 64 + 3 * 4)
