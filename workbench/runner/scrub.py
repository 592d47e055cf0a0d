"""Outputs without the machine's folders and the environment's secrets."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from workbench.measure.record import folder_pattern, machine_folders
from workbench.runner.widgets import static_twins

# A secret is the value of a variable of such a name, long enough not to be a common word.
_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_SECRET_LENGTH = 8
_NOT_SECRET = re.compile(r"true|false|disabled|enabled|\d{1,12}", re.IGNORECASE)
_MARKER = "papermill-error-cell-tag"  # its red headlines; the page has its own
_BASE64 = re.compile(r"(data:[\w.+/-]+;base64,[A-Za-z0-9+/=\s]*)")
_BINARY = ("image/", "audio/", "video/", "application/pdf")


class Scrubber:
    """Takes out what must not leave the machine, and counts what it took (``found``)."""

    def __init__(
        self, folders: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folders = machine_folders() | dict(folders or {})
        environment = os.environ if environment is None else environment
        self.secrets = {
            value: name
            for name, value in environment.items()
            if _SECRET_NAMES.search(name)
            and len(value) >= _SECRET_LENGTH
            and not _NOT_SECRET.fullmatch(value)
            and not name.upper().endswith(("_FILE", "_PATH", "_DIR", "_HOME"))
        }
        self.found: Counter[str] = Counter()
        self._folders = folder_pattern(self.folders)
        longest_first = sorted(self.secrets, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def text(self, text: str) -> str:
        """``text`` with secrets and folders replaced by what they are called."""
        parts = _BASE64.split(text)
        parts[::2] = [self._plain(part) for part in parts[::2]]
        return "".join(parts)

    def value(self, value: Any) -> Any:
        """Every text in ``value``, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return type(value)({self.text(key): self.value(one) for key, one in value.items()})
        return [self.value(one) for one in value] if isinstance(value, (list, tuple)) else value

    def notebook(self, node: Any) -> None:
        """Scrubs an executed notebook in place: outputs, sources and metadata.

        papermill's metadata goes (it holds absolute paths and a status that is always
        ``completed``), and widgets become text.
        """
        static_twins(node)
        node.cells = [cell for cell in node.cells if _MARKER not in cell.metadata.get("tags", [])]
        node.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            **{
                key: self.value(value)
                for key, value in node.metadata.items()
                if key in ("language_info", "workbench", "title")
            },
        }
        for cell in node.cells:
            cell.source = self.text(cell.source)
            tags = cell.metadata.get("tags")
            cell.metadata = {"tags": tags} if tags else {}
            for output in cell.get("outputs", []):
                self._output(output)

    def _output(self, output: Any) -> None:
        for key in ("text", "ename", "evalue", "traceback"):
            if key in output:
                output[key] = self.value(output[key])
        data = output.get("data", {})
        for mimetype in data:
            if mimetype == "image/svg+xml" or not mimetype.startswith(_BINARY):
                data[mimetype] = self.value(data[mimetype])
        if "metadata" in output:
            output["metadata"] = self.value(output["metadata"])

    def _plain(self, text: str) -> str:
        def secret(match: re.Match[str]) -> str:
            name = self.secrets[match[0]]
            self.found[f"secret {name}"] += 1
            return f"[secret {name}]"

        def folder(match: re.Match[str]) -> str:
            self.found["folders of this machine"] += 1
            return match[1] + self.folders[match[2]]

        return self._folders.sub(folder, self._secrets.sub(secret, text))
