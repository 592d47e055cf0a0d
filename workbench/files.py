"""Files written whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import OutputError


@contextlib.contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yields a temporary path beside ``target`` and renames it over ``target`` at the end.

    If the block raises (Ctrl-C included), the temporary file goes and ``target`` stays as it
    was. Raises OutputError where the folder can't be made or written.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays, because writers such as soundfile choose the format by it.
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
    except OSError as problem:
        raise OutputError(
            f"can't write {target}: {problem.strerror or problem}",
            "choose a folder you may write to, with space left",
        ) from problem
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a result should be as readable as any other new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as problem:
        raise OutputError(
            f"can't write {target}: {problem.strerror or problem}",
            "choose a folder you may write to, with space left",
        ) from problem
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path | str, text: str) -> None:
    """Writes ``text`` (UTF-8) whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(target: Path | str, content: bytes) -> None:
    """Writes ``content`` whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_json(target: Path | str, value: Any) -> None:
    """Writes ``value`` as JSON (two-space indent, no NaN) whole or not at all."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
