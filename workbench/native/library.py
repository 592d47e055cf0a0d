"""The native kernels' shared library: found, loaded, and what it is."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.errors import InputError

ABI_VERSIONS = {"workbench_cpu": 5, "workbench_cuda": 3}  # of the headers in native/include
OK, BAD_ARGUMENT, NOT_FINITE, NO_MEMORY = range(4)
CUDA_UNSUPPORTED = -1
ISAS = ("portable", "avx2", "avx512_vnni", "amx")

_ENDINGS = {"darwin": ".dylib"}
_NOT_BUILT = "not built; PyTorch's own operators do its work"
_REMEDY = "install a C++ compiler (apt install g++), then: pip install --force-reinstall --no-deps"


@dataclass(frozen=True)
class NativeStatus:
    """What was built and chosen. ``isa`` is the instruction set in use, empty without a library.

    ``without_amx`` says why AMX can't be used, empty where it can or where there is no library;
    ``reason`` says why the CPU library isn't there and ``cuda_reason`` why the CUDA one isn't;
    both are empty where it is.
    """

    path: Path | None
    isa: str
    without_amx: str
    reason: str
    cuda_path: Path | None
    cuda_reason: str

    @property
    def built(self) -> bool:
        """Whether the CPU library is there and loads."""
        return not self.reason

    @property
    def cuda_built(self) -> bool:
        """Whether the CUDA library is there; it may be without a GPU to run on."""
        return not self.cuda_reason

    @property
    def remedy(self) -> str:
        """What to do where something is missing; empty where nothing is."""
        return "" if self.built else _REMEDY


def native_status() -> NativeStatus:
    """What was built, which instruction set was chosen, and why something is missing."""
    loaded, path, reason = _loaded("workbench_cpu")
    cuda, cuda_path, cuda_reason = _loaded("workbench_cuda")
    return NativeStatus(
        path=path,
        isa=loaded.wb_isa().decode() if loaded is not None else "",
        without_amx=loaded.wb_amx().decode() if loaded is not None else "",
        reason=reason,
        cuda_path=cuda_path,
        cuda_reason="" if cuda is not None else cuda_reason,
    )


def describe() -> str:
    """The status in a line, for reports."""
    status = native_status()
    if not status.built:
        return status.reason
    cuda = "CUDA kernels built" if status.cuda_built else "no CUDA kernels"
    amx = f" (AMX: {status.without_amx})" if status.without_amx else ""
    return f"CPU kernels for {status.isa}{amx}; {cuda}"


def cpu_library() -> ctypes.CDLL | None:
    """The CPU kernels, None where they aren't built."""
    return _loaded("workbench_cpu")[0]


def cuda_library() -> ctypes.CDLL | None:
    """The CUDA kernels, None where they aren't built."""
    return _loaded("workbench_cuda")[0]


@contextmanager
def using_isa(name: str) -> Iterator[None]:
    """Holds the CPU kernels to one of ``ISAS`` for a block; for tests and benchmarks.

    Raises InputError where the processor or the build lacks it.
    """
    library = cpu_library()
    before = b"" if library is None else library.wb_isa()
    if library is None or library.wb_set_isa(name.encode()) != OK:
        raise InputError(f"instruction set {name!r} is not on this machine", "leave it out")
    try:
        yield
    finally:
        library.wb_set_isa(before)


def _folders() -> list[Path]:
    """Where the library may lie: editable installs put it elsewhere than the package's source."""
    import workbench.native

    return [Path(folder) for folder in workbench.native.__path__]


@cache
def _loaded(name: str) -> tuple[ctypes.CDLL | None, Path | None, str]:
    """The library, its path, and else the reason why it can't be used."""
    file_name = f"lib{name}{_ENDINGS.get(sys.platform, '.so')}"
    path = next(
        (folder / file_name for folder in _folders() if (folder / file_name).exists()), None
    )
    if path is None:
        return None, None, _NOT_BUILT
    try:
        library = ctypes.CDLL(os.fspath(path))
        version = library.wb_abi_version() if name == "workbench_cpu" else _cuda_version(library)
    except (OSError, AttributeError) as problem:
        return None, path, f"{path} can't be loaded: {problem}"
    wanted = ABI_VERSIONS[name]
    if version != wanted:
        return None, path, f"{path} is of interface {version}, not {wanted}: install again"
    _declare(library, _cpu_signatures() if name == "workbench_cpu" else _cuda_signatures())
    return library, path, ""


def _cuda_version(library: ctypes.CDLL) -> int:
    version: int = library.wb_cuda_abi_version()
    return version


_Signatures = dict[str, tuple[type, list[type]]]


def _cpu_signatures() -> _Signatures:
    pointer, count, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    return {
        "wb_isa": (ctypes.c_char_p, []),
        "wb_amx": (ctypes.c_char_p, []),
        "wb_set_isa": (number, [ctypes.c_char_p]),
        "wb_rvq_packed_bytes": (count, [count] * 3),
        "wb_rvq_pack": (number, [pointer, count, count, count, pointer]),
        "wb_rvq_encode": (
            number,
            [pointer, count, pointer, pointer, count, count, count, number, pointer],
        ),
        "wb_rvq_reranked": (count, []),
        **{
            name: (number, [pointer, count, *[pointer] * 3, count, count, count, number, pointer])
            for name in ("wb_int8_linear", "wb_int8_linear_bf16")
        },
        "wb_int4_linear": (
            number,
            [pointer, count, *[pointer] * 3, count, count, number, pointer],
        ),
        "wb_stack_bytes": (count, [pointer, count]),
        "wb_stack_step": (number, [pointer, count, pointer, number, pointer, pointer]),
        "wb_frame_bytes": (count, [pointer]),
        "wb_frame_read": (number, [*[pointer] * 3, number, pointer, pointer]),
        "wb_frame_write": (number, [*[pointer] * 4, number, pointer, pointer]),
        "wb_codec_state": (count, [pointer]),
        "wb_codec_samples": (count, [pointer]),
        "wb_codec_bytes": (count, [pointer, count, count]),
        "wb_codec_step": (
            number,
            [pointer, pointer, count, pointer, count, pointer, number, pointer, pointer],
        ),
    }


def _cuda_signatures() -> _Signatures:
    pointer, count, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    return {
        "wb_cuda_rvq_encode": (
            number,
            [pointer, count, pointer, count, count, count, pointer, pointer, pointer],
        ),
        "wb_cuda_rvq_packed_bytes": (count, [count] * 3),
        "wb_cuda_rvq_tiled_bytes": (count, [count] * 3),
        "wb_cuda_rvq_encode_tiled": (
            number,
            [pointer, count, pointer, pointer, *[count] * 4, pointer, pointer, pointer],
        ),
        "wb_cuda_embedding_sum": (
            number,
            [pointer, count, pointer, count, count, count, number, pointer, pointer],
        ),
        "wb_cuda_int8_linear": (
            number,
            [pointer, count, *[pointer] * 3, count, count, count, number, pointer, pointer],
        ),
        "wb_cuda_int4_linear": (
            number,
            [pointer, count, *[pointer] * 3, count, count, number, pointer, pointer],
        ),
    }


def _declare(library: ctypes.CDLL, signatures: _Signatures) -> None:
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
