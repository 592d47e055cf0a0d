import pytest
import torch

from workbench.errors import InputError
from workbench.native.int4 import (
    Int4Linear,
    int4_linear,
    int4_linear_reference,
    quantize_int4,
    widen_int4,
)


def problem(rows, outputs, inputs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    x = torch.randn(rows, inputs, generator=generator)
    return x, *quantize_int4(weight), torch.randn(outputs, generator=generator)


def exact(x, weight, scales, bias):
    wide = widen_int4(weight, scales).double()
    return x.double() @ wide.T + bias, wide.abs().sum(1)


def test_quantize_is_off_by_half_a_step():
    weight = torch.randn(50, 128, generator=torch.Generator().manual_seed(0))
    codes, scales = quantize_int4(weight)
    assert codes.shape == (50, 64)
    assert scales.shape == (50, 4)
    bound = scales.float().repeat_interleave(32, 1) * 0.5001
    assert ((widen_int4(codes, scales) - weight).abs() <= bound).all()
    assert ((widen_int4(codes, scales) - weight).abs() > 0.8 * bound).any()


def test_steps_come_back_as_they_were():
    steps = torch.randint(-7, 8, (6, 96), generator=torch.Generator().manual_seed(0)).float()
    steps[:, ::32] = 7
    assert torch.equal(widen_int4(*quantize_int4(steps / 4)), steps / 4)
    assert not widen_int4(*quantize_int4(torch.zeros(2, 32))).any()


def test_what_can_not_be_quantized():
    with pytest.raises(InputError, match="33 inputs"):
        quantize_int4(torch.zeros(2, 33))
    with pytest.raises(InputError, match="NaN"):
        quantize_int4(torch.full((2, 32), float("nan")))


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize(("outputs", "inputs"), [(1, 32), (5, 64), (33, 512), (6, 416), (9, 992)])
def test_stays_within_its_bound(isa, rows, outputs, inputs):
    x, weight, scales, bias = problem(rows, outputs, inputs)
    y = int4_linear(x, weight, scales, bias, 1)
    expected, sizes = exact(x, weight, scales, bias)
    bound = sizes * x.abs().amax(1, keepdim=True) * (1 / 32512 + 1e-6) + 1e-6
    assert ((y - expected).abs() <= bound).all()


def test_bfloat16_rounds_once(isa):
    x, weight, scales, bias = problem(4, 40, 256)
    half = x.bfloat16()
    y = int4_linear(half, weight, scales, bias, 1)
    assert y.dtype == torch.bfloat16
    expected, _ = exact(half, weight, scales, bias)
    assert (y - expected).abs().max() / expected.abs().max() < 2**-8


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_no_number_stays_in_its_row(isa, wrong):
    x, weight, scales, bias = problem(3, 8, 128)
    x[1, 5] = wrong
    y = int4_linear(x, weight, scales, bias, 1)
    assert not y[1].isfinite().any()
    assert y[[0, 2]].isfinite().all()


def test_rows_and_threads_change_nothing(isa):
    x, weight, scales, bias = problem(6, 2050, 4128)
    one = int4_linear(x, weight, scales, bias, 1)
    for threads in (0, 2, 5):
        assert torch.equal(int4_linear(x, weight, scales, bias, threads), one)
    for rows in (1, 5):
        assert torch.equal(int4_linear(x[:rows], weight, scales, bias, 1), one[:rows])


@pytest.mark.parametrize("rows", [40, 200])
def test_any_number_of_rows(isa, rows):
    x, weight, scales, bias = problem(rows, 8, 64)
    y = int4_linear(x.view(2, rows // 2, 64), weight, scales, bias)
    assert y.shape == (2, rows // 2, 8)
    torch.testing.assert_close(
        y.view(rows, 8), int4_linear_reference(x, weight, scales, bias), rtol=1e-3, atol=1e-3
    )
    assert int4_linear(x[:0], weight, scales, bias).shape == (0, 8)
    assert int4_linear(x[0], weight, scales, bias).shape == (8,)


def test_not_contiguous(isa):
    x, weight, scales, bias = problem(4, 8, 64)
    expected = int4_linear(x, weight, scales, bias)
    turned = weight.T.contiguous().T
    assert torch.equal(int4_linear(x.T.contiguous().T, turned, scales, bias), expected)


def test_wrong_shapes_types_and_devices(built):
    x, weight, scales, bias = problem(2, 8, 64)
    for wrong, match in (
        ((x[:, :5], weight, scales), "activations of shape"),
        ((x.half(), weight, scales), "activations of type"),
        ((x, weight.to(torch.int8), scales), "pass quantize_int4's codes"),
        ((x, weight[:, :20], scales), "pass quantize_int4's codes"),
        ((x, weight, scales[:3]), "scales of shape"),
        ((x, weight, scales.float()), "scales of shape"),
        ((x, weight, scales, bias[:3]), "a bias of shape"),
        ((x, weight.to("meta"), scales), "move them to one device"),
    ):
        with pytest.raises(InputError, match=match):
            int4_linear(*wrong)


def test_layer(built):
    linear = torch.nn.Linear(96, 20)
    layer = Int4Linear.of(linear)
    x = torch.randn(2, 3, 96)
    with torch.no_grad():
        error = (layer(x) - linear(x)).norm() / linear(x).norm()
    assert 0 < error < 0.2
    assert "96, 20" in repr(layer)
    other = Int4Linear(torch.zeros_like(layer.weight), layer.scales.clone(), layer.bias.clone())
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    Int4Linear.convert(linear)
    assert torch.equal(linear(x), layer(x))
    assert Int4Linear.of(torch.nn.Linear(32, 4, bias=False)).bias is None


def test_opcheck(built):
    x, weight, scales, bias = problem(2, 8, 64)
    for some in (bias, None):
        torch.library.opcheck(torch.ops.workbench.int4_linear.default, (x, weight, scales, some, 1))


@pytest.mark.slow
def test_compiles_in_one_graph(built):
    layer = Int4Linear.of(torch.nn.Linear(64, 32))
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (2, 5):
        x = torch.randn(rows, 64)
        assert torch.equal(compiled(x), layer(x))
