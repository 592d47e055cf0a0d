"""A long run of texts of many lengths on one engine: nothing may pile up, compile anew or differ.

found = soak(engine, texts=1000)
found.flat, found.compiled_late, found.same, found.verdict
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.measure.findings import HEARD_DIFFERENCE, caption
from workbench.measure.memory import resident
from workbench.measure.speech import SENTENCES
from workbench.quality.agreement import max_difference, token_agreement

LONGEST_WORDS = 24  # of a text: several parts for a small model
_FEWEST = 8  # texts; fewer tell no slope
_SETTLED = 0.5  # share of the texts after which caches of all kinds should be full
# Growth over the settled part that counts as none. Allocators return memory late and in pieces,
# so that resident memory moves by about a percent without any leak.
_FLAT_SHARE = 0.02


@dataclass(frozen=True)
class Soak:
    """What was seen after each text, in order.

    ``characters`` and ``frames`` are the texts' and the clips' lengths; ``resident_bytes`` the
    process's memory, ``gpu_bytes`` what PyTorch's allocator holds (empty on the CPU);
    ``graphs`` how many graphs torch.compile has made and CUDA graphs were captured since the
    process began. ``differs`` are the texts whose streamed sound or codes weren't the offline
    ones; ``difference`` is the largest of their samples' differences.
    """

    engine: str
    optimizations: tuple[str, ...]
    machine: str
    characters: tuple[int, ...]
    frames: tuple[int, ...]
    ended: dict[str, int]
    resident_bytes: tuple[int, ...]
    gpu_bytes: tuple[int, ...]
    graphs: tuple[int, ...]
    differs: tuple[str, ...]
    difference: float

    @property
    def settled(self) -> int:
        """The first text of the settled part: by then caches of all kinds should be full."""
        return int(_SETTLED * len(self.characters))

    @property
    def growth_bytes(self) -> int:
        """How much more memory the last texts held than the first of the settled part.

        Medians over a tenth of all texts at both ends, so that a single peak says nothing.
        """
        return growth(self.resident_bytes, self.settled)

    @property
    def gpu_growth_bytes(self) -> int:
        """As ``growth_bytes``, of the GPU; 0 without one."""
        return growth(self.gpu_bytes, self.settled) if self.gpu_bytes else 0

    @property
    def slope_bytes(self) -> float:
        """Growth of resident memory for each text of the settled part: Theil and Sen's median."""
        from scipy.stats import theilslopes

        held = self.resident_bytes[self.settled :]
        return float(theilslopes(held)[0])

    @property
    def flat(self) -> bool:
        """Whether neither memory grew by more than 2 % over the settled part."""
        pairs = ((self.growth_bytes, self.resident_bytes), (self.gpu_growth_bytes, self.gpu_bytes))
        return all(grown <= _FLAT_SHARE * held[self.settled] for grown, held in pairs if held)

    @property
    def compiled_late(self) -> int:
        """Graphs made in the settled part, where every length should be known."""
        return self.graphs[-1] - self.graphs[self.settled - 1]

    @property
    def same(self) -> bool:
        """Whether every clip streamed was the offline one: equal codes, sound nobody can tell."""
        return not self.differs

    @property
    def ok(self) -> bool:
        """Whether all three hold."""
        return self.flat and self.same and not self.compiled_late

    @property
    def verdict(self) -> str:
        """The three answers in words."""
        texts = len(self.characters)
        lengths = len(set(self.characters))
        memory = "flat" if self.flat else "growing"
        made = (
            f"nothing was compiled after the first {self.settled:,}"
            if not self.compiled_late
            else f"{self.compiled_late:,} graphs were made after the first {self.settled:,}"
        )
        clips = (
            f"every clip streamed is the offline one (samples within {self.difference:.0e})"
            if self.same
            else f"{len(self.differs):,} clips differ from offline, first {self.differs[0]!r}"
        )
        return (
            f"{texts:,} texts of {lengths:,} lengths: memory is {memory} "
            f"({self.growth_bytes / 2**20:+.1f} MiB over the last {texts - self.settled:,}, "
            f"{self.slope_bytes / 1024:+.2f} KiB a text), {made}, {clips}."
        ).replace("-", "−")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, with the raw samples."""
        return {
            "engine": self.engine,
            "optimizations": list(self.optimizations),
            "machine": self.machine,
            "texts": len(self.characters),
            "lengths": len(set(self.characters)),
            "ok": self.ok,
            "flat": self.flat,
            "growth_bytes": self.growth_bytes,
            "gpu_growth_bytes": self.gpu_growth_bytes,
            "slope_bytes_per_text": self.slope_bytes,
            "compiled": self.graphs[-1],
            "compiled_late": self.compiled_late,
            "same": self.same,
            "difference": self.difference,
            "differs": list(self.differs),
            "ended": self.ended,
            "frames": sum(self.frames),
            "verdict": self.verdict,
            "resident_bytes": list(self.resident_bytes),
            "gpu_bytes": list(self.gpu_bytes),
            "graphs": list(self.graphs),
            "characters": list(self.characters),
        }


def texts_of(count: int, *, longest_words: int = LONGEST_WORDS, seed: int = 0) -> list[str]:
    """``count`` different texts of 1 to ``longest_words`` words, in random order.

    The words are those of the workbench's sentences, which every engine here can say.
    """
    if count < 1 or longest_words < 1:
        raise InputError(f"{count} texts of {longest_words} words", "use at least one of each")
    said = " ".join(SENTENCES.values()).lower().split()
    words = sorted({word.strip(".,?!") for word in said})
    draw = random.Random(seed)
    made: dict[str, None] = {}
    tries = 0
    while len(made) < count:
        length = draw.randint(1, longest_words)
        made.setdefault(" ".join(draw.choices(words, k=length)) + ".", None)
        tries += 1
        if tries > 100 * count:
            raise InputError(
                f"{count} different texts of at most {longest_words} words", "allow longer ones"
            )
    return list(made)


def soak(
    engine: Any,
    texts: int | Sequence[str] = 1000,
    *,
    max_frames: int | None = None,
    seed: int = 0,
    wrap: Callable[[Iterable[str]], Iterable[str]] = lambda texts: texts,
) -> Soak:
    """Speaks every text twice with one seed, streamed and offline, and notes what is held after it.

    ``texts`` is a number of texts (see ``texts_of``) or the texts themselves. ``wrap`` sees them
    pass, for a progress bar. Raises InputError for fewer than 8, which tell no slope, and for
    engines that can't stream.
    """
    said = texts_of(texts, seed=seed) if isinstance(texts, int) else list(texts)
    if len(said) < _FEWEST:
        raise InputError(f"{len(said)} texts", f"use at least {_FEWEST}: fewer tell no slope")
    voice = next(iter(engine.voices))
    seen: list[_Seen] = []
    ended: Counter[str] = Counter()
    differs: list[str] = []
    difference = 0.0
    for number, text in enumerate(wrap(said)):
        settings = {"voice": voice, "seed": seed + number, "max_frames": max_frames}
        stream = engine.stream(text, streaming="true", **settings)
        for _ in stream:
            pass
        streamed, offline = stream.speech, engine.synthesize(text, **settings)
        apart = max_difference(offline, streamed)
        difference = max(difference, apart)
        if apart > HEARD_DIFFERENCE or not token_agreement(offline.codes, streamed.codes).equal:
            differs.append(text)
        ended[streamed.ended] += 1
        seen.append(_Seen.now(engine, len(text), streamed.frames))
        del stream, streamed, offline
    return Soak(
        engine=engine.name,
        optimizations=tuple(engine.optimizations),
        machine=caption(engine),
        characters=tuple(one.characters for one in seen),
        frames=tuple(one.frames for one in seen),
        ended=dict(ended),
        resident_bytes=tuple(one.resident for one in seen),
        gpu_bytes=tuple(one.gpu for one in seen if one.gpu is not None),
        graphs=tuple(one.graphs for one in seen),
        differs=tuple(differs),
        difference=difference,
    )


@dataclass(frozen=True)
class _Seen:
    characters: int
    frames: int
    resident: int
    gpu: int | None
    graphs: int

    @classmethod
    def now(cls, engine: Any, characters: int, frames: int) -> _Seen:
        import torch

        cuda = engine.device.type == "cuda"
        return cls(
            characters,
            frames,
            resident(os.getpid()),
            torch.cuda.memory_reserved(engine.device) if cuda else None,
            graphs_made() + getattr(engine, "graphs_captured", 0),
        )


def graphs_made() -> int:
    """Graphs that torch.compile has made in this process, recompiled ones included."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def growth(held: Sequence[int], settled: int) -> int:
    """The median of the last tenth less that of the settled part's first tenth."""
    few = max(1, len(held) // 10)
    return int(np.median(held[-few:]) - np.median(held[settled : settled + few]))
