"""The native stack of decoder layers against PyTorch in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from workbench.errors import InputError, ModelError
from workbench.native import library
from workbench.native.int4 import Int4Linear, quantize_int4, widen_int4
from workbench.native.layers import Frame, Layer, Matrix, Stack
from workbench.native.linear import Int8Linear, quantize_int8

EPSILON = 1e-5


class Problem:
    """Random layers, their native stack, and the same in float64 without caches."""

    def __init__(
        self, *, layers=2, hidden=48, heads=4, groups=2, head_dim=12, intermediate=56, batch=1,
        slots=8, kind="float32", cache=torch.float32, seed=0, threads=1,
    ):  # fmt: skip
        self.generator = torch.Generator().manual_seed(seed)
        self.heads, self.groups, self.head_dim = heads, groups, head_dim
        self.kind = kind
        width = (heads + 2 * groups) * head_dim
        angles = torch.outer(
            torch.arange(slots), 30.0 ** -(torch.arange(head_dim // 2) / head_dim)
        ).repeat(1, 2)
        self.cos, self.sin = angles.cos(), angles.sin()
        self.layers, self.exact = [], []
        for _ in range(layers):
            shapes = ((width, hidden), (hidden, heads * head_dim), (2 * intermediate, hidden),
                      (hidden, intermediate))  # fmt: skip
            matrices, weights = zip(*(self.matrix(*shape) for shape in shapes), strict=True)
            norms = [1 + 0.1 * self.normal(hidden) for _ in range(2)]
            caches = [torch.zeros(batch, groups, slots, head_dim, dtype=cache) for _ in range(2)]
            self.layers.append(Layer(norms[0], *matrices[:2], norms[1], *matrices[2:], *caches))
            self.exact.append((norms[0], *weights[:2], norms[1], *weights[2:]))
        self.norm = 1 + 0.1 * self.normal(hidden)
        self.stack = self.build(threads=threads)

    def build(self, **changes):
        how = {"heads": self.heads, "groups": self.groups, "epsilon": EPSILON, "threads": 1}
        return Stack(self.layers, self.norm, self.cos, self.sin, **{**how, **changes})

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def matrix(self, outputs, inputs):
        weight = self.normal(outputs, inputs) / inputs**0.5
        if self.kind == "int8":
            codes, scales = quantize_int8(weight)
            return Matrix(codes, scales=scales), codes.double() * scales.double()
        if self.kind == "int4":
            codes, scales = quantize_int4(weight)
            return Matrix(codes, scales=scales), widen_int4(codes, scales).double()
        if self.kind == "bfloat16":
            weight = weight.bfloat16()
        return Matrix(weight), weight.double()

    def reference(self, x):
        """``x`` ``[B, T, H]`` from position 0 → ``[B, T, H]`` float64."""
        x = x.double()
        length = x.shape[1]
        cos, sin = self.cos[:length].double(), self.sin[:length].double()

        def rotated(part):
            first, second = part.chunk(2, dim=-1)
            return part * cos + torch.cat((-second, first), dim=-1) * sin

        def normed(x, weight):
            return functional.rms_norm(x, weight.shape, weight.double(), EPSILON)

        for norm, projection, out, mlp_norm, gate_up, down in self.exact:
            parts = (normed(x, norm) @ projection.T).unflatten(-1, (-1, self.head_dim))
            query, key, value = parts.transpose(1, 2).split(
                [self.heads, self.groups, self.groups], dim=1
            )
            attended = functional.scaled_dot_product_attention(
                rotated(query), rotated(key), value, is_causal=True, enable_gqa=True
            )
            x = x + attended.transpose(1, 2).flatten(2) @ out.T
            gate, up = (normed(x, mlp_norm) @ gate_up.T).chunk(2, dim=-1)
            x = x + (functional.silu(gate) * up) @ down.T
        return normed(x, self.norm)

    def stepwise(self, x, tokens=1):
        positions = torch.arange(x.shape[1]).expand(len(x), -1)
        pairs = zip(x.split(tokens, 1), positions.split(tokens, 1), strict=True)
        return torch.cat([self.stack.step(*pair) for pair in pairs], dim=1)


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


def test_float32_weights_that_bfloat16_holds_are_kept_in_half_the_bytes(built):
    exact = torch.randn(9, 16).bfloat16().float()
    assert Matrix(exact).weight.dtype == torch.bfloat16
    other = torch.randn(9, 16)
    assert Matrix(other).weight.data_ptr() == other.data_ptr()  # not copied
    half = exact.bfloat16()
    assert Matrix(half).weight.data_ptr() == half.data_ptr()


def test_biases_and_linears(built):
    torch.manual_seed(0)
    linear = torch.nn.Linear(32, 20)
    made = Matrix.of(linear, 12)
    assert (made.c.outputs, made.c.inputs) == (12, 32)
    assert torch.equal(made.bias, linear.bias[:12])
    assert Matrix.of(Int8Linear.of(linear)).scales.shape == (20, 1)
    with pytest.raises(ModelError, match="Conv1d"):
        Matrix.of(torch.nn.Conv1d(2, 2, 2))
    with pytest.raises(InputError, match=r"pass \[20, 1\]"):
        Matrix.of(Int8Linear.of(linear, group=16))
    four = Matrix.of(Int4Linear.of(linear), 12)
    assert (four.c.outputs, four.c.inputs, four.work.flops) == (12, 32, 2 * 12 * 32)
    assert four.work.bytes == 12 * (16 + 2)


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
    for weight, scales in (
        (torch.zeros(3), None),
        (torch.zeros(3, 3).half(), None),
        (torch.zeros(3, 3), torch.zeros(3, 1)),
        (torch.zeros(3, 3, dtype=torch.int8), None),
        (torch.zeros(3, 3, device="meta"), None),
        (torch.zeros(3, 16, dtype=torch.uint8), None),
        (torch.zeros(3, 16, dtype=torch.uint8), torch.zeros(3, 2)),
    ):
        with pytest.raises(InputError):
            Matrix(weight, scales=scales)


def test_without_the_kernels_it_says_so(monkeypatch):
    monkeypatch.setattr(library, "_folders", list)
    library._loaded.cache_clear()
    try:
        with pytest.raises(ModelError, match="not built"):
            Problem()
    finally:
        library._loaded.cache_clear()


@pytest.fixture
def frame(built):
    def matrix(outputs, inputs):
        return Matrix(torch.randn(outputs, inputs))

    torch.manual_seed(0)
    return Frame(
        backbone=Problem(batch=2).stack,
        depth=Problem(batch=2, hidden=16).stack,
        head=matrix(11, 48),
        projector=matrix(16, 48),
        depth_heads=[matrix(11, 16) for _ in range(3)],
        audio_table=torch.randn(4, 12, 48),
        depth_table=torch.randn(3, 12, 16),
    )


def test_a_frame_refuses_what_it_can_not_read_or_write(frame):
    codes, positions = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    hidden = frame.read(codes, positions)
    assert hidden.shape == (2, 48)
    noise = torch.zeros(4, 2, 11)
    assert frame.write(hidden, (1.0, 1.0), (3, 0), noise).shape == (2, 4)
    assert torch.equal(frame.write(hidden, (1.0, 1.0), (0, 0), noise), frame.write(hidden))
    with pytest.raises(InputError, match="beyond the vocabulary"):
        frame.read(codes + 12, positions)
    with pytest.raises(InputError, match="beyond the caches"):
        frame.read(codes, positions + 8)
    with pytest.raises(InputError, match="codes of shape"):
        frame.read(codes[:, :3], positions)
    with pytest.raises(InputError, match="hidden states of shape"):
        frame.write(hidden[:, :4])
    with pytest.raises(InputError, match="without noise"):
        frame.write(hidden, (1.0, 0.0))
    with pytest.raises(InputError, match="below 0"):
        frame.write(hidden, (-1.0, 0.0), noise=noise)
    with pytest.raises(InputError, match="noise of shape"):
        frame.write(hidden, (1.0, 0.0), noise=noise[:2])
    hidden[1, 0] = float("nan")
    with pytest.raises(InputError, match="NaN, infinity"):
        frame.write(hidden)
