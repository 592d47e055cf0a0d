"""One notebook through papermill, in a fresh kernel of this very interpreter."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.measure.record import Failure
from workbench.runner.notebook import Notebook

KERNEL = "workbench"
START_TIMEOUT_S = 120
_QUIETLY = ("--HistoryManager.enabled=False", "--IPKernelApp.log_level=CRITICAL")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK_LINES = 14


@dataclass(frozen=True)
class Execution:
    """What came of it: the executed notebook as far as it got, and why it stopped early."""

    output: Path
    duration_s: float
    failure: Failure | None


def execute(
    notebook: Notebook,
    parameters: dict[str, Any],
    work: Path,
    *,
    timeout_s: float,
    on_cell: Callable[[str], None],
) -> Execution:
    """Runs ``notebook`` into the folder ``work``, where its record and files go too.

    An exception in a cell, a dead kernel and a time-out become the execution's failure;
    KeyboardInterrupt stops the kernel and goes on.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    output = work / f"{notebook.name}.ipynb"
    started = time.perf_counter()
    deadline = started + timeout_s

    def on_cell_start(cell: Any, cell_index: int) -> None:
        if cell.cell_type == "code" and cell.source.strip():
            on_cell(cell.source)

    failure = None
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with _kernel(notebook, work):
        try:
            papermill.execute_notebook(
                notebook.path,
                output,
                parameters,
                kernel_name=KERNEL,
                language="python",
                cwd=notebook.path.parent,
                progress_bar=False,
                start_timeout=START_TIMEOUT_S,
                timeout_func=lambda cell: max(1, round(deadline - time.perf_counter())),
                on_cell_start=on_cell_start,
                coalesce_streams=True,
            )
        except KeyboardInterrupt:
            _forget_running_cell()
            raise
        except PapermillExecutionError as problem:
            failure = Failure(problem.ename, _plain(problem.evalue), _short(problem.traceback))
        except CellTimeoutError:
            failure = Failure(
                "Timeout",
                f"the notebook took longer than its limit of {timeout_s:g} s",
                "Give it more time with metadata.workbench.timeout_s, or less to do.",
            )
        except DeadKernelError:
            failure = Failure(
                "DeadKernel",
                "the kernel died",
                "Out of memory, or a crash in native code. The terminal may tell more.",
            )
        except Exception as problem:
            failure = Failure(type(problem).__name__, _plain(str(problem)) or "no message")
    return Execution(output, time.perf_counter() - started, failure)


@contextlib.contextmanager
def _kernel(notebook: Notebook, work: Path) -> Iterator[None]:
    """A kernelspec of our own, so that the notebook runs on this interpreter and imports this
    very package, whatever kernels are installed; nothing is read from or left in the home folder.
    """
    home = work / "jupyter"
    spec = home / "kernels" / KERNEL / "kernel.json"
    spec.parent.mkdir(parents=True)
    package_root = str(Path(__file__).resolve().parents[2])
    search_path = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    interpreter = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    content = {
        "argv": [
            *interpreter,
            "--HistoryManager.enabled=False",
            "--IPKernelApp.log_level=CRITICAL",
        ],
        "display_name": "workbench",
        "language": "python",
        "env": {
            "WORKBENCH_RECORD": str(work / f"{notebook.name}.record.json"),
            "PYTHONPATH": os.pathsep.join(search_path),
            "IPYTHONDIR": str(home / "ipython"),
        },
    }
    spec.write_text(json.dumps(content), encoding="utf-8")
    theirs = {"JUPYTER_PATH": str(home), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    before = {name: os.environ.get(name) for name in theirs}
    os.environ.update(theirs)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _forget_running_cell() -> None:
    """Keeps asyncio from reporting, at some later time, that nobody waited for the cell."""
    from jupyter_core.utils import ensure_event_loop

    ensure_event_loop().set_exception_handler(lambda loop, context: None)


def _plain(text: str) -> str:
    return _ANSI.sub("", text).strip()


def _short(traceback: list[str]) -> str:
    """The last lines of a traceback, without colours."""
    lines = _plain("\n".join(traceback)).splitlines()
    cut = ["…"] if len(lines) > _TRACEBACK_LINES else []
    return "\n".join(cut + lines[-_TRACEBACK_LINES:])
