"""The check of an arm's sound against another arm's, and what its contract says of it.

clips = listen([plain, tf32], held_out(20))
check = check_sound(clips["plain"], clips["tf32"], switch("tf32").contract)
check.kept, check.why, check.sentence
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.audio import Audio
from workbench.engines.speech import Speech
from workbench.errors import RecordError
from workbench.optimizations.switch import Contract
from workbench.studies.sound.likeness import likeness, traits
from workbench.studies.sound.listening import Clips, held_out, listen
from workbench.studies.sound.promises import Facts, combined, same_sound, verdict
from workbench.studies.sound.words import Transcripts, words

__all__ = [
    "Facts",
    "Pair",
    "SoundCheck",
    "Transcripts",
    "check_sound",
    "combined",
    "held_out",
    "listen",
    "pair",
]


@dataclass(frozen=True)
class SoundCheck:
    """What was heard of ``arm`` against ``against``, and the ``contract`` it is held to.

    ``facts`` is None where one of them ``failed``, which says why. The verdict is derived from
    the facts whenever it is asked for.
    """

    arm: str
    against: str
    contract: Contract
    facts: Facts | None
    failed: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the contract was kept; None where what was heard can't tell."""
        return verdict(self.contract, self.facts)[0] if self.facts else None

    @property
    def why(self) -> str:
        """The reason for ``kept``, with figures."""
        return verdict(self.contract, self.facts)[1] if self.facts else self.failed

    @property
    def sentence(self) -> str:
        """What was heard, in a line."""
        if self.facts is None:
            return self.failed
        both = self.facts.greedy, self.facts.sampled
        clips, equal = sum(found.clips for found in both), sum(found.equal for found in both)
        codes = f"codes equal in {equal} of {clips} clips"
        if same_sound(self.facts):
            return f"{codes}, samples too"
        if equal == clips:
            largest = max(found.max_difference or 0.0 for found in both)
            return f"{codes}, samples within {largest:.1g}"
        if self.facts.words is None:
            return f"{codes}; no WER: {self.facts.wordless}"
        return f"{self.facts.words}, {codes}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values that ``from_dict`` takes."""
        found: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return found

    @staticmethod
    def from_dict(value: Any) -> SoundCheck:
        """The check that ``to_dict`` gave; RecordError for anything else."""
        from pydantic import ValidationError

        try:
            found: SoundCheck = _adapter().validate_python(value)
        except ValidationError as problem:
            raise RecordError(
                f"this is no check of a sound: {problem}", "check the sound again"
            ) from problem
        return found


@dataclass(frozen=True)
class Pair:
    """The same text and seed by two arms, to be played side by side."""

    text: str
    seed: int
    before: Audio
    after: Audio


def check_sound(
    before: Clips, after: Clips, contract: Contract, transcripts: Transcripts | None = None
) -> SoundCheck:
    """Compares what ``after`` said with what ``before`` said, its baseline.

    Several switches at once are held to ``combined`` contracts. Pass one ``transcripts`` to all
    checks: then each clip is recognized only once.

    Raises InputError where the two didn't speak the same texts with the same seeds.
    """
    for clips in (before, after):
        if clips.error is not None:
            failed = f"{clips.arm} failed: {clips.error.message.splitlines()[0]}"
            return SoundCheck(after.arm, before.arm, contract, None, failed)
    heard, wordless = words(before.sampled, after.sampled, transcripts or Transcripts())
    facts = Facts(
        likeness(before.greedy, after.greedy),
        likeness(before.sampled, after.sampled),
        traits(before.sampled),
        traits(after.sampled),
        heard,
        wordless,
    )
    return SoundCheck(after.arm, before.arm, contract, facts)


def pair(before: Clips, after: Clips) -> Pair | None:
    """The first sampled pair that differs, else the first with sound; None where there is none."""
    pairs = [(a, b) for a, b in zip(before.sampled, after.sampled, strict=False) if len(a)]
    if not pairs:
        return None
    differing = [(a, b) for a, b in pairs if a.samples.tobytes() != b.samples.tobytes()]
    first, second = (differing or pairs)[0]
    return Pair(first.text, first.seed, _plain(first), _plain(second))


def _plain(clip: Speech) -> Audio:
    return Audio(clip.samples, clip.rate_hz)


def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(SoundCheck)
