"""Jobs: what an engine is to say for a segment, and the key by which its sound is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.engines.speech import Reference
from workbench.reel.script import Script

KEY_CHARS = 20  # of a SHA-256: 80 bits
_SCHEMA = 1  # counts up when the same request gives another sound, or sound is kept otherwise


@dataclass(frozen=True)
class Job:
    """One request to an engine. Two segments with the same ``key`` are said once.

    ``context`` are the speaker's references, the same objects for all of a speaker's jobs.
    """

    key: str
    text: str
    voice: int
    seed: int
    temperature: float | None = None
    context: Sequence[Reference] = field(default=(), repr=False)


def jobs_of(
    script: Script,
    engine: str,
    identity: Mapping[str, Any],
    references: Mapping[str, Sequence[Reference]],
) -> dict[int, Job]:
    """The jobs of ``engine`` by segment number.

    ``identity`` is what decides how the engine sounds (``Lane.identity``), ``references`` has the
    chunks of each speaker.
    """
    heard = {name: _references_hash(chunks) for name, chunks in references.items()}
    jobs = {}
    for number, segment in enumerate(script.segments):
        if script.engine_of(segment) != engine:
            continue
        speaker = script.speakers[segment.speaker]
        wanted = {
            "schema": _SCHEMA,
            "engine": dict(identity),
            "references": heard.get(segment.speaker, ""),
            "voice": speaker.voice,
            "text": segment.text,
            "seed": script.seed_of(number),
            "temperature": segment.temperature,
        }
        jobs[number] = Job(
            key=_digest(json.dumps(wanted, sort_keys=True).encode()),
            text=segment.text,
            voice=speaker.voice,
            seed=script.seed_of(number),
            temperature=segment.temperature,
            context=references.get(segment.speaker, ()),
        )
    return jobs


def _references_hash(references: Sequence[Reference]) -> str:
    if not references:
        return ""
    digest = hashlib.sha256()
    for one in references:
        digest.update(f"{one.audio.rate_hz} {one.voice} {one.text}\n".encode())
        digest.update(one.audio.samples.tobytes())
    return digest.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:KEY_CHARS]
