"""Residual vector quantization: exact encode, and decode as one look-up.

books = ResidualCodebooks(tensor)  # [K, V, D] float32
codes = books.encode(vectors)      # [..., D] → [..., K] int64
near = books.decode(codes)         # [..., K] → [..., D]
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import InputError
from workbench.native.library import cpu_library, cuda_library
from workbench.native.registration import (
    done,
    launched,
    not_finite,
    register,
    thread_count,
    warn_of_reference,
)
from workbench.native.rvq_tiled import encode_tiled, pack_tiled

_LARGEST = 1e30  # numbers beyond may overflow float32 in a residual
_TIE = 1e-12  # relative to the vectors' sizes: what float64 sums of any order agree to


class ResidualCodebooks(nn.Module):
    """K codebooks of V entries of D numbers, ready to encode and decode.

    ``codebooks`` is ``[K, V, D]`` float32, on the CPU or a GPU; its screening table is made here,
    so make a new object when the codebooks change. Raises InputError for another shape or dtype,
    and for numbers that aren't finite.
    """

    codebooks: Tensor
    packed: Tensor

    def __init__(self, codebooks: Tensor) -> None:
        super().__init__()
        codebooks = codebooks.detach().contiguous()
        self.register_buffer("codebooks", codebooks, persistent=False)
        self.register_buffer("packed", pack(codebooks), persistent=False)

    def encode(self, vectors: Tensor, count: int | None = None, threads: int = 0) -> Tensor:
        """Codes ``[..., K]`` int64 of ``vectors`` ``[..., D]``; of the first ``count`` books."""
        books = self.codebooks if count is None else self.codebooks[:count]
        codes = rvq_encode(vectors.reshape(-1, vectors.shape[-1]), books, self.packed, threads)
        return codes.view(*vectors.shape[:-1], books.shape[0])

    def decode(self, codes: Tensor) -> Tensor:
        """The sum ``[..., D]`` of the entries that ``codes`` ``[..., K]`` name; K may be less."""
        return embedding_sum(codes, self.codebooks[: codes.shape[-1]])


def pack(codebooks: Tensor) -> Tensor:
    """The screening table of ``codebooks`` ``[K, V, D]`` float32: bytes for ``rvq_encode``.

    Each entry in 8 bits (on a GPU bfloat16) with a bound of its error, in the order in which
    instructions read them; empty where the kernels aren't built.
    """
    if codebooks.ndim != 3 or codebooks.dtype != torch.float32 or 0 in codebooks.shape:
        raise InputError(
            f"codebooks of shape {list(codebooks.shape)} and type {codebooks.dtype}",
            "pass [K, V, D] of float32, none of them zero",
        )
    library = cpu_library()
    if codebooks.device.type != "cpu" or library is None:
        if not _usable(codebooks):
            raise not_finite("codebooks")
        if codebooks.device.type == "cuda" and cuda_library() is not None:
            return pack_tiled(codebooks)
        return torch.empty(0, dtype=torch.uint8, device=codebooks.device)
    codebooks = codebooks.contiguous()
    packed = torch.empty(library.wb_rvq_packed_bytes(*codebooks.shape), dtype=torch.uint8)
    done(
        library.wb_rvq_pack(codebooks.data_ptr(), *codebooks.shape, packed.data_ptr()), "codebooks"
    )
    return packed


def rvq_encode(vectors: Tensor, codebooks: Tensor, packed: Tensor, threads: int = 0) -> Tensor:
    """Codes ``[N, K]`` int64: for each codebook the entry nearest to what those before left.

    ``vectors`` is ``[N, D]`` float32 and ``codebooks`` ``[K, V, D]`` float32 with its table from
    ``pack`` (of these codebooks or more that follow them). Residuals are float32, as
    in transformers; distances are compared in float64, and of equal ones the lowest index wins:
    exact, unlike a search in float32. ``threads`` share the vectors (0: PyTorch's number).

    On a GPU up to 8 vectors of 32 to 512 numbers (a power of two) go through all codebooks in one
    launch; more, of a multiple of 32 up to 1024 numbers, are screened by tensor cores in bfloat16.
    Distances are direct differences in float32: where that differs from float64, both
    entries are as near to 2e-6. It waits for nothing, and so can't raise: a vector that isn't
    finite gets codes of -1. Other shapes run as the reference.

    Raises InputError for another shape, dtype or device, and for numbers that aren't finite.
    """
    codes: Tensor = torch.ops.workbench.rvq_encode(vectors, codebooks, packed, threads)
    return codes


def rvq_encode_reference(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """``rvq_encode`` in plain PyTorch: distances as a float64 product, equal to 1e-12 a tie."""
    if not _usable(vectors):
        raise not_finite("vectors")
    residual = vectors
    codes = []
    for book in codebooks:
        exact = book.double()
        squares = exact.square().sum(1)
        scores = torch.addmm(squares / 2, residual.double(), exact.T, beta=1, alpha=-1)  # [N, V]
        least = scores.amin(1, keepdim=True)
        size = residual.double().norm(dim=1, keepdim=True) + squares.max().sqrt()
        # argmax of booleans: the first that is as near as the nearest.
        nearest = (scores <= least + _TIE * size.square()).to(torch.uint8).argmax(1)
        codes.append(nearest)
        residual = residual - book[nearest]
    return torch.stack(codes, dim=1)


def embedding_sum(codes: Tensor, tables: Tensor) -> Tensor:
    """``sum over k of tables[k, codes[..., k]]``: ``[..., K]`` int64, ``[K, V, D]`` → ``[..., D]``.

    RVQ's decoding, and the sum of code embeddings that a language model of codes reads. On the
    CPU PyTorch's ``embedding_bag`` is as fast as memory allows (22 us a frame of 32 codebooks), so
    that the reference is the implementation.
    """
    summed: Tensor = torch.ops.workbench.embedding_sum(codes, tables)
    return summed


def embedding_sum_reference(codes: Tensor, tables: Tensor) -> Tensor:
    """``embedding_sum`` in plain PyTorch."""
    count, size, dim = tables.shape
    flat = codes.reshape(-1, count)
    if flat.shape[0] and not 0 <= int(flat.min()) <= int(flat.max()) < size:
        raise InputError(
            f"codes from {int(flat.min())} to {int(flat.max())}", f"pass codes from 0 to {size - 1}"
        )
    offsets = torch.arange(count, device=codes.device) * size
    summed = functional.embedding_bag(flat + offsets, tables.reshape(-1, dim), mode="sum")
    return summed.view(*codes.shape[:-1], dim)


def _usable(numbers: Tensor) -> bool:
    # A NaN makes the comparison false, too.
    return bool((numbers.abs() <= _LARGEST).all())


def _check_encode(vectors: Tensor, codebooks: Tensor, packed: Tensor) -> None:
    if codebooks.ndim != 3 or codebooks.dtype != torch.float32:
        raise InputError(
            f"codebooks of shape {list(codebooks.shape)} and type {codebooks.dtype}",
            "pass [K, V, D] of float32",
        )
    if vectors.ndim != 2 or vectors.shape[1] != codebooks.shape[2]:
        raise InputError(
            f"vectors of shape {list(vectors.shape)}", f"pass [N, {codebooks.shape[2]}]"
        )
    if vectors.dtype != torch.float32:
        raise InputError(f"vectors of type {vectors.dtype}", "pass float32: vectors.float()")
    for name, other in (("codebooks", codebooks), ("packed", packed)):
        if other.device != vectors.device:
            raise InputError(
                f"vectors on {vectors.device}, {name} on {other.device}", "move them to one device"
            )


def _encode_fake(vectors: Tensor, codebooks: Tensor, packed: Tensor, threads: int) -> Tensor:
    _check_encode(vectors, codebooks, packed)
    return vectors.new_empty((vectors.shape[0], codebooks.shape[0]), dtype=torch.int64)


def _encode_cpu(vectors: Tensor, codebooks: Tensor, packed: Tensor, threads: int) -> Tensor:
    _check_encode(vectors, codebooks, packed)
    threads = thread_count(threads)
    library = cpu_library()
    if library is None:
        warn_of_reference("rvq_encode")
        return rvq_encode_reference(vectors, codebooks)
    needed = library.wb_rvq_packed_bytes(*codebooks.shape)
    if packed.dtype != torch.uint8 or packed.numel() < needed or not packed.is_contiguous():
        raise InputError(
            f"a screening table of {packed.numel()} bytes, where {needed} are needed",
            "make it with workbench.native.rvq.pack(codebooks)",
        )
    vectors, codebooks = vectors.contiguous(), codebooks.contiguous()
    codes = torch.empty(vectors.shape[0], codebooks.shape[0], dtype=torch.int64)
    status = library.wb_rvq_encode(
        vectors.data_ptr(),
        vectors.shape[0],
        codebooks.data_ptr(),
        packed.data_ptr(),
        *codebooks.shape,
        threads,
        codes.data_ptr(),
    )
    done(status, "vectors")
    return codes


def _encode_cuda(vectors: Tensor, codebooks: Tensor, packed: Tensor, threads: int) -> Tensor:
    _check_encode(vectors, codebooks, packed)
    library = cuda_library()
    if library is None:
        warn_of_reference("rvq_encode", "cuda")
        return rvq_encode_reference(vectors, codebooks)
    vectors, codebooks = vectors.contiguous(), codebooks.contiguous()
    shape = (vectors.shape[0], codebooks.shape[0])
    codes = vectors.new_empty(shape, dtype=torch.int64)
    keys = torch.empty_like(codes)
    with torch.cuda.device(vectors.device):
        status = library.wb_cuda_rvq_encode(
            vectors.data_ptr(),
            shape[0],
            codebooks.data_ptr(),
            *codebooks.shape,
            keys.data_ptr(),
            codes.data_ptr(),
            torch.cuda.current_stream().cuda_stream,
        )
    if launched(status, "rvq_encode"):
        return codes
    many = encode_tiled(library, vectors, codebooks, packed)
    return rvq_encode_reference(vectors, codebooks) if many is None else many


def _sum_fake(codes: Tensor, tables: Tensor) -> Tensor:
    _check_sum(codes, tables)
    return tables.new_empty((*codes.shape[:-1], tables.shape[2]))


def _sum(codes: Tensor, tables: Tensor) -> Tensor:
    _check_sum(codes, tables)
    return embedding_sum_reference(codes, tables)


def _sum_cuda(codes: Tensor, tables: Tensor) -> Tensor:
    _check_sum(codes, tables)
    library = cuda_library()
    if library is None or tables.dtype not in (torch.float32, torch.bfloat16):
        if library is None:
            warn_of_reference("embedding_sum", "cuda")
        return embedding_sum_reference(codes, tables)
    codes, tables = codes.contiguous(), tables.contiguous()
    sums = tables.new_empty((*codes.shape[:-1], tables.shape[2]))
    with torch.cuda.device(codes.device):
        status = library.wb_cuda_embedding_sum(
            codes.data_ptr(),
            codes.numel() // tables.shape[0],
            tables.data_ptr(),
            *tables.shape,
            tables.dtype == torch.bfloat16,
            sums.data_ptr(),
            torch.cuda.current_stream().cuda_stream,
        )
    return sums if launched(status, "embedding_sum") else embedding_sum_reference(codes, tables)


def _check_sum(codes: Tensor, tables: Tensor) -> None:
    if tables.ndim != 3 or codes.ndim < 1 or codes.shape[-1] != tables.shape[0]:
        raise InputError(
            f"codes of shape {list(codes.shape)}, tables of {list(tables.shape)}",
            "pass codes [..., K] and tables [K, V, D]",
        )
    if codes.dtype != torch.int64:
        raise InputError(f"codes of type {codes.dtype}", "pass int64: codes.long()")
    if codes.device != tables.device:
        raise InputError(
            f"codes on {codes.device}, tables on {tables.device}", "move them to one device"
        )


register(
    "rvq_encode(Tensor vectors, Tensor codebooks, Tensor packed, int threads) -> Tensor",
    fake=_encode_fake,
    cpu=_encode_cpu,
    cuda=_encode_cuda,
)
register(
    "embedding_sum(Tensor codes, Tensor tables) -> Tensor",
    fake=_sum_fake,
    cpu=_sum,
    cuda=_sum_cuda,
)
