"""Claims about one stage alone, as studies of their own: a product, an attention, a copy, batches.

Each arm lives in a process of its own, as in every study; all but the batches need a CUDA GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.measure.arm import Arm, rest_collector
from workbench.measure.engine_arm import EngineArm
from workbench.measure.study_record import read_study
from workbench.measure.trials import run_study
from workbench.optimizations import Site, closure
from workbench.optimizations.registry import choose
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.claims.evidence import Evidence, Missing, Pair
from workbench.studies.claims.sets import plan_of, read_or_run

Progress = Callable[[str], None]

PROBES = "probes"  # a folder; its studies and facts are named by probe
WITHOUT, WITH = "without", "with"
METRIC = "work_ms"


class Work:
    """A piece of work on the GPU as an arm; ``on`` says whether the optimization is used."""

    what = ""

    def __init__(self, on: bool) -> None:
        import torch

        self.on = on
        self.device = torch.device("cuda")
        self.work = self.made()

    def made(self) -> Callable[[], object]:
        """The work; called again and again."""
        raise NotImplementedError

    def warm_up(self) -> float:
        """The work once, which chooses its kernels; returns the seconds it took."""
        started = time.perf_counter()
        self.trial(0, 0)
        rest_collector()
        return time.perf_counter() - started

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """Milliseconds of one call: the median of a few samples of several calls each."""
        from statistics import median

        from workbench.hardware.timing import time_cuda

        return {METRIC: 1e3 * median(time_cuda(self.work, 0.0))}

    def about(self) -> dict[str, Any]:
        """What ran."""
        return {"engine": self.what, "device": "cuda:0", "on": self.on}


class Matmul(Work):
    """A float32 product of two 4096 × 4096 matrices, with and without TF32."""

    what = "float32 product, 4096 × 4096"

    def made(self) -> Callable[[], object]:
        import torch

        torch.backends.cuda.matmul.fp32_precision = "tf32" if self.on else "ieee"
        left = torch.randn(4096, 4096, device=self.device)
        right, out = left.clone(), torch.empty_like(left)
        return lambda: torch.mm(left, right, out=out)


class Attention(Work):
    """Causal attention over 1024 positions in bfloat16, 32 heads of 64: CSM-1B's backbone.

    With: PyTorch's flash kernel, which is Flash Attention 2. Without: its plain one ("math").
    """

    what = "causal attention, 32 heads × 1024 × 64, bfloat16"

    def made(self) -> Callable[[], object]:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        shape = (1, 32, 1024, 64)  # [B, H, S, D]
        query, key, value = torch.randn(
            3, *shape, device=self.device, dtype=torch.bfloat16
        ).unbind()
        backend = SDPBackend.FLASH_ATTENTION if self.on else SDPBackend.MATH

        def attend() -> object:
            with sdpa_kernel(backend), torch.inference_mode():
                return torch.nn.functional.scaled_dot_product_attention(
                    query, key, value, is_causal=True
                )

        return attend


class Copy(Work):
    """A copy of 64 MiB from the host to the GPU, out of page-locked memory and out of other."""

    what = "copy of 64 MiB to the GPU"

    def made(self) -> Callable[[], object]:
        import torch

        source = torch.ones(1 << 24, pin_memory=self.on)
        target = torch.empty_like(source, device=self.device)
        return lambda: target.copy_(source, non_blocking=self.on)


class Lengths(EngineArm):
    """A short and a long text, four times each, in two batches of four: similar ones together
    (with), or both kinds in each (without). ``batch_ms`` for each frame of sound is ``frame_ms``.
    """

    warm_ups = 1

    def __init__(self, engine: str, texts: Sequence[str], *, on: bool, **settings: Any) -> None:
        from workbench.engines.csm import batches

        super().__init__(engine, texts, **settings)
        # The engine's own buckets would undo what is compared here.
        batches._LENGTH_RATIO = float("inf")
        short, long = min(texts, key=len), max(texts, key=len)
        self.groups = ([short] * 4, [long] * 4) if on else ([short, long] * 2,) * 2

    def work(self, index: int, seed: int) -> dict[str, float]:
        """Speaks both batches."""
        begin = time.perf_counter()
        batches = [
            self.engine.synthesize_batch(group, seed=seed, **self.options) for group in self.groups
        ]
        batch_ms = 1e3 * (time.perf_counter() - begin)
        frames = sum(speech.frames for speeches in batches for speech in speeches)
        if not frames:
            raise InputError(f"no sound came of a batch (seed {seed})", "use other texts")
        return {"batch_ms": batch_ms, "frame_ms": batch_ms / frames, "frames": float(frames)}


GPU_PROBES: Mapping[str, tuple[type[Work], str]] = {
    "matmul": (Matmul, "TF32"),
    "attention": (Attention, "the flash kernel"),
    "copy": (Copy, "page-locked memory"),
}
LENGTHS = "length_buckets"


def measure_probe(
    name: str, settings: AblationSettings, site: Site, folder: Path, progress: Progress
) -> Evidence:
    """The study of the probe ``name``, written to ``folder``; read where it is there already."""
    work: type[Work] | type[Lengths]
    if name == LENGTHS:
        reason = choose("batching").unsupported(site)
        if reason:
            return Missing(f"batching: {reason}")
        switches = (*closure("batching"), "batching")
        common: dict[str, Any] = {
            "engine": settings.engine,
            "texts": list(settings.texts),
            "load": settings.load(switches),
            "voice": settings.voice,
            "max_frames": settings.max_frames,
        }
        work, what, metric = Lengths, "batches of similar length", "frame_ms"
    elif site.cuda:
        (work, what), metric, common = GPU_PROBES[name], METRIC, {}
    else:
        return Missing(f"{GPU_PROBES[name][1]} is for CUDA GPUs, and this runs on the CPU")
    target = f"{__name__}:{work.__name__}"
    study = read_or_run(
        folder,
        lambda: run_study(
            what,
            Arm(WITHOUT, target, {**common, "on": False}),
            [Arm(WITH, target, {**common, "on": True})],
            metric=metric,
            plan=plan_of(settings),
            progress=progress,
        ),
    )
    return Pair(study, WITH, WITHOUT)


def read_probe(folder: Path) -> Evidence:
    """What ``measure_probe`` wrote to ``folder``."""
    return Pair(read_study(folder), WITH, WITHOUT)
