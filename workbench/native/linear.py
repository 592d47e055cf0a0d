"""Linear layers with int8 weights, for the one to eight rows of a decoding step.

layer = Int8Linear.of(linear)   # or .of(linear, group=128)
y = layer(x)                    # bfloat16 or float32, as x is
Int8Linear.convert(linear)      # the same, in place
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import InputError
from workbench.native.library import cpu_library, cuda_library
from workbench.native.registration import (
    are_many,
    done,
    launched,
    register,
    thread_count,
    warn_of_reference,
)


class Int8Linear(nn.Module):
    """``torch.nn.Linear`` with weights of 8 bits and a float32 scale for each row or group.

    Half the bytes of bfloat16: where a decoding step waits for memory, half the time.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: Tensor, scales: Tensor, bias: Tensor | None = None, threads: int = 0
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", bias)
        self.out_features, self.in_features = weight.shape
        self.threads = threads

    @classmethod
    def of(cls, linear: nn.Linear, group: int | None = None, threads: int = 0) -> Int8Linear:
        """``linear`` quantized; ``group`` inputs share a scale (None: a whole row does)."""
        weight, scales = quantize_int8(linear.weight.detach(), group)
        bias = None if linear.bias is None else linear.bias.detach().float()
        return cls(weight, scales, bias, threads)

    @classmethod
    def convert(cls, linear: nn.Linear, group: int | None = None) -> None:
        """Makes ``linear`` itself an ``Int8Linear``: whoever holds it has the new one."""
        made = cls.of(linear, group)
        linear.__class__ = cls  # type: ignore[assignment]
        linear.__dict__.update(made.__dict__)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` ``[..., inputs]`` → ``[..., outputs]``."""
        return int8_linear(x, self.weight, self.scales, self.bias, self.threads)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, scales={tuple(self.scales.shape)}"


def quantize_int8(weight: Tensor, group: int | None = None) -> tuple[Tensor, Tensor]:
    """``weight`` ``[O, I]`` as int8 and scales ``[O, I / group]`` float32, symmetric about 0.

    The largest size in a row, or group of a row, becomes 127; each number is off by at most half a
    scale. Raises InputError where ``group`` doesn't divide I or a weight isn't finite.
    """
    outputs, inputs = weight.shape
    group = inputs if group is None else group
    if group < 1 or inputs % group:
        raise InputError(f"groups of {group} among {inputs} inputs", "use a divisor")
    parts = weight.float().view(outputs, inputs // group, group)
    if not bool(parts.isfinite().all()):
        raise InputError("weights with NaN or infinity", "restore the checkpoint")
    scales = parts.abs().amax(2) / 127
    steps = scales.clamp(min=torch.finfo(torch.float32).tiny)[:, :, None]
    codes = (parts / steps).round().clamp(-127, 127).to(torch.int8)
    return codes.view(outputs, inputs).contiguous(), scales.contiguous()


def int8_linear(
    x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None = None, threads: int = 0
) -> Tensor:
    """``x @ (weight * scales).T + bias``, in the dtype of ``x`` (float32 or bfloat16).

    ``x`` is ``[..., I]``, ``weight`` ``[O, I]`` int8, ``scales`` ``[O, G]`` float32 for G groups of
    I / G inputs, ``bias`` ``[O]`` float32. Sums are float32 or wider. With VNNI an activation is
    rounded to 15 bits of the largest among its 256 neighbours, so that ``y`` is off by at most
    ``sum |weight * scales| * max |x| / 32512``; a NaN or an infinity makes its row NaN.

    Raises InputError for another shape, dtype or device.
    """
    y: Tensor = torch.ops.workbench.int8_linear(x, weight, scales, bias, threads)
    return y


def int8_linear_reference(
    x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None = None
) -> Tensor:
    """``int8_linear`` in plain PyTorch: float32 throughout, then the dtype of ``x``."""
    groups = scales.shape[1]
    wide = (weight.view(weight.shape[0], groups, -1).float() * scales[:, :, None]).flatten(1)
    return functional.linear(x.float(), wide, bias).to(x.dtype)


def _check(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> None:
    if weight.ndim != 2 or weight.dtype != torch.int8:
        raise InputError(
            f"weights of shape {list(weight.shape)} and type {weight.dtype}", "pass int8 [O, I]"
        )
    outputs, inputs = weight.shape
    if x.ndim < 1 or x.shape[-1] != inputs:
        raise InputError(f"activations of shape {list(x.shape)}", f"pass [..., {inputs}]")
    if x.dtype not in (torch.float32, torch.bfloat16):
        raise InputError(f"activations of type {x.dtype}", "pass float32 or bfloat16")
    if scales.ndim != 2 or scales.shape[0] != outputs or inputs % scales.shape[1]:
        raise InputError(
            f"scales of shape {list(scales.shape)}", f"pass [{outputs}, G], G a divisor of {inputs}"
        )
    if scales.dtype != torch.float32:
        raise InputError(f"scales of type {scales.dtype}", "pass float32")
    if bias is not None and (bias.shape != (outputs,) or bias.dtype != torch.float32):
        raise InputError(
            f"a bias of shape {list(bias.shape)} and type {bias.dtype}",
            f"pass float32 [{outputs}]",
        )
    for name, other in (("weights", weight), ("scales", scales), ("bias", bias)):
        if other is not None and other.device != x.device:
            raise InputError(
                f"activations on {x.device}, {name} on {other.device}", "move them to one device"
            )


def _fake(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, threads: int) -> Tensor:
    _check(x, weight, scales, bias)
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _cpu(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, threads: int) -> Tensor:
    _check(x, weight, scales, bias)
    threads = thread_count(threads)
    library = cpu_library()
    if library is None:
        warn_of_reference("int8_linear")
        return int8_linear_reference(x, weight, scales, bias)
    outputs, inputs = weight.shape
    rows = x.numel() // inputs
    if are_many(rows, library):
        return int8_linear_reference(x, weight, scales, bias)
    x, weight, scales = x.contiguous(), weight.contiguous(), scales.contiguous()
    bias = None if bias is None else bias.contiguous()
    y = torch.empty((*x.shape[:-1], outputs), dtype=x.dtype)
    kernel = library.wb_int8_linear if x.dtype == torch.float32 else library.wb_int8_linear_bf16
    status = kernel(
        x.data_ptr(),
        rows,
        weight.data_ptr(),
        scales.data_ptr(),
        None if bias is None else bias.data_ptr(),
        outputs,
        inputs,
        inputs // scales.shape[1],
        threads,
        y.data_ptr(),
    )
    done(status, "activations")
    return y


def _cuda(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, threads: int) -> Tensor:
    _check(x, weight, scales, bias)
    library = cuda_library()
    if library is None:
        warn_of_reference("int8_linear", "cuda")
        return int8_linear_reference(x, weight, scales, bias)
    outputs, inputs = weight.shape
    x, weight, scales = x.contiguous(), weight.contiguous(), scales.contiguous()
    bias = None if bias is None else bias.contiguous()
    y = x.new_empty((*x.shape[:-1], outputs))
    with torch.cuda.device(x.device):
        status = library.wb_cuda_int8_linear(
            x.data_ptr(),
            x.numel() // inputs,
            weight.data_ptr(),
            scales.data_ptr(),
            None if bias is None else bias.data_ptr(),
            outputs,
            inputs,
            inputs // scales.shape[1],
            x.dtype == torch.bfloat16,
            y.data_ptr(),
            torch.cuda.current_stream().cuda_stream,
        )
    if launched(status, "int8_linear"):
        return y
    return int8_linear_reference(x, weight, scales, bias)


register(
    "int8_linear(Tensor x, Tensor weight, Tensor scales, Tensor? bias, int threads) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
)
