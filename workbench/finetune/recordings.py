"""Recordings with their texts, which fine-tuning learns from: a folder, or a data set on the hub.

    data/voice/
      metadata.csv       file_name,text        or LJSpeech's   id|text[|normalized text]
      metadata.jsonl     {"audio": "a.wav", "text": "good morning"}
      a.wav  a.txt       a text beside each recording

One of the three is enough; paths are relative to the folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.files import sha256_of, write_text

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
METADATA = "metadata.csv"
_FILE_NAMES = ("file_name", "audio", "file", "path")
_TEXT_NAMES = ("text", "sentence", "transcription", "transcript")
_REMEDY = "see the layouts in docs/finetuning.md"


@dataclass(frozen=True)
class Recording:
    """A sound file and the words said in it."""

    path: Path
    text: str


def read_recordings(folder: Path | str) -> list[Recording]:
    """The recordings of ``folder`` in the order of its list, or by name.

    Raises InputError for a folder without any, a line that can't be read, a file that is missing
    or listed twice, and an empty text.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "name a folder of recordings and texts")
    lists = [folder / METADATA, *sorted(folder.glob("*.jsonl"))]
    found = [path for path in lists if path.is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise InputError(f"{folder} holds {names}", "leave one list of recordings")
    if not found:
        pairs = list(_beside(folder))
    else:
        read = _from_csv if found[0].name == METADATA else _from_jsonl
        pairs = list(read(found[0]))
    recordings = [_checked(folder, name, text) for name, text in pairs]
    paths = [recording.path for recording in recordings]
    if twice := sorted({path.name for path in paths if paths.count(path) > 1}):
        raise InputError(f"{folder} lists {twice[0]} twice", "give each recording one text")
    if not recordings:
        raise InputError(f"{folder} holds no recording with its text", _REMEDY)
    return recordings


def write_recordings(folder: Path, clips: Sequence[tuple[str, Audio]]) -> list[Recording]:
    """Writes (text, sound) pairs as FLAC files with a ``metadata.csv``; returns them."""
    listing = io.StringIO()
    rows = csv.writer(listing, lineterminator="\n")
    rows.writerow(("file_name", "text"))
    for number, (text, audio) in enumerate(clips):
        rows.writerow((audio.write(folder / f"{number:04d}.flac").name, text))
    write_text(folder / METADATA, listing.getvalue())
    return read_recordings(folder)


def from_hub(
    name: str,
    folder: Path,
    *,
    split: str = "train",
    audio: str = "audio",
    text: str = "text",
    most: int | None = None,
) -> list[Recording]:
    """Copies a data set of the hub into ``folder``; ``audio`` and ``text`` name its columns.

    Needs the package ``datasets``. Raises InputError where it is missing or the set can't be had.
    """
    try:
        from datasets import Audio as Column
        from datasets import load_dataset
    except ImportError as problem:
        raise InputError("datasets is not installed", "pip install 'workbench[data]'") from problem
    import soundfile

    try:
        # Bytes as they are stored: decoding is soundfile's work here as everywhere.
        rows = load_dataset(name, split=split).cast_column(audio, Column(decode=False))
    except Exception as problem:  # of many kinds: network, access, a name that isn't there
        raise InputError(
            f"the data set {name!r} can't be had: {problem}",
            "check its name, split and columns, and that the hub can be reached",
        ) from problem
    clips = []
    for row in rows.select(range(min(most or len(rows), len(rows)))):
        held: Any = row[audio]["bytes"] or Path(row[audio]["path"]).read_bytes()
        samples, rate_hz = soundfile.read(io.BytesIO(held), dtype="float32", always_2d=True)
        clips.append((str(row[text]), Audio(samples.mean(axis=1), rate_hz)))
    return write_recordings(folder, clips)


def digest(recordings: Sequence[Recording]) -> str:
    """SHA-256 over all sounds and texts: what a record names the data by."""
    whole = hashlib.sha256()
    for recording in recordings:
        whole.update(f"{sha256_of(recording.path)} {recording.text}\n".encode())
    return whole.hexdigest()


def _checked(folder: Path, name: str, text: str) -> Recording:
    path = folder / name
    if not path.suffix and not path.is_file():  # LJSpeech names recordings without a suffix
        inner = [folder / part / f"{name}.wav" for part in ("", "wavs")]
        path = next((one for one in inner if one.is_file()), inner[0])
    if not path.is_file():
        raise InputError(f"{folder} lists {name}, which is missing", "check the path in the list")
    if not text.strip():
        raise InputError(f"{path} has an empty text", "write down what is said in it")
    return Recording(path, text.strip())


def _beside(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        words = path.with_suffix(".txt")
        if path.suffix.lower() in SOUNDS and words.is_file():
            yield path.name, words.read_text(encoding="utf-8")


def _from_csv(path: Path) -> Iterator[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise InputError(f"{path} is empty", _REMEDY)
    if "|" in lines[0]:  # LJSpeech: no header, no quotes, the last column is the one to read
        for number, line in enumerate(lines, start=1):
            name, _, rest = line.partition("|")
            if not rest:
                raise InputError(f"{path}, line {number}: no | in {line!r}", _REMEDY)
            yield name, rest.rpartition("|")[2]
        return
    rows = csv.DictReader(lines)
    columns = _columns(rows.fieldnames or [], str(path))
    for row in rows:
        yield row[columns[0]] or "", row[columns[1]] or ""


def _from_jsonl(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise InputError(f"{where} is no JSON: {problem}", _REMEDY) from problem
        if not isinstance(row, dict):
            raise InputError(f"{where} is no object", _REMEDY)
        file, text = _columns(row, where)
        yield str(row[file]), str(row[text])


def _columns(names: Any, where: str) -> tuple[str, str]:
    """The names of the columns with the file and with the text."""
    file = next((name for name in _FILE_NAMES if name in names), None)
    text = next((name for name in _TEXT_NAMES if name in names), None)
    if file is None or text is None:
        lacking = _FILE_NAMES if file is None else _TEXT_NAMES
        raise InputError(f"{where} has none of {', '.join(lacking)}", _REMEDY)
    return file, text
