"""Has every arm say the same sentences, untimed, one arm at a time.

clips = listen([plain, tf32], held_out(20))
clips["tf32"].sampled[0]                      # Speech
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.measure.record import Failure
from workbench.paths import data_dir
from workbench.worker import Worker

SENTENCES = 20
START_S = 900.0  # loading and warming up, compilers included
CLIP_S = 300.0  # one clip of a large model on a slow machine
_TRACEBACK_CHARS = 4_000

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Clips:
    """What one arm said.

    ``greedy`` has each text once at temperature 0, ``sampled`` text i with seed i at the model's
    own temperature. ``error`` is why the arm failed; it has no clips then.
    """

    arm: str
    greedy: tuple[Speech, ...] = ()
    sampled: tuple[Speech, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None


def held_out(count: int = SENTENCES, seed: int = 0) -> tuple[str, ...]:
    """``count`` sentences of the nano voice's domain that training never saw, chosen by ``seed``.

    Raises InputError for more than there are.
    """
    lines = (data_dir() / "nano" / "held-out.txt").read_text(encoding="utf-8").splitlines()
    known = [line for line in lines if line.strip()]
    if not 1 <= count <= len(known):
        raise InputError(f"{count} held-out sentences", f"ask for 1 to {len(known)} of them")
    return tuple(random.Random(seed).sample(known, count))


def listen(
    arms: Sequence[Arm],
    texts: Sequence[str],
    seeds: Sequence[int] | None = None,
    *,
    start_s: float = START_S,
    clip_s: float = CLIP_S,
    progress: Progress = lambda words: None,
) -> dict[str, Clips]:
    """Clips of every arm by its name.

    An arm's object must have ``speak(text, seed, temperature)`` beside what ``Hosted`` asks for.
    It is warmed up first, so that what is heard is what is measured. ``seeds`` are as many as
    ``texts`` (default: 0, 1, 2, …); to hear a text with several seeds, list it several times.
    Whatever an arm does wrong ends that arm only. Ctrl-C ends the worker.

    Raises InputError for no texts, or seeds that are not as many.
    """
    seeds = tuple(range(len(texts))) if seeds is None else tuple(seeds)
    if not texts or len(seeds) != len(texts):
        raise InputError(f"{len(texts)} texts and {len(seeds)} seeds", "pass one seed for each")
    found = {}
    for arm in arms:
        try:
            found[arm.name] = _heard(arm, texts, seeds, start_s, clip_s, progress)
        except Exception as problem:
            notes = "\n".join(getattr(problem, "__notes__", ()))
            message = str(problem) or type(problem).__name__
            error = Failure(type(problem).__name__, message, notes[-_TRACEBACK_CHARS:])
            found[arm.name] = Clips(arm.name, error=error)
            progress(f"{arm.name} failed: {message}")
    return found


def _heard(
    arm: Arm,
    texts: Sequence[str],
    seeds: Sequence[int],
    start_s: float,
    clip_s: float,
    progress: Progress,
) -> Clips:
    wanted: list[tuple[str, int, float | None]] = [(text, 0, 0.0) for text in dict.fromkeys(texts)]
    greedy = len(wanted)
    wanted += [(text, seed, None) for text, seed in zip(texts, seeds, strict=True)]
    progress(f"{arm.name}: loading")
    with Worker(
        arm.target, python=arm.python, environment=arm.environment, name=arm.name, **arm.kwargs
    ) as worker:
        worker.ready(start_s)
        worker.call("warm_up", timeout_s=start_s)
        about = dict(worker.call("about", timeout_s=clip_s))
        made: list[Speech] = []
        for text, seed, temperature in wanted:
            progress(f"{arm.name}: clip {len(made) + 1} of {len(wanted)}")
            made.append(worker.call("speak", text, seed, temperature, timeout_s=clip_s))
    return Clips(arm.name, tuple(made[:greedy]), tuple(made[greedy:]), about)
