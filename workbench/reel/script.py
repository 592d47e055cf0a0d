"""A script: who speaks, and what. It says what is to be heard, never how fast.

engine: csm-nano
speakers:
  anna: {voice: 1}
  ben: {voice: 0, references: [{audio: ben.wav, text: good morning}]}
segments:
  - {speaker: anna, text: good morning ben}
  - {speaker: ben, text: hello anna, pause_ms: 500}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from workbench.errors import InputError
from workbench.paths import data_dir
from workbench.text import checked

_LONGEST_PAUSE_MS = 60_000
_SEED_BITS = 31

# It stands before a caption's text, as "anna: good morning", and in a tag of WebVTT.
SpeakerName = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[^\s:<>&][^\n\r:<>&]{0,39}$")
]
PauseMs = Annotated[int, Field(ge=0, le=_LONGEST_PAUSE_MS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferenceFile(_Strict):
    """A sound file of a voice and what is said in it; cloning engines go on from it.

    ``audio`` is taken relative to the script's own folder. Engines that need no transcript, such
    as Chatterbox, do with an empty ``text``.
    """

    audio: Path
    text: str = ""


class Speaker(_Strict):
    """A voice of the engine by its id, a voice of another engine, or one cloned from references."""

    voice: Annotated[int, Field(ge=0)] = 0
    engine: str | None = None
    references: tuple[ReferenceFile, ...] = ()


class Segment(_Strict):
    """What one speaker says in one go.

    ``pause_ms`` is the silence after it (None: the script's), ``seed`` its random numbers (None:
    from the script's seed and the segment itself, so that other segments may come and go).
    """

    speaker: SpeakerName
    text: str
    pause_ms: PauseMs | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << _SEED_BITS)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None

    @field_validator("text")
    @classmethod
    def _sayable(cls, text: str) -> str:
        try:
            return checked(text)
        except InputError as problem:
            raise ValueError(f"{problem.what}: {problem.remedy}") from problem


class Script(_Strict):
    """Speakers and their segments in order.

    ``pause_ms`` is the silence between segments, ``reference_s`` how much of a speaker's
    references is used, ``rate_hz`` the track's sample rate (None: the first engine's own).
    ``settings`` are those that ``engine`` has of its own, such as F5-TTS's ``nfe_step``.
    """

    title: str = ""
    engine: str = "csm-nano"
    settings: dict[str, Any] = Field(default_factory=dict)
    weights: Literal["auto", "random"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    pause_ms: PauseMs = 300
    reference_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    rate_hz: Annotated[int, Field(ge=8_000, le=192_000)] | None = None
    speakers: dict[SpeakerName, Speaker]
    segments: Annotated[tuple[Segment, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _speakers_known(self) -> Script:
        for number, segment in enumerate(self.segments):
            if segment.speaker not in self.speakers:
                raise ValueError(
                    f"segment {number} is said by {segment.speaker!r}, who is none of the "
                    f"speakers {', '.join(self.speakers)}"
                )
        return self

    def engine_of(self, segment: Segment) -> str:
        """The engine that speaks ``segment``."""
        return self.speakers[segment.speaker].engine or self.engine

    @property
    def engines(self) -> tuple[str, ...]:
        """All engines, in the order in which they are first heard."""
        return tuple(dict.fromkeys(self.engine_of(segment) for segment in self.segments))

    def shortened(self, segments: int | None) -> Script:
        """With the first ``segments`` only (None: all of them)."""
        if segments is not None and segments < 1:
            raise InputError(f"{segments} segments", "keep at least one")
        return self.model_copy(update={"segments": self.segments[:segments]})

    def settings_of(self, engine: str) -> dict[str, Any]:
        """The own settings of ``engine``: the script's where it is the script's."""
        return dict(self.settings) if engine == self.engine else {}

    def with_engine(self, engine: str | None, settings: Mapping[str, Any] | None = None) -> Script:
        """With another engine for those who have none of their own (None: as it is).

        ``settings`` are added to those that the engine has in the script.
        """
        engine = self.engine if engine is None else engine
        own = {**self.settings_of(engine), **(settings or {})}
        return self.model_copy(update={"engine": engine, "settings": own})

    def rows(self) -> list[dict[str, Any]]:
        """A table's row for each segment."""
        return [
            {
                "segment": number,
                "speaker": one.speaker,
                "voice": self.speakers[one.speaker].voice,
                "text": one.text,
                "pause after (ms)": self.pause_ms if one.pause_ms is None else one.pause_ms,
            }
            for number, one in enumerate(self.segments, start=1)
        ]

    def seed_of(self, number: int) -> int:
        """Segment ``number``'s seed, 31 bits.

        Without one of its own it is a hash of the script's seed, speaker, text, and how often the
        speaker has said that before: what is added elsewhere changes no other segment.
        """
        segment = self.segments[number]
        if segment.seed is not None:
            return segment.seed
        before = [(one.speaker, one.text) for one in self.segments[:number]]
        said = before.count((segment.speaker, segment.text))
        digest = hashlib.sha256(
            json.dumps([self.seed, segment.speaker, segment.text, said]).encode()
        ).digest()
        return int.from_bytes(digest[:4], "big") >> (32 - _SEED_BITS)


def sample_script() -> Path:
    """The shipped script: fifteen segments, two speakers, in the nano voice's domain."""
    return data_dir() / "scripts" / "market.yaml"


def read_script(path: Path | str) -> Script:
    """Reads a script from YAML or JSON; reference files become absolute paths.

    Raises InputError for a file that isn't there or isn't a script, naming the place in it.
    """
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise InputError(f"{path.name!r} is no script", "name a .yaml, .yml or .json file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"the script {path} can't be read: {problem}", "check the path") from None
    try:
        given = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as problem:
        words = " ".join(str(problem).split())
        raise InputError(f"{path.name} is damaged: {words}", "mend it there") from None
    script = parse_script(given, path.name)
    folder = path.resolve().parent
    speakers = {
        name: speaker.model_copy(
            update={
                "references": tuple(
                    one.model_copy(update={"audio": folder / one.audio})
                    for one in speaker.references
                )
            }
        )
        for name, speaker in script.speakers.items()
    }
    return script.model_copy(update={"speakers": speakers})


def parse_script(given: Any, name: str = "the script") -> Script:
    """``given`` (what YAML or JSON held) as a script; InputError, naming the place, otherwise."""
    try:
        return Script.model_validate(given)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "at its top"
        words = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            f"{name}, {place}: {words}", "docs/voicereel.md shows what a script may hold"
        ) from None
