"""What the GPU suite runs, step by step: its commands, their time limits and what they need."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PYTEST = (
    sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rsE",
    "--continue-on-collection-errors",
)  # fmt: skip
_WORKBENCH = (sys.executable, "-m", "workbench")
_CUDA = ("-m", "cuda")  # the tests with this marker
# Those that a GPU has: the native layers are the CPU's.
_ARMS = "frame,frame-fused,frame-graph,frame-graph-prefill,frame-compiled,frame-compiled-graph"
# Without torch.compile, which would compile anew for each number of streams.
STREAMS = (
    "inference_mode,frame_step,buffer_pool,sync_free_sampling,fused_projections,"
    "folded_depth_embedding,cuda_graphs,prefill_buckets,bf16,true_streaming"
)
_SHARES = 5  # of nano training's time: four stages that a limit of minutes ends, and the rest
_REFUSED = "Device not supported"  # compute-sanitizer's words for a GPU that it can't watch


@dataclass(frozen=True)
class Step:
    """A command with its time limit; the last line of its output may be a JSON object.

    Without its ``programs`` and ``modules`` it is skipped, and where it ends with the code
    ``skips_on`` or says ``skips_saying``, by which it tells itself that something is missing.
    """

    name: str
    command: tuple[str, ...]
    limit_s: float
    programs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    skips_on: int | None = None
    skips_saying: str = ""


def steps(*, dry: bool = False, train_s: float = 0.0) -> list[Step]:
    """The steps in the order of what one would miss most. ``train_s``: nano training, if any."""
    python = sys.executable
    found = [
        Step("fingerprint", (python, "-c", _FINGERPRINT), 40),
        Step("native build", (python, "-c", _BUILD), 120, programs=("cmake",)),
        # The quantizer, 8-bit and 4-bit kernels, frames, prefills and the codec in graphs, pools.
        Step("tests on CUDA", (*PYTEST, *_CUDA, "tests"), 120, modules=("pytest",)),
        Step(
            "csm-1b",
            _bench("csm", "--engine", "csm-1b", "--weights", "random", "--dtype", "bfloat16",
                   "--ours", _ARMS, "--lossy", "frame-graph-int8,frame-graph-int4",
                   "--trials", "4", "--max-frames", "16"),
            180,
        ),
        Step(
            "csm-nano",
            _bench("csm", "--engine", "csm-nano", "--dtype", "float32", "--ours", _ARMS,
                   "--trials", "5"),
            80,
        ),
        Step(
            "streams",
            _bench("streams", "--engine", "csm-1b", "--weights", "random", "--optimizations",
                   STREAMS, "--streams", "1,64,256,512", "--seconds", "2", "--max-frames", "50",
                   "--positions", "512"),
            90,
        ),
        Step(
            "rvq",
            _bench("rvq", "--frames", "1,1250", "--threads", "1", "--seconds", "2",
                   "--device", "cuda"),
            70,
            skips_on=InputError.exit_code,  # the native kernels are not built
        ),
        Step(
            "linear",
            _bench("linear", "--rows", "1,8", "--seconds", "0.5", "--device", "cuda"),
            60,
            skips_on=InputError.exit_code,  # the native kernels are not built
        ),
        _sanitizer("memcheck"),
        Step(
            "chat",
            _bench("chat", "--engine", "llama-3.2-1b", "--weights", "random", "--max-tokens",
                   "32", "--rounds", "1"),
            60,
        ),
        Step(
            "asr",
            _bench("asr", "--engine", "small", "--weights", "random", "--ways",
                   "transformers; static cache; static cache, trimmed window",
                   "--sentences", "6"),
            60,
            modules=("scipy",),
        ),
        Step(
            "csm-1b fp8",
            _bench("csm", "--engine", "csm-1b", "--weights", "random", "--dtype", "bfloat16",
                   "--against", "transformers", "--ours", "frame-compiled-graph",
                   "--lossy", "frame-compiled-graph-fp8", "--trials", "2", "--max-frames", "16"),
            110,
            modules=("torchao",),
        ),
        _sanitizer("racecheck"),
    ]  # fmt: skip
    if train_s:
        found.append(
            Step(
                "nano training",
                (*_WORKBENCH, "train", "nano", "--out", str(ROOT / "outputs" / "nano"), "--json",
                 "--device", "cuda", "--minutes", f"{train_s / 60 / _SHARES:.2f}"),
                train_s,
                modules=("scipy",),
                skips_on=InputError.exit_code,  # no flite to speak the data
            )
        )  # fmt: skip
    return [_toy(step) for step in found] if dry else found


def _bench(what: str, *options: str) -> tuple[str, ...]:
    return (*_WORKBENCH, "bench", what, "--json", *options)


def _sanitizer(tool: str) -> Step:
    return Step(
        tool,
        ("compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *PYTEST, *_CUDA,
         "tests/native"),
        70,
        programs=("compute-sanitizer",),
        modules=("pytest",),
        skips_saying=_REFUSED,
    )  # fmt: skip


def _toy(step: Step) -> Step:
    """``step`` at a size that a CPU goes through in seconds."""
    cpu = ("--device", "cpu")
    toys = {
        "native build": _skipped("nothing is built in a dry run"),
        "tests on CUDA": (*PYTEST, "--collect-only", *_CUDA, "tests/optimizations"),
        "csm-1b": _skipped("csm-1b is too large for a dry run"),
        "csm-nano": _bench("csm", *cpu, "--ours", "frame,frame-fused,frame-graph", "--against",
                           "transformers", "--lossy", "frame-graph-int8,frame-graph-int4",
                           "--trials", "2", "--max-frames", "6"),
        "csm-1b fp8": _skipped("csm-1b is too large for a dry run"),
        "streams": _bench("streams", *cpu, "--streams", "1,2", "--seconds", "1",
                          "--max-frames", "8"),
        "rvq": _bench("rvq", *cpu, "--frames", "1", "--threads", "1", "--seconds", "0.5",
                      "--no-compile"),
        "linear": _bench("linear", *cpu, "--seconds", "0.01", "--mib", "1"),
        "chat": _bench("chat", *cpu, "--ways", "static cache; growing cache", "--max-tokens", "4",
                       "--rounds", "1"),
        "asr": _bench("asr", *cpu, "--ways", "static cache; static cache, trimmed window",
                      "--sentences", "2"),
        "memcheck": _skipped("there is nothing to watch in a dry run"),
        "racecheck": _skipped("there is nothing to watch in a dry run"),
    }  # fmt: skip
    return replace(step, command=toys.get(step.name, step.command))


def _skipped(reason: str) -> tuple[str, ...]:
    told = f"import json; print(json.dumps({{'skipped_because': {reason!r}}}))"
    return (sys.executable, "-c", told)


_FINGERPRINT = """
import json
from workbench.hardware.fingerprint import fingerprint, label
found = fingerprint()
print(json.dumps({"gpu": label(found), **found}))
"""
# The same that `pip install` does, into the source tree.
_BUILD = """
import json, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as build:
    for command in (["-S", "native", "-B", build], ["--build", build, "-j"],
                    ["--install", build, "--prefix", "."]):
        subprocess.run(["cmake", *command], check=True, stdout=sys.stderr)
from workbench.native import describe
print(json.dumps({"native": describe()}))
"""
