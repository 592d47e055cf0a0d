"""One row of the table of checks, and how a check is run so that it can't harm the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warning", "failed", "absent"]


@dataclass(frozen=True)
class Check:
    """What was found, whether that is good, what to do about it, and why it matters.

    ``absent`` means "not on this machine": nothing is wrong, something could be gained.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""  # empty where there is nothing to do
    why: str = ""

    def to_dict(self) -> dict[str, str]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class Inquiry:
    """A check yet to be run: ``ask`` returns (status, found, remedy)."""

    name: str
    why: str
    ask: Callable[[], tuple[Status, str, str]]

    def run(self) -> Check:
        """The check's row; an exception becomes a failed row with its message."""
        try:
            status, found, remedy = self.ask()
        except Exception as problem:
            message = f"{type(problem).__name__}: {problem}".strip().splitlines()[0]
            return Check(
                self.name, "failed", f"the check itself failed: {message}",
                "please report this with `workbench hardware --json`", self.why,
            )  # fmt: skip
        return Check(self.name, status, found, remedy, self.why)


@dataclass(frozen=True)
class Outcome:
    """How a program ended: its code (None after the time limit), its output, its time."""

    code: int | None
    stdout: str
    stderr: str
    took_s: float


def run_apart(program: list[str], limit_s: float, **environment: str) -> Outcome:
    """Runs ``program`` in a process of its own, ended with its children after ``limit_s``.

    For whatever may hang, or leave a process or a GPU context unusable.
    """
    begin = time.perf_counter()
    child = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", env={**os.environ, **environment},
        start_new_session=True,
    )  # fmt: skip
    code: int | None
    try:
        stdout, stderr = child.communicate(timeout=limit_s)
        code = child.returncode
    except subprocess.TimeoutExpired:
        _end(child)
        stdout, stderr = child.communicate()
        code = None
    except BaseException:  # Ctrl-C: the child must not outlive us
        _end(child)
        child.wait()
        raise
    return Outcome(code, stdout, stderr, time.perf_counter() - begin)


def run_probe(name: str, device: str, limit_s: float, **environment: str) -> Outcome:
    """Runs one of ``workbench.hardware.probes`` in a process of its own."""
    program = [sys.executable, "-m", "workbench.hardware.probes", name, device]
    return run_apart(program, limit_s, **environment)


def last_line(text: str) -> str:
    """The last line with something on it: where a traceback says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def size(nbytes: float) -> str:
    """12.3 GB; bytes in units of 10⁹ or 10⁶."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"


def _end(child: subprocess.Popen[Any]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)  # its compiler processes too
    else:
        child.kill()
