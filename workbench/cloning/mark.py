"""Synthetic clips say that they are: a mark in the sound file, and the same in the record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench._version import __version__
from workbench.audio import Audio
from workbench.cloning.references import PreparedVoice
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.files import atomic_path

TITLE = "Synthetic speech in a cloned voice"


def provenance(speech: Speech, engine: str, voices: Sequence[PreparedVoice]) -> dict[str, Any]:
    """What made ``speech``, and whose voice it takes: for the file's mark and for records."""
    return {
        "synthetic": True,
        "made_by": f"workbench {__version__}",
        "engine": engine,
        "weights": speech.weights,
        "text": speech.text,
        "seed": speech.seed,
        "references": [{"sha256": voice.sha256, "consent": voice.consent} for voice in voices],
    }


def write_marked(path: Path | str, audio: Audio, mark: Mapping[str, Any]) -> Path:
    """Writes a sound file whose title says that it is synthetic and whose comment is ``mark``.

    WAV keeps them in its INFO chunk, FLAC and OGG in Vorbis comments, MP3 in its ID3 tag. The mark
    is a label for honest tools, no watermark: who converts the file can drop it.

    Raises InputError for a suffix that libsndfile doesn't know, OutputError where the folder can't
    be written.
    """
    import soundfile

    path = Path(path)
    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise InputError(
            f"{path.name!r} has no sound file's suffix", "use .wav, .flac, .ogg or .mp3"
        )
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(temporary, "w", audio.rate_hz, channels=1) as file,
    ):
        file.title = TITLE
        file.software = mark["made_by"]
        file.comment = json.dumps(dict(mark))
        file.write(audio.samples)
    return path


def read_mark(path: Path | str) -> dict[str, Any] | None:
    """The mark of a sound file that ``write_marked`` wrote; None for any other file."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        try:
            mark = json.loads(file.comment or "")
        except ValueError:
            return None
    return mark if isinstance(mark, dict) and "synthetic" in mark else None
