"""Everything that only a GPU can answer, in one command of a few minutes.

    python3 -m workbench.studies.gpu_suite --out DIR        # make gpu-suite OUT=DIR

It runs from the source tree with PyTorch, transformers, NumPy and pytest, and nothing else: what
is missing is skipped by name. Each step is a process with a time limit of its own, so that one that
hangs or dies costs itself only. All results are in one file, ``suite.json``, to be committed under
``data/reference/<gpu>/``; ``suite.log`` has what the steps printed. ``--dry-run`` goes through the
same steps on the CPU at toy size.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.errors import InputError
from workbench.files import write_json, write_text
from workbench.studies.gpu_steps import ROOT, Step, steps

BUDGET_S = 520.0
_LOG_CHARS = 20_000  # of each step's output

Status = Literal["ok", "failed", "timed out", "skipped"]


@dataclass(frozen=True)
class Result:
    """How a step went: its ``figures`` (its last line), or the ``reason`` why it has none."""

    name: str
    status: Status
    duration_s: float
    figures: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def run_suite(
    out: Path, *, dry: bool = False, train_s: float = 0.0, budget_s: float = BUDGET_S
) -> list[Result]:
    """Runs all steps and writes ``suite.json`` and ``suite.log`` after each into ``out``.

    Raises InputError where there is no CUDA GPU, unless ``dry``.
    """
    if not dry and not _has_gpu():
        raise InputError(
            "PyTorch sees no CUDA GPU here", "run it where there is one, or with --dry-run"
        )
    started = time.monotonic()
    results: list[Result] = []
    logs: list[str] = []
    for step in steps(dry=dry, train_s=train_s):
        left_s = budget_s - (time.monotonic() - started)
        print(f"{step.name} …", file=sys.stderr, flush=True)
        result, log = _run(step, left_s)
        results.append(result)
        logs.append(f"===== {step.name}: {result.status} =====\n{log[-_LOG_CHARS:]}\n")
        write_json(
            out / "suite.json",
            {"dry_run": dry, "steps": [asdict(one) for one in results]},
        )
        write_text(out / "suite.log", "\n".join(logs))
    return results


def table(results: Sequence[Result]) -> str:
    """One short line for each step."""
    lines = []
    for one in results:
        told = one.reason or _headline(one.figures)
        lines.append(f"{one.name:<14} {one.status:<10} {one.duration_s:6.1f} s  {told}"[:150])
    return "\n".join(lines)


def _headline(figures: dict[str, Any]) -> str:
    keys = ("gpu", "native", "passed", "failed", "skipped", "error", "speedup", "ttfa_speedup",
            "codes_equal", "percent_of_roofline", "largest_in_real_time", "best")  # fmt: skip
    words = []
    for key in keys:
        value = figures.get(key)
        if value is not None:
            words.append(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}")
    return ", ".join(words)


def _run(step: Step, left_s: float) -> tuple[Result, str]:
    missing = [name for name in step.programs if shutil.which(name) is None]
    missing += [name for name in step.modules if not _importable(name)]
    if missing:
        return Result(step.name, "skipped", 0.0, reason=f"no {', '.join(missing)} here"), ""
    if left_s < 10:
        return Result(step.name, "skipped", 0.0, reason="the time was spent"), ""
    begin = time.monotonic()
    limit_s = min(step.limit_s, left_s)
    process = subprocess.Popen(
        step.command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"},
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
        late = False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        output, _ = process.communicate()
        late = True
    duration_s = round(time.monotonic() - begin, 1)
    figures = _figures(output)
    if late:
        reason = f"stopped after {limit_s:.0f} s"
        return Result(step.name, "timed out", duration_s, figures, reason), output
    if "skipped_because" in figures:
        return Result(step.name, "skipped", duration_s, {}, figures["skipped_because"]), output
    if process.returncode == step.skips_on:
        reason = str(figures.get("error", "it says so"))
        return Result(step.name, "skipped", duration_s, {}, reason), output
    if step.skips_saying and step.skips_saying in output:
        return Result(step.name, "skipped", duration_s, {}, step.skips_saying), output
    # pytest: 5 says that it found no test, 1 also that a test's module lacks something to import.
    if process.returncode in (0, 5) or (process.returncode == 1 and _only_unmet(figures, output)):
        return Result(step.name, "ok", duration_s, figures), output
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    reason = str(figures.get("error", last))[:200] if not figures.get("passed") else ""
    return Result(step.name, "failed", duration_s, figures, reason), output


def _only_unmet(figures: dict[str, Any], output: str) -> bool:
    """Whether tests passed, and all that went wrong is modules without what they import."""
    report, _, summary = output.rpartition("short test summary info")
    errors = re.findall(r"^ERROR (\S+)", summary, re.MULTILINE)
    sections = re.split(r"ERROR collecting (\S+)", report)
    lacking = {
        name
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
        if "ModuleNotFoundError" in text
    }
    # The summary's paths start at the working folder, the sections' at pytest's root.
    unmet = [path for path in errors if any(path.endswith(name) for name in lacking)]
    passed = bool(figures.get("passed")) and not figures.get("failed")
    return passed and len(errors) == len(unmet) == figures.get("error", 0)


def _figures(output: str) -> dict[str, Any]:
    """The JSON object of the last line, or pytest's counts."""
    lines = [line for line in output.splitlines() if line.strip()]
    if lines and lines[-1].startswith("{"):
        try:
            found: dict[str, Any] = json.loads(lines[-1])
        except ValueError:
            return {}
        return found
    counts = re.findall(
        r"(\d+) (passed|failed|skipped|error|deselected)", lines[-1] if lines else ""
    )
    return {name: int(count) for count, name in counts}


def _importable(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the suite; exit code 1 where a step failed."""
    parser = argparse.ArgumentParser(prog="gpu-suite", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, at toy size")
    parser.add_argument("--train-s", type=float, default=0.0, help="seconds of nano training")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="for all steps together")
    options = parser.parse_args(arguments)
    try:
        results = run_suite(
            options.out,
            dry=options.dry_run,
            train_s=options.train_s,
            budget_s=options.budget_s,
        )
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    print(table(results))
    return int(any(one.status in ("failed", "timed out") for one in results))


if __name__ == "__main__":
    sys.exit(main())
