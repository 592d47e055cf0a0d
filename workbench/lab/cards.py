"""The environment card: on what machine and with what software the figures below were made."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from workbench.hardware.fingerprint import fingerprint, label
from workbench.lab.display import Rich

_GIB = 2**30
_BUSY = 1.5  # load per core above which something else surely ran as well


def environment_card(environment: Mapping[str, Any] | None = None) -> Rich:
    """``environment`` as ``hardware.fingerprint`` gives it, by default of here and now."""
    environment = dict(environment or fingerprint())
    rows = _rows(environment)
    title = label(environment)
    # JupyterLab floats dt and dd into two columns of fixed width: say what they should be here.
    plain = "float:none;width:auto;margin:0;padding:0;font-weight:normal"
    entries = "".join(
        f'<div style="margin:0 1.6em .4em 0"><dt style="{plain};opacity:.7;font-size:.85em">'
        f'{html.escape(name)}</dt><dd style="{plain}">{html.escape(value)}</dd></div>'
        for name, value in rows.items()
    )
    warning = _warning(environment)
    note = f'<p style="margin:.3em 0 0">⚠ {html.escape(warning)}</p>' if warning else ""
    card = (
        '<section aria-label="environment" style="border:1px solid rgba(128,128,128,.4);'
        'border-radius:.5em;padding:.7em 1em;margin:.6em 0;max-width:54em">'
        f"<strong>{html.escape(title)}</strong>"
        f'<dl style="display:flex;flex-wrap:wrap;margin:.5em 0 0">{entries}</dl>{note}</section>'
    )
    lines = [title, *(f"  {name}: {value}" for name, value in rows.items())]
    return Rich(card, "\n".join(lines + ([f"  ! {warning}"] if warning else [])))


def _rows(environment: Mapping[str, Any]) -> dict[str, str]:
    cpu, libraries = environment["cpu"], environment["libraries"]
    rows = {
        "Processor": f"{cpu['model']}, {cpu['usable_cores']} usable cores, "
        f"torch on {cpu['torch_threads']} thread{'' if cpu['torch_threads'] == 1 else 's'}",
        "Instructions": ", ".join(cpu["instructions"] or []) or "not reported",
        "Memory": _gib(environment["memory"]["total_bytes"]),
        "GPU": "; ".join(map(_gpu, environment["gpus"])) or "none",
    }
    if environment["driver"]:
        rows["Driver"] = str(environment["driver"])
    cuda = f", CUDA {libraries['cuda']}" if libraries["cuda"] else ""
    system = environment["os"]
    rows |= {
        "PyTorch": f"{libraries['torch']}{cuda}",
        "transformers": str(libraries["transformers"]),
        "Python": str(environment["python"]["version"]),
        "System": f"{system['system']} {system['architecture']}",
        "Workbench": _revision(environment["workbench"]),
        "Load": _load(environment),
    }
    return rows


def _gpu(gpu: Mapping[str, Any]) -> str:
    parts = [str(gpu["name"]), _gib(gpu["memory_bytes"])]
    if gpu["compute_capability"]:
        parts.append(f"compute capability {gpu['compute_capability']}")
    if gpu["power_limit_w"]:
        parts.append(f"{gpu['power_limit_w']:.0f} W limit")
    return ", ".join(parts)


def _gib(size_bytes: int | None) -> str:
    return "not reported" if size_bytes is None else f"{size_bytes / _GIB:.1f} GiB"


def _revision(workbench: Mapping[str, Any]) -> str:
    revision = workbench["git_revision"]
    if not revision:
        return str(workbench["version"])
    changed = " with uncommitted changes" if workbench["git_dirty"] else ""
    return f"{workbench['version']}, commit {revision[:10]}{changed}"


def _load(environment: Mapping[str, Any]) -> str:
    average = environment["load"]["average"]
    return f"{average[0]:.1f} over the last minute" if average else "not reported"


def _warning(environment: Mapping[str, Any]) -> str:
    average = environment["load"]["average"]
    cores = environment["cpu"]["usable_cores"] or 1
    if not average or average[0] <= _BUSY * cores:
        return ""
    return (
        f"{average[0]:.1f} tasks share {cores} cores: times below are longer than on a machine "
        "at rest, ratios of interleaved trials hold"
    )
