"""Notebooks: finding them by name, and what their metadata and parameters cell say.

Metadata ``workbench`` of a notebook may hold ``tour`` (part of the short tour that runs when no
notebook is named), ``smoke`` (parameters for a quick run) and ``timeout_s``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat

from workbench.errors import InputError
from workbench.paths import notebooks_dir
from workbench.runner.parameters import Parameter, parameters_in

DEFAULT_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Notebook:
    """A notebook on disk, with what the runner needs to know before it runs."""

    path: Path
    title: str
    parameters: dict[str, Parameter]
    sha256: str
    cells: int
    tour: bool = False
    smoke: dict[str, Any] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    variant: str = ""

    @property
    def name(self) -> str:
        """What outputs are called: the file's name without suffix, then the variant, if any."""
        return f"{self.path.stem}-{self.variant}" if self.variant else self.path.stem

    def varied(self, value: Any) -> Notebook:
        """The same notebook as the variant for one ``value`` of a swept parameter."""
        slug = re.sub(r"[^\w.]+", "-", str(value)).strip("-.") or "value"
        return replace(self, variant=slug, title=f"{self.title}: {value}")

    @staticmethod
    def read(path: Path) -> Notebook:
        """The notebook at ``path``; InputError where it isn't one, or isn't well-formed."""
        try:
            node = nbformat.read(path, as_version=4)
        except (OSError, ValueError, nbformat.reader.NotJSONError, AttributeError) as problem:
            raise InputError(
                f"{path.name} can't be read as a notebook: {problem}", "open it in JupyterLab"
            ) from problem
        cells = [(cell.cell_type, cell.source) for cell in node.cells]
        metadata = node.metadata.get("workbench", {})
        parameters_cells = [
            cell.source for cell in node.cells if "parameters" in cell.metadata.get("tags", [])
        ]
        parameters = parameters_in(parameters_cells[0], path.name) if parameters_cells else {}
        heading = re.search(
            r"^# +(.+)$", "\n".join(text for kind, text in cells if kind == "markdown"), re.M
        )
        smoke = dict(metadata.get("smoke", {}))
        unknown = sorted(set(smoke) - set(parameters))
        if unknown:
            raise InputError(
                f"{path.name}: its smoke parameters name {', '.join(unknown)}",
                "metadata.workbench.smoke may hold only names of its parameters cell",
            )
        return Notebook(
            path=path.resolve(),
            title=heading[1].strip() if heading else path.stem,
            parameters=parameters,
            sha256=hashlib.sha256(json.dumps(cells).encode()).hexdigest(),
            cells=sum(1 for kind, text in cells if kind == "code" and text.strip()),
            tour=bool(metadata.get("tour", False)),
            smoke=smoke,
            timeout_s=float(metadata.get("timeout_s", DEFAULT_TIMEOUT_S)),
        )


def find(names: list[str] | None = None, *, all: bool = False) -> list[Notebook]:
    """The notebooks called ``names`` (name, number such as ``10``, or path); without names the
    tour, or with ``all`` every one. In the order of their names, or as given.
    """
    if names:
        chosen = [Notebook.read(path) for path in dict.fromkeys(map(_locate, names))]
        stems = [notebook.name for notebook in chosen]
        twice = sorted({stem for stem in stems if stems.count(stem) > 1})
        if twice:
            raise InputError(
                f"two notebooks are called {', '.join(twice)}", "run them into different folders"
            )
        return chosen
    shipped = [Notebook.read(path) for path in _shipped()]
    chosen = [notebook for notebook in shipped if all or notebook.tour]
    if not chosen:
        raise InputError("there is no notebook to run", "name one, or use --all")
    return chosen


def _shipped() -> list[Path]:
    return sorted(notebooks_dir().glob("*.ipynb"))


def _locate(name: str) -> Path:
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    stem = path.name.removesuffix(".ipynb")
    shipped = _shipped() if path.parent == Path() else []
    matches = [one for one in shipped if one.stem == stem] or [
        one for one in shipped if one.stem.split("_")[0] == stem
    ]
    if len(matches) == 1:
        return matches[0]
    known = ", ".join(one.stem for one in _shipped()) or "none yet"
    raise InputError(
        f"{name!r} names {len(matches)} notebooks" if matches else f"no notebook {name!r}",
        f"there are: {known}; a number such as 10 or a path works too",
    )
