"""The native search of Mimi's codebooks, timed against transformers' and the best of PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import InputError
from workbench.measure.statistics import interleaved, paired_ratio, percentiles, timed
from workbench.models.mimi.streaming import offline_latents
from workbench.native.mimi import encode_latents

Keep = Callable[[str, Sequence[float], str], None]  # name, raw values, unit

FRAMES = (1, 13, 125, 1250)  # 80 ms, 1 s, 10 s and 100 s of sound
NATIVE, TRANSFORMERS, TRANSPOSED, COMPILED = "native", "transformers", "transposed", "compiled"
_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 100
_LEVEL = 0.8  # each codebook's entries are this much smaller than those before
# Relative: nearer together, either entry is right. The CUDA kernel's distances are float32.
_GAPS = {"cpu": 1e-6, "cuda": 2e-6}


class TransposedQuantizer(nn.Module):
    """Mimi's quantizer as PyTorch does it best: codebooks kept as ``[D, V]`` for ``addmm``.

    transformers' ``cdist`` computes norms and roots that the search doesn't need, and reads the
    codebook across.
    """

    def __init__(self, quantizer: Any) -> None:
        super().__init__()
        parts = (
            quantizer.semantic_residual_vector_quantizer,
            quantizer.acoustic_residual_vector_quantizer,
        )
        self.projections = nn.ModuleList(part.input_proj or nn.Identity() for part in parts)
        books = [[layer.codebook.embed for layer in part.layers] for part in parts]
        self.books = [[book.contiguous() for book in some] for some in books]
        self.turned = [[book.T.contiguous() for book in some] for some in books]
        self.halves = [[book.square().sum(1) / 2 for book in some] for some in books]

    def forward(self, latents: Tensor) -> Tensor:
        """``[1, C, T]`` → codes ``[1, K, T]``."""
        codes = []
        for part, projection in enumerate(self.projections):
            residual = projection(latents)[0].T
            for book, turned, half in zip(
                self.books[part], self.turned[part], self.halves[part], strict=True
            ):
                nearest = torch.addmm(half, residual, turned, alpha=-1).argmin(1)
                codes.append(nearest)
                residual = residual - book[nearest]
        return torch.stack(codes)[None]


def random_mimi(seed: int = 0, **changes: Any) -> Any:
    """Mimi as CSM-1B has it (32 codebooks of 2048 entries of 256 numbers), with random weights.

    Later codebooks have smaller entries, as trained ones do. ``changes`` go to ``MimiConfig``.
    """
    from transformers import MimiConfig, MimiModel

    torch.manual_seed(seed)
    config = MimiConfig(**{"num_quantizers": 32, "use_cache": False, **changes})
    codec = MimiModel(config).eval()
    codec.requires_grad_(False)
    quantizer = codec.quantizer
    for part in (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    ):
        for place, layer in enumerate(part.layers):
            layer.codebook.embed_sum.normal_(std=_LEVEL**place / math.sqrt(config.codebook_dim))
            layer.codebook.cluster_usage.fill_(1.0)
    return codec


def bench(
    codec: Any,
    *,
    frames: Sequence[int] = FRAMES,
    threads: Sequence[int] = (1, 2),
    seconds: float = 4.0,
    compiled: bool = True,
    most_whole_frames: int = 125,
    progress: Callable[[str], None] = lambda _: None,
    keep: Keep = lambda name, values, unit: None,
) -> dict[str, Any]:
    """Times the quantizers on latents of each length in turn, all arms in every round.

    ``{"frames": {"1": {...}}}``: for each length what ``_figures`` says with one thread, with other
    numbers under ``threads_2``, whether all codes are ``exact``, how many of transformers' codes
    differ, and, up to ``most_whole_frames``, the gain of a whole encode. ``seconds`` is the time
    for each length and number of threads. All of it runs where ``codec`` is; on a GPU a call's time
    ends when its work does. ``keep`` gets all raw times, round by round, as
    ``native/125 frames, 1 threads`` and for whole encodes ``native encode/125 frames, 1 threads``.
    Raises InputError for lengths below one frame.
    """
    if not frames or min(frames) < 1 or not threads or min(threads) < 1 or seconds <= 0:
        raise InputError(
            f"{list(frames)} frames, {list(threads)} threads, {seconds} s", "use at least one"
        )
    results: dict[str, Any] = {}
    for length in frames:
        generator = torch.Generator().manual_seed(length)
        latents = torch.randn(1, codec.config.hidden_size, length, generator=generator)
        latents = (latents / math.sqrt(codec.config.hidden_size)).to(codec.device)
        result: dict[str, Any] = {}
        for number in threads:
            with _threads(number), torch.inference_mode():
                place = f"{length} frames, {number} threads"
                progress(place)
                times = _times(_arms(codec, latents, compiled), seconds, codec.device)
                for name, of in times.items():
                    keep(f"{name}/{place}", of, "ms")
                figures = _figures(times)
                if length <= most_whole_frames:
                    whole = _whole_times(codec, length, seconds)
                    for name, of in whole.items():
                        keep(f"{name} encode/{place}", of, "ms")
                    figures["whole_encode"] = _whole(whole)
            if number == threads[0]:
                result = {**result, **figures, "threads": number}
            else:
                result[f"threads_{number}"] = figures
        results[str(length)] = {**result, **exactness(codec, latents)}
    return {"frames": results}


@torch.inference_mode()
def exactness(codec: Any, latents: Tensor) -> dict[str, Any]:
    """Whether every native code is the one that float64 finds, and how transformers' compare.

    A code counts as exact where it is at most 1e-6 farther than the nearest entry, relatively (2e-6
    on a GPU).
    """
    quantizer, gap = codec.quantizer, _GAPS[codec.device.type]
    native = encode_latents(codec, latents, threads=1)[0].T  # [T, K]
    theirs = quantizer.encode(latents).transpose(0, 1)[0].T
    wrong, first = 0, 0
    for part in (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    ):
        projected = latents if part.input_proj is None else part.input_proj(latents)
        residual = projected[0].T.double()
        for layer in part.layers:
            book, codes = layer.codebook.embed.double(), native[:, first : first + 1]
            squares = book.square().sum(1)
            scores = residual.square().sum(1, keepdim=True) + squares - 2 * residual @ book.T
            least = scores.amin(1, keepdim=True)
            wrong += int((scores.gather(1, codes) > least * (1 + gap)).sum())
            residual = residual - book[codes[:, 0]]
            first += 1
    return {
        "exact": wrong == 0,
        "codes": native.numel(),
        "wrong": wrong,
        "differs_from_transformers": int((native != theirs).sum()),
    }


def _arms(codec: Any, latents: Tensor, compiled: bool) -> dict[str, Callable[[], Any]]:
    transposed = TransposedQuantizer(codec.quantizer)
    arms: dict[str, Callable[[], Any]] = {
        NATIVE: lambda: encode_latents(codec, latents),
        TRANSFORMERS: lambda: codec.quantizer.encode(latents),
        TRANSPOSED: lambda: transposed(latents),
    }
    if compiled:
        torch.compiler.reset()
        faster = torch.compile(transposed, dynamic=False, fullgraph=True)
        arms[COMPILED] = lambda: faster(latents)
    return arms


def _times(
    arms: Mapping[str, Callable[[], Any]], seconds: float, device: torch.device
) -> dict[str, list[float]]:
    """Milliseconds of each arm, round by round; a first call of each is not among them."""
    if device.type == "cuda":
        arms = {name: partial(_finished, call) for name, call in arms.items()}
    for call in arms.values():
        call()
    begin = time.perf_counter()
    for call in arms.values():
        call()
    rounds = int(seconds / (time.perf_counter() - begin))
    rounds = min(max(rounds, _FEWEST_ROUNDS), _MOST_ROUNDS)
    return interleaved({name: timed(call) for name, call in arms.items()}, rounds)


def _finished(call: Callable[[], Any]) -> None:
    call()
    torch.cuda.synchronize()


def _figures(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Medians in ms, and how many times as fast native is as each, with 95 % intervals."""
    medians = {name: percentiles(of, (50,))["p50"] for name, of in times.items()}
    torches = [name for name in (TRANSPOSED, COMPILED) if name in times]
    best = min(torches, key=medians.__getitem__)
    made: dict[str, Any] = {"rounds": len(times[NATIVE]), "best_torch": best}
    for name, other in (("vs_best_torch", best), ("vs_transformers", TRANSFORMERS)):
        ratio = paired_ratio(times[other], times[NATIVE])
        made[name] = round(ratio.value, 3)
        made[f"{name}_interval"] = [round(ratio.low, 3), round(ratio.high, 3)]
    return {**made, **{f"{name}_ms": round(ms, 4) for name, ms in medians.items()}}


def _whole_times(codec: Any, length: int, seconds: float) -> dict[str, list[float]]:
    """Whole encodes of ``length`` frames of sound, quantized by transformers and by us, in ms."""
    samples = round(codec.config.sampling_rate / codec.config.frame_rate) * length
    sound = torch.randn(1, 1, samples, generator=torch.Generator().manual_seed(1)) * 0.1
    sound = sound.to(codec.device)
    return _times(
        {
            NATIVE: lambda: encode_latents(codec, offline_latents(codec, sound)),
            TRANSFORMERS: lambda: codec.encode(sound),
        },
        seconds,
        codec.device,
    )


def _whole(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """How many times as fast a whole encode is with our search, and the medians in ms."""
    ratio = paired_ratio(times[TRANSFORMERS], times[NATIVE])
    return {
        "vs_transformers": round(ratio.value, 3),
        "interval": [round(ratio.low, 3), round(ratio.high, 3)],
        "rounds": ratio.n,
        **{f"{name}_ms": round(percentiles(of, (50,))["p50"], 3) for name, of in times.items()},
    }


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
