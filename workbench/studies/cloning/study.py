"""Does a clone sound like its reference: more than like any other voice?

targets = [*known_targets(engine, texts), *sample_targets()]
result = clone_trials(engine, load_speaker_encoder(), targets, texts, trials=5)
result.share(known=False)       # share of clones nearest to their own voice, with its interval

A clone is compared with *other* clips of its voice than those it was made from, so that what the
prompt's words and room have in common with it counts for nothing. Voices that the engine was
trained on are the control: speaker id and context agree, so that what should win is known to exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from workbench.audio import Audio
from workbench.cloning.cache import CodeCache
from workbench.engines.asr.transcript import Recognizer
from workbench.errors import InputError
from workbench.measure import findings
from workbench.quality.speaker import SpeakerEncoder
from workbench.studies.cloning.clones import CloneTrial, CloningResult, mean_similarity
from workbench.studies.cloning.targets import Target


def clone_trials(
    engine: Any,
    encoder: SpeakerEncoder,
    targets: Sequence[Target],
    texts: Sequence[str],
    *,
    trials: int = 4,
    seed: int = 0,
    cloned: Iterable[str] | None = None,
    prompts: int = 2,
    recognizer: Recognizer | None = None,
    cache: CodeCache | None = None,
) -> CloningResult:
    """Has each target (or those named in ``cloned``) cloned ``trials`` times, texts in turn.

    The engine hears the first ``prompts`` of a target's; every clone is compared with every target.

    Raises InputError for fewer than two targets, of which none could be nearer than another.
    """
    if len(targets) < 2 or trials < 1 or not texts:
        raise InputError(
            f"{len(targets)} voices, {trials} trials, {len(texts)} texts",
            "pass at least two voices, one trial and one text",
        )
    known = {one.name: np.stack([encoder.embed(c) for c in one.clips]) for one in targets}
    chosen = set(known if cloned is None else cloned)
    jobs = [(one, number) for one in targets if one.name in chosen for number in range(trials)]
    encode = partial(cache.encoded, engine) if cache else engine.encoded
    contexts = {
        one.name: [encode(r) for r in one.prompts[:prompts]]
        for one in targets
        if one.name in chosen
    }
    found = []
    for target, number in tqdm(jobs, desc="clones", unit="clone"):
        speech = engine.synthesize(
            texts[number % len(texts)],
            voice=target.voice,
            context=contexts[target.name],
            seed=seed + number,
        )
        heard = recognizer.transcribe(speech).text if recognizer and len(speech) else None
        found.append(
            CloneTrial(target.name, target.known, speech, _near(encoder, speech, known), heard)
        )
    return CloningResult(
        tuple(found), tuple(targets), known, encoder.name, findings.caption(engine)
    )


def likeness_to(encoder: SpeakerEncoder, clip: Audio, target: Target) -> float | None:
    """Mean similarity of ``clip`` to the target's; None where it is hardly a sound."""
    held = np.stack([encoder.embed(one) for one in target.clips])
    return _near(encoder, clip, {target.name: held}).get(target.name)


def _near(
    encoder: SpeakerEncoder, clip: Audio, voices: Mapping[str, np.ndarray]
) -> dict[str, float]:
    try:
        mine = encoder.embed(clip)
    except InputError:  # hardly a sound, which is a clone of nobody
        return {}
    return {name: mean_similarity(mine, theirs) for name, theirs in voices.items()}
