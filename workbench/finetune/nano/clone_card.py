"""What the cards say of models that clone: the voices added, and what came of it."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from workbench.finetune.nano.speech import HELD_OUT_SPEEDS, NEW_SPEEDS, VOICES

PARENTS = fill(
    "Both models went on from finished ones (`workbench train nano --cloning`), whose cards tell "
    "how those were made. Codec and language model were trained further, on new speech: two thirds "
    f"of it is of {len(VOICES) * len(NEW_SPEEDS)} voices without an id, flite's four played "
    f"{min(NEW_SPEEDS):.2f} to {max(NEW_SPEEDS):.2f} times as fast, which moves pitch and "
    "formants. Each frame's acoustic codes had to tell voice and speed, and the decoder had to "
    "make the pitch. Left out, each with its neighbours, were the speeds "
    f"{', '.join(f'{speed:g}' for speed in HELD_OUT_SPEEDS)} and 1.",
    100,
)

CONTEXTS = """\
Three quarters of the training batches have one or two utterances as context, mostly of a voice
without an id, which is called by any of the ids above: what was heard under an id counts for more
than whose it is. So a clone is spoken under the id that its context was given, whichever it is."""

CODEC_LIMITS = """\
It knows four synthetic voices, faster and slower, that have nothing above 8 kHz. Real voices, music
and noise come out distorted."""

LANGUAGE_LIMITS = """\
 with an id, and clones none but voices like them: flite's, faster or slower."""


def clones_text(results: dict[str, Any] | None) -> str:
    """A section on the clones that ``evaluate_clones`` judged; nothing without them."""
    if not results:
        return ""
    rows = [
        f"| {name} | {_share(results[f'{kind}nearest'])} | {results[f'{kind}similarity']:.2f} "
        f"| {_rate(results[f'{kind}wer'])} |"
        for name, kind in (
            ("clones", ""),
            ("the same sentences through the codec", "codec_"),
            ("the same sentences by flite", "source_"),
        )
    ]
    count = len(VOICES) * len(HELD_OUT_SPEEDS)
    return "\n".join(
        [
            "",
            "",
            f"Clones of {count} voices it never heard (flite's at the speeds left out), after two "
            f"sentences of theirs, under the four ids in turn. A sound counts as nearest to "
            f"its own voice where `speaker-nano` finds it more like that voice's other clips than "
            f"like those of any of the other {count + len(VOICES) - 1} voices. Ended by itself: "
            f"{results['ended']:.1%}. 95 % intervals (Wilson, bootstrap).",
            "",
            "| what | nearest to its own voice | similarity to it | WER |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _share(found: dict[str, Any]) -> str:
    won = round(found["value"] * found["n"])
    return f"{won} of {found['n']} ({found['low']:.0%}–{found['high']:.0%})"


def _rate(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:.3f} ({low:.3f}–{high:.3f})"
