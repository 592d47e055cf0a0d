"""Linear layers with int4 weights, for the one to eight rows of a decoding step.

layer = Int4Linear.of(linear)
y = layer(x)                    # bfloat16 or float32, as x is
Int4Linear.convert(linear)      # the same, in place
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

BLOCK = 32  # inputs that share a scale


class Int4Linear(nn.Module):
    """``torch.nn.Linear`` with weights of 4 bits and a bfloat16 scale for each 32 of a row.

    4.5 bits a weight: where a decoding step waits for memory, little more than a quarter of
    bfloat16's time.
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
        self.out_features, self.in_features = weight.shape[0], 2 * weight.shape[1]
        self.threads = threads

    @classmethod
    def of(cls, linear: nn.Linear, threads: int = 0) -> Int4Linear:
        """``linear`` quantized. Raises InputError as ``quantize_int4``."""
        weight, scales = quantize_int4(linear.weight.detach())
        bias = None if linear.bias is None else linear.bias.detach().float()
        return cls(weight, scales, bias, threads)

    @classmethod
    def convert(cls, linear: nn.Linear) -> None:
        """Makes ``linear`` itself an ``Int4Linear``: whoever holds it has the new one."""
        made = cls.of(linear)
        linear.__class__ = cls  # type: ignore[assignment]
        linear.__dict__.update(made.__dict__)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` ``[..., inputs]`` → ``[..., outputs]``."""
        return int4_linear(x, self.weight, self.scales, self.bias, self.threads)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


def quantize_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight`` ``[O, I]`` as codes uint8 ``[O, I / 2]`` and scales bfloat16 ``[O, I / 32]``.

    A weight is about ``scale * (code - 8)``, symmetric about 0: the largest size among 32 becomes
    7, and each number is off by at most half a scale. In the 16 bytes of 32 codes byte j holds that
    of input j in the lower four bits and that of input j + 16 in the upper. Raises InputError where
    I isn't a multiple of 32 or a weight isn't finite.
    """
    outputs, inputs = weight.shape
    if inputs % BLOCK:
        raise InputError(f"{inputs} inputs", f"int4 weights need a multiple of {BLOCK}")
    parts = weight.float().view(outputs, inputs // BLOCK, BLOCK)
    if not bool(parts.isfinite().all()):
        raise InputError("weights with NaN or infinity", "restore the checkpoint")
    scales = (parts.abs().amax(2) / 7).bfloat16()
    steps = scales.float().clamp(min=torch.finfo(torch.float32).tiny)[:, :, None]
    codes = (parts / steps).round().clamp(-7, 7).to(torch.int8) + 8
    low, high = codes.to(torch.uint8).chunk(2, dim=2)  # [O, I / 32, 16] each
    return (low | high << 4).flatten(1).contiguous(), scales.contiguous()


def widen_int4(weight: Tensor, scales: Tensor) -> Tensor:
    """Codes ``[O, I / 2]`` with ``scales`` ``[O, I / 32]`` as float32 ``[O, I]``."""
    blocks = weight.view(len(weight), -1, BLOCK // 2)
    codes = torch.cat((blocks & 15, blocks >> 4), dim=2).float() - 8
    return (codes * scales.float()[:, :, None]).flatten(1)


def int4_linear(
    x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None = None, threads: int = 0
) -> Tensor:
    """``x @ widen_int4(weight, scales).T + bias``, in the dtype of ``x`` (float32 or bfloat16).

    ``x`` is ``[..., I]``, ``weight`` ``[O, I / 2]`` uint8 and ``scales`` ``[O, I / 32]`` bfloat16
    as ``quantize_int4`` makes them, ``bias`` ``[O]`` float32. Sums are float32 or wider. With VNNI
    an activation is rounded to 15 bits of the largest among its 256 neighbours, so that ``y`` is
    off by at most ``sum |w| * max |x| / 32512``; a NaN or an infinity makes its row NaN.

    Raises InputError for another shape, dtype or device.
    """
    y: Tensor = torch.ops.workbench.int4_linear(x, weight, scales, bias, threads)
    return y


def int4_linear_reference(
    x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None = None
) -> Tensor:
    """``int4_linear`` in plain PyTorch: float32 throughout, then the dtype of ``x``."""
    return functional.linear(x.float(), widen_int4(weight, scales), bias).to(x.dtype)


def _check(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> None:
    if weight.ndim != 2 or weight.dtype != torch.uint8 or weight.shape[1] % (BLOCK // 2):
        raise InputError(
            f"weights of shape {list(weight.shape)} and type {weight.dtype}",
            "pass quantize_int4's codes, uint8 [O, I / 2]",
        )
    outputs, inputs = weight.shape[0], 2 * weight.shape[1]
    if x.ndim < 1 or x.shape[-1] != inputs:
        raise InputError(f"activations of shape {list(x.shape)}", f"pass [..., {inputs}]")
    if x.dtype not in (torch.float32, torch.bfloat16):
        raise InputError(f"activations of type {x.dtype}", "pass float32 or bfloat16")
    _require("scales", scales, [outputs, inputs // BLOCK], torch.bfloat16)
    if bias is not None:
        _require("a bias", bias, [outputs], torch.float32)
    for other in (weight, scales, bias):
        if other is not None and other.device != x.device:
            raise InputError(
                f"activations on {x.device}, weights on {other.device}", "move them to one device"
            )


def _require(name: str, tensor: Tensor, shape: list[int], dtype: torch.dtype) -> None:
    if list(tensor.shape) != shape or tensor.dtype != dtype:
        raise InputError(
            f"{name} of shape {list(tensor.shape)} and type {tensor.dtype}",
            f"pass {shape} of {dtype}",
        )


def _fake(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, threads: int) -> Tensor:
    _check(x, weight, scales, bias)
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _cpu(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, threads: int) -> Tensor:
    _check(x, weight, scales, bias)
    threads = thread_count(threads)
    library = cpu_library()
    if library is None:
        warn_of_reference("int4_linear")
        return int4_linear_reference(x, weight, scales, bias)
    outputs, inputs = weight.shape[0], x.shape[-1]
    rows = x.numel() // inputs if inputs else 0
    if are_many(rows, library):
        return int4_linear_reference(x, weight, scales, bias)
    wide, weight, scales = x.float().contiguous(), weight.contiguous(), scales.contiguous()
    bias = None if bias is None else bias.contiguous()
    y = torch.empty(*x.shape[:-1], outputs)
    status = library.wb_int4_linear(
        wide.data_ptr(),
        rows,
        weight.data_ptr(),
        scales.data_ptr(),
        None if bias is None else bias.data_ptr(),
        outputs,
        inputs,
        threads,
        y.data_ptr(),
    )
    done(status, "activations")
    return y.to(x.dtype)


def _cuda(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, threads: int) -> Tensor:
    _check(x, weight, scales, bias)
    library = cuda_library()
    if library is None:
        warn_of_reference("int4_linear", "cuda")
        return int4_linear_reference(x, weight, scales, bias)
    outputs, inputs = weight.shape[0], x.shape[-1]
    x, weight, scales = x.contiguous(), weight.contiguous(), scales.contiguous()
    bias = None if bias is None else bias.contiguous()
    y = x.new_empty((*x.shape[:-1], outputs))
    with torch.cuda.device(x.device):
        status = library.wb_cuda_int4_linear(
            x.data_ptr(),
            x.numel() // inputs,
            weight.data_ptr(),
            scales.data_ptr(),
            None if bias is None else bias.data_ptr(),
            outputs,
            inputs,
            x.dtype == torch.bfloat16,
            y.data_ptr(),
            torch.cuda.current_stream().cuda_stream,
        )
    if launched(status, "int4_linear"):
        return y
    return int4_linear_reference(x, weight, scales, bias)


register(
    "int4_linear(Tensor x, Tensor weight, Tensor scales, Tensor? bias, int threads) -> Tensor",
    fake=_fake,
    cpu=_cpu,
    cuda=_cuda,
)
