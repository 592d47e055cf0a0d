"""Voices to clone: the engine's own, the samples that ship, and a user's recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.audio import Audio
from workbench.cloning.mark import provenance
from workbench.cloning.references import PreparedVoice, prepare
from workbench.cloning.voices import sample_voices
from workbench.engines.speech import Reference, Speech
from workbench.errors import InputError
from workbench.quality.speaker import SHORTEST_S

SAMPLE_PROMPTS = 4  # clips of a sample voice that may be heard; its clones are held to the others


@dataclass(frozen=True)
class Target:
    """A voice: ``prompts`` are what the engine hears of it, ``clips`` what a clone is held to.

    ``voice`` is the speaker id that its clone is spoken with. ``known`` voices are the engine's.
    """

    name: str
    prompts: tuple[Reference, ...]
    clips: tuple[Audio, ...]
    voice: int = 0
    known: bool = False


def known_targets(
    engine: Any,
    texts: Sequence[str],
    *,
    count: int | None = None,
    prompts: int = 2,
    seed: int = 1_000,
) -> list[Target]:
    """The engine's own voices (or the first ``count``), each speaking ``texts``: prompts first.

    Raises InputError for fewer texts than prompts and one more, and for a voice that says too
    little of them to be told from others.
    """
    if len(texts) <= prompts:
        raise InputError(f"{len(texts)} texts for known voices", f"pass at least {prompts + 1}")
    targets = []
    for voice, name in list(engine.voices.items())[:count]:
        said = [engine.synthesize(t, voice=voice, seed=seed + i) for i, t in enumerate(texts)]
        clips = [
            (Audio(speech.samples, speech.rate_hz), speech.text)
            for speech in said
            if speech.duration_s > SHORTEST_S
        ]
        if len(clips) <= prompts:
            raise InputError(
                f"voice {voice} said {len(clips)} of {len(texts)} sentences", "try another seed"
            )
        heard = tuple(Reference(audio, text, voice) for audio, text in clips[:prompts])
        held = tuple(audio for audio, _ in clips[prompts:])
        targets.append(Target(f"{name} [{voice}]", heard, held, voice, known=True))
    return targets


def sample_targets(voice: int = 0, count: int | None = None) -> list[Target]:
    """The sample voices (or the first ``count``), which the nano voice has never heard.

    They are to be spoken with the speaker id ``voice``.
    """
    return [
        Target(
            one.name,
            tuple(Reference(clip.audio, clip.text, voice) for clip in one.clips[:SAMPLE_PROMPTS]),
            tuple(clip.audio for clip in one.clips[SAMPLE_PROMPTS:]),
            voice,
        )
        for one in sample_voices()[:count]
    ]


def own_target(prepared: PreparedVoice, voice: int = 0) -> Target:
    """A user's recording. Of several chunks the second half is what the clone is held to; of a
    single one there is nothing else to compare with than the prompt itself.
    """
    references = prepared.references
    half = (len(references) + 1) // 2
    held = references[half:] or references
    return Target(prepared.name, references[:half], tuple(one.audio for one in held), voice)


@dataclass(frozen=True)
class Cast:
    """Whose voices a study clones: the user's recordings, or the samples where there are none."""

    targets: tuple[Target, ...]
    prepared: tuple[PreparedVoice, ...]

    @property
    def statement(self) -> str:
        """Whose voices are used, line by line."""
        if self.prepared:
            return "\n".join(f"Cloning the {one.statement}" for one in self.prepared)
        names = ", ".join(target.name for target in self.targets)
        return f"Cloning the sample voices {names}: synthetic, so that nobody's consent is needed"

    def mark(self, speech: Speech, engine: str) -> dict[str, Any]:
        """The mark of a clone's file: that it is synthetic, and of whose voice."""
        return provenance(speech, engine, self.prepared)

    def about(self) -> list[dict[str, Any]]:
        """What the record keeps of them: hashes, consent and findings."""
        samples = [{"recording": one.name, "consent": "synthetic"} for one in self.targets]
        return [one.about() for one in self.prepared] or samples


def cast(
    recordings: Sequence[str] = (),
    transcripts: Sequence[str] = (),
    *,
    consent: str = "",
    voice: int = 0,
    samples: int | None = None,
) -> Cast:
    """Prepares ``recordings`` (with their ``transcripts``, or none); without any, the samples.

    Raises InputError for a recording that is refused, and for transcripts of another number.
    """
    if transcripts and len(transcripts) != len(recordings):
        raise InputError(
            f"{len(recordings)} recordings and {len(transcripts)} transcripts",
            "give one for each, or none",
        )
    if not recordings:
        return Cast(tuple(sample_targets(voice, samples)), ())
    said: Sequence[str | None] = transcripts or [None] * len(recordings)
    prepared = tuple(
        prepare(path, words, voice=voice, consent=consent)
        for path, words in zip(recordings, said, strict=True)
    )
    return Cast(tuple(own_target(one, voice) for one in prepared), prepared)
