"""Checks of the software: Python, PyTorch, its compiler, and the packages around them."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import shutil
import sys
import tempfile

from workbench.hardware.check import Inquiry, Status, last_line, run_probe

Answer = tuple[Status, str, str]
PYTHON = (3, 11)
TORCH = (2, 11)


def inquiries(compile_limit_s: float) -> list[Inquiry]:
    """The software's rows that come first (``basics``) and last, in the order they are shown."""
    return [
        Inquiry("torch.compile", "fuses a frame's small operations; the first call pays for it",
                lambda: compiles(compile_limit_s)),
        Inquiry("native extension", "purpose-built kernels, to compare with PyTorch's own",
                native),
        Inquiry("speech recognition", "word error rates come from faster-whisper", whisper),
        Inquiry("sound files", "players in rendered notebooks carry MP3, metrics read FLAC", sound),
        Inquiry("speech synthesizers", "only training csm-nano anew speaks through them",
                synthesizers),
    ]  # fmt: skip


def basics() -> list[Inquiry]:
    """Python, PyTorch and transformers: what all else stands on."""
    return [
        Inquiry("Python", "the workbench is written for 3.11 and later", python),
        Inquiry("PyTorch", "runs every model here", torch_version),
        Inquiry("transformers", "the architectures of CSM and Mimi", transformers),
    ]


def python() -> Answer:
    """Python's version."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < PYTHON:
        return "failed", found, "install Python 3.11 or later"
    return "ok", found, ""


def torch_version() -> Answer:
    """PyTorch's version, and which kernels it uses on this processor."""
    import torch

    found = f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()} kernels"
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < TORCH:
        return "failed", found, "pip install 'torch>={}.{}'".format(*TORCH)
    return "ok", found, ""


def transformers() -> Answer:
    """transformers' version, and whether it knows CSM and Mimi."""
    if importlib.util.find_spec("transformers") is None:
        return "failed", "not installed", "pip install transformers"
    version = importlib.metadata.version("transformers")
    missing = [
        name for name in ("csm", "mimi")
        if importlib.util.find_spec(f"transformers.models.{name}") is None
    ]  # fmt: skip
    if missing:
        return (
            "failed",
            f"{version}, without {' and '.join(missing)}",
            "pip install -U transformers",
        )
    return "ok", version, ""


def compiles(limit_s: float) -> Answer:
    """Compiles a tiny function from cold, in a process of its own."""
    import torch

    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    # A fresh cache makes the compile a true one; a temporary folder takes it away again.
    with tempfile.TemporaryDirectory(prefix="workbench-compile-") as cache:
        outcome = run_probe(
            "compile", device, limit_s,
            TORCHINDUCTOR_CACHE_DIR=cache, TRITON_CACHE_DIR=cache,
            TORCHINDUCTOR_COMPILE_THREADS="1",
        )  # fmt: skip
    if outcome.code is None:
        return (
            "warning", f"not done within {limit_s:.0f} s",
            "leave torch.compile off, or try again on a machine that is less busy",
        )  # fmt: skip
    if outcome.code:
        return "warning", *_explain(outcome.stderr)
    result = json.loads(last_line(outcome.stdout))
    if result["gap"] > 1e-5:
        return "failed", f"the compiled function differs by {result['gap']:.1e}", "update PyTorch"
    return "ok", f"works on {device}; a tiny function took {result['seconds']:.1f} s from cold", ""


def native() -> Answer:
    """The workbench's own extension: what was built, and the instruction set it chose."""
    # Not an import: this module and that one are on the same floor.
    module = importlib.import_module("workbench.native")
    status = module.native_status()
    if not status.built:
        return "absent", status.reason, f"for purpose-built kernels: {status.remedy}"
    return "ok", module.describe(), ""


def whisper() -> Answer:
    """faster-whisper, and the types its engine computes in."""
    if importlib.util.find_spec("faster_whisper") is None:
        return (
            "absent", "faster-whisper is not installed",
            "for word error rates: pip install faster-whisper",
        )  # fmt: skip
    import ctranslate2
    import faster_whisper

    device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    types = sorted(ctranslate2.get_supported_compute_types(device))
    return "ok", f"faster-whisper {faster_whisper.__version__}, {device}: {', '.join(types)}", ""


def sound() -> Answer:
    """Really encodes a tenth of a second as MP3, FLAC and WAV."""
    import numpy as np

    try:
        import soundfile

        from workbench.audio import Audio
    except ImportError as problem:
        return "failed", str(problem), "pip install soundfile"

    tone = Audio(np.sin(np.arange(2400) * 0.1).astype(np.float32) * 0.5, 24_000)
    version = f"libsndfile {soundfile.__libsndfile_version__}"
    for format in ("MP3", "FLAC", "WAV"):
        try:
            tone.encoded(format)
        except (soundfile.LibsndfileError, ValueError) as problem:
            return (
                "failed", f"{version} can't write {format}: {problem}",
                "pip install -U soundfile (libsndfile 1.1 or later writes MP3)",
            )  # fmt: skip
    return "ok", f"{version} writes MP3, FLAC and WAV", ""


def synthesizers() -> Answer:
    """The speech synthesizers that training data comes from."""
    found = [name for name in ("espeak-ng", "flite") if shutil.which(name)]
    if not found:
        return (
            "absent", "neither espeak-ng nor flite",
            "only for training: apt install flite espeak-ng",
        )  # fmt: skip
    return "ok", " and ".join(found), ""


def _explain(stderr: str) -> tuple[str, str]:
    """(found, remedy) for a compile that failed."""
    if "InvalidCxxCompiler" in stderr or "No working C++ compiler" in stderr:
        return "no C++ compiler on this machine", _install_compiler("C++")
    if "Failed to find C compiler" in stderr:
        return "no C compiler on this machine, which Triton needs", _install_compiler("C")
    if "Python.h" in stderr:
        return "Python's header files are missing", "apt install python3-dev"
    message = next(
        (line.strip() for line in reversed(stderr.splitlines()) if "Error" in line),
        last_line(stderr),
    )
    return message[:200], "leave torch.compile off; all else works without it"


def _install_compiler(language: str) -> str:
    install = {
        "Linux": "apt install g++ (or your distribution's package)",
        "Darwin": "xcode-select --install",
        "Windows": "install Microsoft C++ Build Tools",
    }
    how = install.get(platform.system(), f"install a {language} compiler")
    return f"{how}; all but torch.compile works without it"
