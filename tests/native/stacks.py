"""Random decoder layers, native and in float64."""

import torch
from torch.nn import functional

from workbench.native.int4 import quantize_int4, widen_int4
from workbench.native.layers import Layer, Stack
from workbench.native.linear import quantize_int8
from workbench.native.matrix import Matrix

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
