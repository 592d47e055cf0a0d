"""What `speak` chooses and says, as a notebook shows it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from matplotlib.figure import Figure

from workbench.engines.house import ALWAYS_THERE, House
from workbench.engines.speak import CHAINS, FellBack, Mode, Spoken, plan, speak
from workbench.errors import InputError
from workbench.lab.style import PALETTE, figure, styled


def engine_rows(house: House | None = None) -> list[dict[str, Any]]:
    """A row for each engine that `speak` knows: whether it can be had, and why not."""
    house = house or House()
    engines = [*(chain[0] for chain in CHAINS.values()), ALWAYS_THERE]
    modes = {name: [mode for mode, chain in CHAINS.items() if chain[0] == name] for name in engines}
    rows = []
    for name in engines:
        missing = house.missing(name)
        rows.append(
            {
                "engine": name,
                "speaks for": ", ".join(modes[name]) or "whoever is missing",
                "there": not missing,
                "why not": missing or None,
            }
        )
    return rows


def plan_rows(
    texts: Sequence[str], modes: Sequence[str], prompted: bool, house: House | None = None
) -> list[dict[str, Any]]:
    """Who would speak each text in each mode, and why."""
    rows = []
    for text in texts:
        for mode in modes:
            found = plan(text, _mode(mode), prompted, house)
            rows.append(
                {
                    "text": text,
                    "asked": mode,
                    "mode": found.choice.mode,
                    "engine": found.engine,
                    "why": "; ".join((*found.choice.reasons, *found.fallbacks)),
                }
            )
    return rows


def speak_all(
    texts: Sequence[str],
    modes: Sequence[str],
    prompt: str | None = None,
    prompt_text: str = "",
    seed: int = 0,
    house: House | None = None,
) -> dict[str, Spoken]:
    """Each text in each mode, by a label that says the mode and who spoke."""
    if not texts or not modes:
        raise InputError("no texts or no modes", "pass at least one of each")
    spoken: dict[str, Spoken] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FellBack)  # the tables and labels say it
        for number, text in enumerate(texts, start=1):
            for mode in modes:
                one = speak(
                    text, _mode(mode), prompt, prompt_text=prompt_text, seed=seed, house=house
                )
                spoken[f"text {number}, {mode}: {one.engine}"] = one
    return spoken


def spoken_rows(spoken: Mapping[str, Spoken]) -> list[dict[str, Any]]:
    """Who spoke, how fast, and why."""
    return [
        {
            "take": label,
            "engine": one.engine,
            "audio (s)": one.speech.duration_s,
            "RTF": one.speech.rtf,
            "why": "; ".join((*one.reasons, *one.fallbacks)),
        }
        for label, one in spoken.items()
    ]


def told(spoken: Mapping[str, Spoken]) -> bool:
    """Whether each take that its mode's own engine didn't speak says why."""
    return all(one.fallbacks for one in spoken.values() if one.engine != CHAINS[one.mode][0])


def finding(spoken: Mapping[str, Spoken]) -> str:
    """Who spoke, in one sentence."""
    engines = [one.engine for one in spoken.values()]
    shares = [f"{name} {engines.count(name)}" for name in dict.fromkeys(engines)]
    return f"Of {len(engines)} takes, {', '.join(shares)}"


@styled
def share_figure(spoken: Mapping[str, Spoken], title: str) -> Figure:
    """Takes by the mode that was asked for, stacked by engine."""
    modes = list(dict.fromkeys(one.asked for one in spoken.values()))
    engines = list(dict.fromkeys(one.engine for one in spoken.values()))
    drawn, (axes,) = figure(title, f"{len(spoken)} takes", height_in=0.9 + 0.4 * len(modes))
    left = [0] * len(modes)
    for index, engine in enumerate(engines):
        counts = [
            sum(one.asked == mode and one.engine == engine for one in spoken.values())
            for mode in modes
        ]
        color = PALETTE[index % len(PALETTE)]
        axes.barh(range(len(modes)), counts, left=left, color=color, height=0.6, label=engine)
        left = [before + count for before, count in zip(left, counts, strict=True)]
    axes.set_yticks(range(len(modes)), modes)
    axes.invert_yaxis()
    axes.set_xticks(range(max(left) + 1))
    axes.set_xlabel("takes (number)")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)
    return drawn


def verdict(spoken: Mapping[str, Spoken]) -> str:
    """Which mode was spoken by whom, and which engine was missing."""
    pairs = dict.fromkeys(f"{one.asked} by {one.engine}" for one in spoken.values())
    words = f"Spoken: {', '.join(pairs)}."
    fallbacks = dict.fromkeys(words for one in spoken.values() for words in one.fallbacks)
    if fallbacks:
        words += f" Fell back: {'; '.join(fallbacks)}."
    elif all(one.engine != ALWAYS_THERE for one in spoken.values()):
        words += " Every engine that was wanted was there."
    return words


def _mode(name: str) -> Mode:
    return cast(Mode, name)  # `speak` checks it
