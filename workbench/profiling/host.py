"""The host's side: in which Python functions a request spends its time, by sampling.

pyinstrument looks at the stack every half millisecond, so it slows a request down far less than
torch.profiler with stacks; waiting for a GPU counts to the function that waits.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.files import write_text

INTERVAL_S = 0.0005


@dataclass(frozen=True)
class FunctionRow:
    """One Python function: the time in it without what it calls, in ms for each request."""

    function: str
    where: str  # file within its package, and line
    self_ms: float
    share: float


@dataclass(frozen=True)
class HostProfile:
    """What was sampled, and where the reports lie. ``requests`` took ``took_ms`` together."""

    requests: int
    took_ms: float
    samples: int
    functions: tuple[FunctionRow, ...]
    html_path: Path
    json_path: Path
    text_path: Path

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The ``count`` functions with most time of their own, as a table shows them."""
        return [
            {
                "function": row.function,
                "own time (ms/request)": row.self_ms,
                "share (%)": 100 * row.share,
                "where": row.where,
            }
            for row in self.functions[:count]
        ]


def host_profile(
    request: Callable[[], Any], out: Path | str, *, requests: int = 3, name: str = "host"
) -> HostProfile:
    """Samples ``requests`` runs of ``request``; writes ``name``.html, .json and .txt into ``out``.

    Raises InputError where another pyinstrument profiler runs in this thread already.
    """
    from pyinstrument import Profiler
    from pyinstrument.renderers import JSONRenderer

    if requests < 1:
        raise InputError(f"{requests} requests", "sample at least one")
    profiler = Profiler(interval=INTERVAL_S)
    gc.collect()
    started = time.perf_counter()
    try:
        profiler.start(target_description=f"{requests} × {name}")
        try:
            for _ in range(requests):
                request()
        finally:
            profiler.stop()
    except RuntimeError as problem:
        if "profiler" not in str(problem):
            raise
        raise InputError(
            f"pyinstrument can't start: {problem}", "stop the profiler that runs already"
        ) from problem
    took_ms = (time.perf_counter() - started) * 1000
    session = profiler.last_session
    if session is None:
        raise InputError("pyinstrument took no sample", "profile a longer request")
    folders = [*session.sys_path, *session.sys_prefixes]
    paths = {suffix: Path(out) / f"{name}.{suffix}" for suffix in ("html", "json", "txt")}
    reports = {
        "html": profiler.output_html(),
        "json": profiler.output(JSONRenderer()),
        "txt": profiler.output_text(unicode=True, color=False),
    }
    for suffix, text in reports.items():
        write_text(paths[suffix], _without_folders(text, folders))
    root = session.root_frame()
    return HostProfile(
        requests=requests,
        took_ms=took_ms,
        samples=session.sample_count,
        functions=tuple(_functions(root, requests)) if root else (),
        html_path=paths["html"],
        json_path=paths["json"],
        text_path=paths["txt"],
    )


def _functions(root: Any, requests: int) -> Iterator[FunctionRow]:
    """All functions, the one with most time of its own first."""
    times: dict[tuple[str, str], float] = {}
    stack = [root]
    while stack:
        frame = stack.pop()
        stack += frame.children
        if frame.is_synthetic or frame.total_self_time <= 0:
            continue
        place = f"{frame.file_path_short}:{frame.line_no}" if frame.line_no else "built in"
        key = (frame.function, place)
        times[key] = times.get(key, 0.0) + frame.total_self_time
    total = sum(times.values()) or 1.0
    for (function, where), seconds in sorted(times.items(), key=lambda item: -item[1]):
        yield FunctionRow(function, where, seconds * 1000 / requests, seconds / total)


def _without_folders(text: str, folders: Sequence[str]) -> str:
    """``text`` with paths from where their package begins: reports are shown to others."""
    for folder in sorted(filter(None, folders), key=len, reverse=True):
        text = text.replace(f"{folder}/", "").replace(f'"{folder}"', '""')
    return text
