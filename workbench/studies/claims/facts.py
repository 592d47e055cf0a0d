"""What is counted instead of timed: whether a transform fails, and allocations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from workbench.hardware.fingerprint import fingerprint, label
from workbench.optimizations import Site, closure
from workbench.optimizations.registry import choose
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.claims.evidence import Fact, Missing

_POWER, _OTHER = 1024, 1200  # FFT sizes; the second is none of a power of two
_FRAMES = 8  # of speech, over which allocations are counted


def stft_half(site: Site) -> Fact | Missing:
    """Whether ``torch.stft`` in float16 fails for sizes other than powers of two, and only there.

    It is a claim about cuFFT, so that nothing on a CPU can answer it.
    """
    errors = {size: _stft_error(size, site.device) for size in (_POWER, _OTHER)}
    if not site.cuda:
        found = errors[_OTHER] or "works"
        return Missing(
            f"cuFFT is CUDA's, and this runs on the CPU, where torch.stft of float16 says: {found}"
        )
    if errors[_POWER]:
        return Missing(f"torch.stft of float16 fails for powers of two as well: {errors[_POWER]}")
    said = errors[_OTHER] or "no error"
    what = f"torch.stft of float16, {_OTHER} samples: {said}"
    return Fact(float(bool(errors[_OTHER])), None, what, "torch.stft", _machine(site))


def allocations(settings: AblationSettings, site: Site) -> Fact | Missing:
    """Tensors allocated for each frame of speech, after a warm-up, with and without the pool."""
    name = "buffer_pool"
    reason = _unsupported(name, site)
    if reason:
        return Missing(reason)
    counts = [
        _allocations_a_frame(settings, switches, site)
        for switches in (closure(name), (*closure(name), name))
    ]
    what = f"allocations a frame with {name}, against {counts[0]:.1f} without"
    return Fact(counts[1], counts[0], what, settings.engine, _machine(site))


def _unsupported(name: str, site: Site) -> str:
    for one in (*closure(name), name):
        reason = choose(one).unsupported(site)
        if reason:
            return f"{one}: {reason}"
    return ""


def _stft_error(size: int, device: str) -> str:
    """What ``torch.stft`` says to half a second of float16 sound; empty where it works."""
    import torch

    sound, window = (torch.ones(n, dtype=torch.float16, device=device) for n in (12_000, size))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.stft(sound, size, window=window, return_complex=True)
    except RuntimeError as problem:
        return str(problem).splitlines()[0]
    return ""


def _allocations_a_frame(settings: AblationSettings, switches: Sequence[str], site: Site) -> float:
    import torch

    engine = _loaded(settings, switches)

    def speak() -> int:
        speech = engine.synthesize(
            settings.texts[0], voice=settings.voice, seed=settings.seed, max_frames=_FRAMES
        )
        return int(speech.frames)

    speak()
    if site.cuda:
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        frames = speak()
        return (torch.cuda.memory_stats()["allocation.all.allocated"] - before) / frames
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity], profile_memory=True) as profile:
        frames = speak()
    # profile.events() adds memory up by operator; single allocations stand in the raw events.
    raw: Any = profile.profiler
    events = raw.kineto_results.events()
    taken = [event for event in events if event.name() == "[memory]" and event.nbytes() > 0]
    return len(taken) / frames


def _loaded(settings: AblationSettings, switches: Sequence[str]) -> Any:
    import workbench

    return workbench.load(settings.engine, **settings.load(tuple(switches)))


def _machine(site: Site) -> str:
    environment = fingerprint()
    return label(environment if site.cuda else {**environment, "gpus": []})
