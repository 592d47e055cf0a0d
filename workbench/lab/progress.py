"""Words about long work, in one line that is replaced: in JupyterLab, a terminal, a batch's log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from tqdm import tqdm


def passing(title: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A bar that counts what passes: ``wrap=lab.passing("speaking")``; it goes at the end."""
    return lambda items: tqdm(items, desc=title, leave=False, file=sys.stderr)


class Progress:
    """``with lab.Progress("ablation") as say: run_ablation(…, say)``; the line goes at the end."""

    def __init__(self, title: str) -> None:
        self._bar = tqdm(
            bar_format="{desc} [{elapsed}]", desc=title, leave=False, file=sys.stderr, mininterval=0
        )
        self._title = title

    def __call__(self, words: str) -> None:
        """Shows ``words`` in place of what stood there."""
        self._bar.set_description_str(f"{self._title}: {words}"[:150])

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
