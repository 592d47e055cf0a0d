"""The table of all switches, as docs/optimizations.md has it."""

from __future__ import annotations

from workbench.optimizations.registry import all_switches


def markdown_table() -> str:
    """Name, summary, contract, the figure it shows in, and where it works; a line a switch."""
    lines = [
        "| switch | what | promise about the sound | shows in | works on |",
        "|---|---|---|---|---|",
    ]
    for one in all_switches():
        values = f" (`{'`, `'.join(one.values)}`)" if one.values else ""
        lines.append(
            f"| `{one.name}`{values} | {one.summary} | {one.contract} | `{one.metric}` "
            f"| {one.where} |"
        )
    return "\n".join(lines)
