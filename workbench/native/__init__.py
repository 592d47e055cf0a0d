"""Our own kernels, in C++ and CUDA, beside what PyTorch has.

``workbench.native.rvq`` encodes residual vector quantization exactly, ``workbench.native.linear``
multiplies with int8 weights, ``workbench.native.mimi`` quantizes as Mimi does. Each operation has
a reference in plain PyTorch beside it, which runs, and says so, where the kernels aren't built.
``workbench.native.layers`` runs decoder layers and ``workbench.native.codec`` Mimi's decoder, each
in one call; they need the kernels.
"""

from workbench.native.library import NativeStatus, describe, native_status

__all__ = ["NativeStatus", "describe", "native_status"]
