"""``workbench optimizations``: all switches, and what each would do here."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "optimizations",
        help="list the optimizations, or explain one",
        description="Lists every optimization with its promise about the sound, what it needs, and "
        "whether it works here.\nWith NAME: what it does, why, when not, and where it comes from.",
        epilog="examples:\n"
        "  workbench optimizations\n"
        "  workbench optimizations tf32\n"
        "  workbench optimizations --device cpu --json | tail -n 1 | python -m json.tool\n"
        '  workbench speak "good morning" --optimizations frame_step,true_streaming,bf16\n',
    )
    command.add_argument("name", nargs="?", metavar="NAME", help="explain this one")
    command.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Lists or explains; exit code 2 for an unknown name."""
    from workbench.engines.load import device_called
    from workbench.optimizations import PRESETS, all_switches, switch
    from workbench.optimizations.site import site_of

    site = site_of(device_called(options.device))
    if options.name is not None:
        if options.name in PRESETS:
            raise InputError(
                f"{options.name} is a preset: {', '.join(PRESETS[options.name])}",
                "name one of these",
            )
        chosen = [switch(options.name)]
    else:
        chosen = all_switches()
    rows = [_row(one, site) for one in chosen]
    summary: dict[str, Any] = {
        "optimizations": rows,
        "presets": {name: list(used) for name, used in PRESETS.items()},
        "device": site.device,
    }
    if not options.json:
        if options.name is None:
            _list(rows, site.device)
            for name, used in PRESETS.items():
                print(f"\npreset {name}: {', '.join(used)}")
        else:
            _explain(chosen[0].guide, rows[0])
    return summary, 0


def _row(one: Any, site: Any) -> dict[str, Any]:
    from workbench.optimizations.registry import Choice

    reason = Choice(one).unsupported(site)
    return {
        "name": one.name,
        "summary": one.summary,
        "contract": str(one.contract),
        "where": one.where,
        "values": list(one.values),
        "requires": list(one.requires),
        "conflicts": list(one.conflicts),
        "part_of": one.part_of,
        "workload": one.workload,
        "metric": one.metric,
        "variable": one.variable,
        "works_here": not reason,
        "reason": reason,
        "guide": one.guide,
    }


def _list(rows: list[dict[str, Any]], device: str) -> None:
    width = max(len(row["name"]) for row in rows)
    summary = max(len(row["summary"]) for row in rows)
    contract = max(len(row["contract"]) for row in rows)
    print(f"on {device}; + works here, - doesn't\n")
    for row in rows:
        sign = "+" if row["works_here"] else "-"
        print(
            f"{sign} {row['name']:{width}}  {row['summary']:{summary}}  "
            f"{row['contract']:{contract}}  {_notes(row)}".rstrip()
        )


def _notes(row: dict[str, Any]) -> str:
    notes = [row["reason"]] if row["reason"] else []
    if row["requires"]:
        notes.append(f"needs {', '.join(row['requires'])}")
    if row["part_of"]:
        notes.append(f"part of {row['part_of']}")
    return "; ".join(notes)


def _explain(guide: str, row: dict[str, Any]) -> None:
    print(f"{row['name']}: {row['summary']}\n\n{guide}\n")
    for label, found in (
        ("values", row["values"]),
        ("needs", row["requires"]),
        ("excludes", row["conflicts"]),
    ):
        if found:
            print(f"{label}: {', '.join(found)}")
    print(f"shows in: {row['metric']}")
    print(f"kept off by: {row['variable']}=0")
    print(f"here: {'works' if row['works_here'] else row['reason']}")
