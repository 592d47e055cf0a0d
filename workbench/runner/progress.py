"""Progress of a batch: a bar in a terminal, one line per cell in a log file."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from tqdm import tqdm

from workbench.runner.notebook import Notebook

STILL_RUNNING_S = 60.0  # a log file hears at least this often from a long cell
_MARKS = {"ok": "✓", "failed": "✗"}


class Progress:
    """Says on standard error which notebook and which of its cells is running."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._index = 0
        self._cell = 0
        self._cells = 0
        self._name = ""
        self._started = 0.0
        self._bar: Any = None
        self._over = threading.Event()

    def say(self, text: str) -> None:
        """One line, without disturbing the bar."""
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()

    def start(self, notebook: Notebook, cells: int) -> None:
        """A notebook of ``cells`` code cells begins."""
        self._index += 1
        self._name, self._cell, self._cells = notebook.name, 0, cells
        self._started = time.perf_counter()
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=cells,
                desc=f"[{self._index}/{self.total}] {notebook.name}",
                bar_format="{desc} {bar:20} cell {n_fmt}/{total_fmt} {elapsed}{postfix}",
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
            )
        else:
            self.say(f"[{self._index}/{self.total}] {notebook.name}: {notebook.title}")
        self._over = threading.Event()
        threading.Thread(target=self._keep_saying, args=(self._over,), daemon=True).start()

    def skip(self, name: str, why: str) -> None:
        """A notebook doesn't run, since an earlier result holds."""
        self._index += 1
        self.say(f"[{self._index}/{self.total}] {name}: skipped, {why}")

    def cell(self, source: str) -> None:
        """A code cell begins."""
        lines = [line for line in source.splitlines() if line.strip()]
        code = [line for line in lines if not line.lstrip().startswith(("#", "%"))]
        first = (code or lines or [""])[0].strip()
        first = first if len(first) <= 60 else first[:59] + "…"
        if self._bar is not None:
            self._bar.set_postfix_str(first, refresh=False)
            self._bar.update(1 if self._cell else 0)
            self._bar.refresh()
        else:
            elapsed = time.perf_counter() - self._started
            self.say(f"    cell {self._cell + 1:>2} of {self._cells}  {elapsed:6.1f} s  {first}")
        self._cell += 1

    def end(self, status: str, seconds: float, summary: str) -> None:
        """The notebook is over; ``summary`` is its verdict or its error."""
        self.stop()
        mark = _MARKS.get(status, "·")
        self.say(f"{mark} {self._name}: {status} in {seconds:.1f} s. {summary}")

    def stop(self) -> None:
        """Takes the bar away."""
        self._over.set()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _keep_saying(self, over: threading.Event) -> None:
        """Keeps the clock going while a cell takes long."""
        while not over.wait(STILL_RUNNING_S if self._bar is None else 1.0):
            if self._bar is not None:
                self._bar.refresh()
            else:
                elapsed = time.perf_counter() - self._started
                self.say(f"    still in cell {self._cell} of {self._cells}  {elapsed:6.1f} s")
