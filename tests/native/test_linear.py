import pytest
import torch

from workbench.errors import InputError
from workbench.native.linear import Int8Linear, int8_linear, int8_linear_reference, quantize_int8


def problem(rows, outputs, inputs, group=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    x = torch.randn(rows, inputs, generator=generator)
    return x, *quantize_int8(weight, group), torch.randn(outputs, generator=generator)


def exact(x, weight, scales, bias):
    wide = weight.double().view(len(weight), scales.shape[1], -1) * scales.double()[:, :, None]
    return x.double() @ wide.flatten(1).T + bias, wide.flatten(1).abs().sum(1)


SHAPES = [(1, 1, None), (5, 64, None), (7, 100, None), (33, 512, 64), (6, 384, 128), (12, 96, 32)]


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
@pytest.mark.parametrize(("outputs", "inputs", "group"), SHAPES)
def test_stays_within_its_bound(isa, rows, outputs, inputs, group):
    x, weight, scales, bias = problem(rows, outputs, inputs, group)
    y = int8_linear(x, weight, scales, bias, 1)
    expected, sizes = exact(x, weight, scales, bias)
    bound = sizes * x.abs().amax(1, keepdim=True) * (1 / 32512 + 1e-6) + 1e-6
    assert ((y - expected).abs() <= bound).all()


@pytest.mark.parametrize(("outputs", "inputs"), [(2048, 2048), (1024, 2048), (3072, 1024)])
def test_csm_shapes_within_a_ten_thousandth(built, outputs, inputs):
    x, weight, scales, bias = problem(1, outputs, inputs)
    y = int8_linear(x, weight, scales, bias, 1)
    expected, _ = exact(x, weight, scales, bias)
    assert (y - expected).norm() / expected.norm() < 1e-4


def test_bfloat16_rounds_once(isa):
    x, weight, scales, bias = problem(4, 40, 256)
    half = x.bfloat16()
    y = int8_linear(half, weight, scales, bias, 1)
    assert y.dtype == torch.bfloat16
    expected, _ = exact(half, weight, scales, bias)
    assert (y - expected).abs().max() / expected.abs().max() < 2**-8


def test_outliers_cost_only_their_neighbours(built):
    # A thousandfold activation coarsens the steps of its 256 neighbours, and no others.
    x, weight, scales, bias = problem(1, 64, 2048)
    x[0, 0] = 1000.0
    weight[:, :256] = 0
    expected, _ = exact(x, weight, scales, bias)
    y = int8_linear(x, weight, scales, bias, 1)
    assert (y - expected).norm() / expected.norm() < 2e-4


def test_quantize_is_off_by_half_a_step():
    weight = torch.randn(6, 64)
    for group in (None, 16):
        codes, scales = quantize_int8(weight, group)
        wide = codes.view(6, scales.shape[1], -1) * scales[:, :, None]
        assert ((wide.flatten(1) - weight).abs() <= scales.max() * 0.5001).all()
        assert codes.abs().max() == 127
    zeros, scales = quantize_int8(torch.zeros(2, 8))
    assert not zeros.any()
    assert not scales.any()
    with pytest.raises(InputError, match="groups of 7"):
        quantize_int8(weight, 7)
    with pytest.raises(InputError, match="NaN"):
        quantize_int8(torch.full((2, 2), float("nan")))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_no_number_stays_in_its_row(isa, wrong):
    x, weight, scales, bias = problem(3, 8, 128)
    x[1, 5] = wrong
    y = int8_linear(x, weight, scales, bias, 1)
    assert not y[1].isfinite().any()
    assert y[[0, 2]].isfinite().all()


def test_threads_change_nothing(isa):
    x, weight, scales, bias = problem(2, 2048, 2050)
    one = int8_linear(x, weight, scales, bias, 1)
    for threads in (0, 2, 5):
        assert torch.equal(int8_linear(x, weight, scales, bias, threads), one)


@pytest.mark.parametrize("rows", [40, 200])
def test_any_number_of_rows(isa, rows):
    x, weight, scales, bias = problem(rows, 8, 64)
    y = int8_linear(x.view(2, rows // 2, 64), weight, scales, bias)
    assert y.shape == (2, rows // 2, 8)
    torch.testing.assert_close(
        y.view(rows, 8), int8_linear_reference(x, weight, scales, bias), rtol=1e-3, atol=1e-3
    )
    assert int8_linear(x[:0], weight, scales, bias).shape == (0, 8)
    assert int8_linear(x[0], weight, scales, bias).shape == (8,)


def test_not_contiguous(isa):
    x, weight, scales, bias = problem(4, 8, 64)
    expected = int8_linear(x, weight, scales, bias)
    turned = weight.T.contiguous().T
    assert torch.equal(int8_linear(x.T.contiguous().T, turned, scales, bias), expected)


def test_wrong_shapes_types_and_devices(built):
    x, weight, scales, bias = problem(2, 8, 64)
    with pytest.raises(InputError, match="activations of shape"):
        int8_linear(x[:, :5], weight, scales)
    with pytest.raises(InputError, match="activations of type"):
        int8_linear(x.half(), weight, scales)
    with pytest.raises(InputError, match="pass int8"):
        int8_linear(x, weight.float(), scales)
    with pytest.raises(InputError, match="scales of shape"):
        int8_linear(x, weight, scales[:3])
    with pytest.raises(InputError, match="scales of type"):
        int8_linear(x, weight, scales.double())
    with pytest.raises(InputError, match="a bias of shape"):
        int8_linear(x, weight, scales, bias[:3])
    with pytest.raises(InputError, match="move them to one device"):
        int8_linear(x, weight.to("meta"), scales)


def test_layer(built):
    linear = torch.nn.Linear(96, 20)
    layer = Int8Linear.of(linear, group=32)
    x = torch.randn(2, 3, 96)
    with torch.no_grad():
        error = (layer(x) - linear(x)).norm() / linear(x).norm()
    assert error < 0.02
    other = Int8Linear(torch.zeros_like(layer.weight), layer.scales.clone(), layer.bias.clone())
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert Int8Linear.of(torch.nn.Linear(8, 4, bias=False)).bias is None


def test_opcheck(built):
    x, weight, scales, bias = problem(2, 8, 64, 32)
    for some in (bias, None):
        torch.library.opcheck(torch.ops.workbench.int8_linear.default, (x, weight, scales, some, 1))


@pytest.mark.slow
def test_compiles_in_one_graph(built):
    layer = Int8Linear.of(torch.nn.Linear(64, 32))
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (2, 5):
        x = torch.randn(rows, 64)
        assert torch.equal(compiled(x), layer(x))


def test_exports(built):
    layer = Int8Linear.of(torch.nn.Linear(64, 32))
    x = torch.randn(2, 64)
    rows = torch.export.Dim("rows", min=2, max=100)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: rows},))
    assert torch.equal(exported.module()(x[:2]), layer(x[:2]))
