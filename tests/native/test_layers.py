"""The native stack of decoder layers against PyTorch in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.stacks import Problem
from workbench.errors import InputError, ModelError
from workbench.native import library


@pytest.mark.parametrize(
    ("kind", "cache", "tolerance"),
    [
        ("float32", torch.float32, 1e-5),
        ("bfloat16", torch.float32, 1e-5),
        ("int8", torch.float32, 2e-3),
        ("float32", torch.bfloat16, 5e-2),
        ("bfloat16", torch.bfloat16, 5e-2),
    ],
)
def test_stays_within_its_bound_of_float64(isa, kind, cache, tolerance):
    made = Problem(kind=kind, cache=cache, batch=3, slots=20)
    x = made.normal(3, 20, 48)
    error = (made.stepwise(x) - made.reference(x)).abs().max()
    assert error < tolerance
    if cache == torch.bfloat16:
        assert error > 1e-5  # it is used


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    hidden=st.integers(1, 70), groups=st.integers(1, 4), shared=st.integers(1, 4),
    half_dim=st.integers(1, 40), intermediate=st.integers(1, 70), batch=st.integers(1, 9),
    layers=st.integers(1, 3), tokens=st.integers(1, 4), seed=st.integers(0, 99),
    kind=st.sampled_from(["float32", "bfloat16", "int8"]),
)  # fmt: skip
def test_any_shape(
    hidden, groups, shared, half_dim, intermediate, batch, layers, tokens, seed, kind
):
    if not library.native_status().built:
        pytest.skip("native kernels")
    made = Problem(
        hidden=hidden, heads=groups * shared, groups=groups, head_dim=2 * half_dim, kind=kind,
        intermediate=intermediate, batch=batch, layers=layers, seed=seed,
    )  # fmt: skip
    x = made.normal(batch, 8, hidden)
    tolerance = 2e-2 if kind == "int8" else 1e-4
    assert (made.stepwise(x, tokens) - made.reference(x)).abs().max() < tolerance


def test_int4_weights_stay_within_their_bound_and_keep_their_bits(isa):
    sizes = {"hidden": 96, "head_dim": 16, "intermediate": 160, "slots": 12, "kind": "int4"}
    together = Problem(batch=5, **sizes)
    x = together.normal(5, 12, 96)
    made = together.stepwise(x)
    assert (made - together.reference(x)).abs().max() < 2e-3
    for rows in (1, 2):
        assert torch.equal(Problem(batch=rows, **sizes).stepwise(x[:rows]), made[:rows])


def test_rows_stand_at_positions_of_their_own_and_keep_their_bits(isa):
    together = Problem(batch=6, slots=9)
    x = together.normal(6, 9, 48)
    alone = []
    for row in range(6):
        one = Problem(batch=1, slots=9)
        alone.append(one.stepwise(x[row : row + 1])[0])
    starts = torch.tensor([0, 1, 2, 3, 4, 5])
    for row, start in enumerate(starts.tolist()):  # each row's past
        for position in range(start):
            given_positions = torch.full((6, 1), 8)
            given_positions[row] = position
            together.stack.step(x[:, position : position + 1], given_positions)
    for step in range(3):
        positions = starts + step
        made = together.stack.step(x[torch.arange(6), positions][:, None], positions[:, None])
        for row in range(6):
            assert torch.equal(made[row, 0], alone[row][positions[row]])


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])
def test_a_row_of_products_from_memory_keeps_its_bits(isa, kind):
    # Products of more than a million weights have loops of their own.
    made = Problem(layers=1, hidden=603, intermediate=903, batch=6, slots=3, kind=kind)
    x = made.normal(6, 3, 603)
    together = made.stepwise(x)
    for rows in (1, 2, 3):
        one = Problem(layers=1, hidden=603, intermediate=903, batch=rows, slots=3, kind=kind)
        assert torch.equal(one.stepwise(x[:rows]), together[:rows])


@pytest.mark.parametrize("kind", ["float32", "int8", "int4"])
def test_threads_change_nothing(isa, kind):
    sizes = {"layers": 1, "hidden": 512, "intermediate": 608, "kind": kind, "head_dim": 16}
    made = [Problem(**sizes, threads=n) for n in (1, 2, 5)]
    x = made[0].normal(1, 8, 512)
    first, *others = [one.stepwise(x) for one in made]
    for other in others:
        assert torch.equal(other, first)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_no_number_stays_in_its_row(isa, wrong):
    made = Problem(batch=3)
    x = made.normal(3, 1, 48)
    x[1, 0, 5] = wrong
    y = made.stack.step(x, torch.zeros(3, 1, dtype=torch.int64))
    assert not y[1].isfinite().any()
    assert y[[0, 2]].isfinite().all()


def test_what_does_not_fit_is_refused(built):
    made = Problem(batch=2)
    x, positions = made.normal(2, 1, 48), torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(InputError, match="x of shape"):
        made.stack.step(x[:1], positions)
    with pytest.raises(InputError, match="x of shape"):
        made.stack.step(x[:, :, :5], positions)
    with pytest.raises(InputError, match="positions of shape"):
        made.stack.step(x, positions[:, 0])
    with pytest.raises(InputError, match="type torch.int32"):
        made.stack.step(x, positions.int())
    for outside in (-1, 8):
        with pytest.raises(InputError, match="outside the caches"):
            made.stack.step(x, positions + outside)
    with pytest.raises(InputError, match="caches of shape"):
        made.build(groups=1)
    with pytest.raises(InputError, match="don't fit together"):
        made.build(heads=6)
    made.cos = made.cos[:3]
    with pytest.raises(InputError, match="cos of shape"):
        made.build()


def test_without_the_kernels_it_says_so(monkeypatch):
    monkeypatch.setattr(library, "_folders", list)
    library._loaded.cache_clear()
    try:
        with pytest.raises(ModelError, match="not built"):
            Problem()
    finally:
        library._loaded.cache_clear()
