"""Weights as the native layers read them."""

import pytest
import torch

from workbench.errors import InputError, ModelError
from workbench.native.int4 import Int4Linear
from workbench.native.linear import Int8Linear
from workbench.native.matrix import Matrix


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


def test_what_is_no_matrix_is_refused():
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
