"""What a notebook shows of a conversation: its time line, and a widget to ask something."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from workbench.audio import Audio
from workbench.errors import InputError, WorkbenchError
from workbench.lab.display import number
from workbench.lab.players import interactive, player, players
from workbench.lab.style import FAINT, GREY, INK, ORANGE, PALETTE, PAPER, VERMILION, figure, styled

if TYPE_CHECKING:
    from workbench.conversation.settings import Settings
    from workbench.conversation.stages import Stages
    from workbench.conversation.talk import Talk
    from workbench.conversation.waterfall import Span

_BEFORE_MS = 1_200  # of the user's speech that is shown: its end is what matters


@styled
def turn_waterfall(
    talks: Mapping[str, Sequence[Span]],
    title: str,
    caption: str,
    after_ms: float = 600.0,
) -> Figure:
    """A turn on a time line, one block of lanes an arm; the end of the user's speech is 0.

    Work that was given up is hatched. The first sound of the answer is marked. What lies more than
    ``after_ms`` behind the last arm's first sound is cut off.
    """
    from workbench.conversation.waterfall import LANES

    if not talks or not all(talks.values()):
        raise InputError("no time line to draw", "pass a turn that was answered")
    colors = dict(zip(LANES, (GREY, FAINT, *PALETTE[:3], ORANGE), strict=True))
    colors |= {"recognizer": PALETTE[4], "chat": PALETTE[3], "synthesizer": PALETTE[0]}
    first = {
        arm: min((s.start_ms for s in spans if s.lane == LANES[-1]), default=None)
        for arm, spans in talks.items()
    }
    end_ms = max([start for start in first.values() if start is not None] or [0.0]) + after_ms
    rows = [(arm, lane) for arm in talks for lane in LANES]
    drawn, (axes,) = figure(title, caption, height_in=0.6 + 0.235 * len(rows) + 0.2 * len(talks))
    places: list[float] = []
    for row, (arm, lane) in enumerate(rows):
        y = row + 0.9 * list(talks).index(arm)
        places.append(y)
        for span in talks[arm]:
            if span.lane != lane:
                continue
            start = max(span.start_ms, -_BEFORE_MS)
            width = min(span.end_ms, end_ms) - start
            if width <= 0:
                continue
            done = span.outcome == "done"
            axes.broken_barh(
                [(start, max(width, 0.002 * end_ms))], (y - 0.38, 0.76),
                facecolors=colors[lane] if done else PAPER,
                edgecolors=INK if lane == "turn over?" and done else colors[lane],
                linewidth=0.6, hatch=None if done else "////",
            )  # fmt: skip
        start_ms = first[arm]
        if lane == LANES[-1] and start_ms is not None:
            axes.plot([start_ms], [y], marker="v", color=VERMILION, markersize=7)
            axes.annotate(
                f"first audio {number(start_ms)} ms", (start_ms, y), xytext=(-7, 0), va="center",
                ha="right", textcoords="offset points", fontsize=9.5, color=VERMILION,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
    for index, arm in enumerate(talks):
        top = places[index * len(LANES)]
        axes.annotate(arm, (0, top - 0.95), xycoords=("axes fraction", "data"), xytext=(-4, 0),
                      textcoords="offset points", ha="right", va="center", fontweight="bold",
                      fontsize=9.5, annotation_clip=False)  # fmt: skip
    axes.axvline(0, color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(places, [lane for _, lane in rows], fontsize=9)
    axes.set_ylim(places[-1] + 0.6, -1.5)
    axes.set_xlim(-_BEFORE_MS, end_ms)
    axes.set_xlabel("time after the end of the user's speech (ms)")
    axes.tick_params(axis="y", length=0)
    if any(span.outcome != "done" for spans in talks.values() for span in spans):
        axes.legend(
            handles=[Patch(facecolor=PAPER, edgecolor=INK, hatch="////", label="given up")],
            loc="lower right", fontsize=9,
        )  # fmt: skip
    return drawn


def converse(stages: Stages, settings: Settings, asked: Mapping[str, Audio], example: Talk) -> Any:
    """Type or upload a question, listen to the answer: a widget in JupyterLab.

    A rendered page shows its static twin: ``example``, a talk that was held. A typed question is
    spoken in the voice that answers; ``asked`` are recordings to choose from.
    """
    if interactive():
        return _widget(stages, settings, asked)
    return _shown(example)


def _shown(made: Talk) -> Any:
    first = made.first
    if first is None or first.first_audio_ms is None:
        why = "; ".join(sorted({one.error for one in made.failures})) or "no speech was found"
        return player(made.sound, f"no answer: {why}")
    words = f"“{first.heard}” – “{first.answered}”"
    return players({
        f"{words}, first audio after {first.first_audio_ms:,.0f} ms": made.sound,
    })  # fmt: skip


def _widget(stages: Stages, settings: Settings, asked: Mapping[str, Audio]) -> Any:
    import ipywidgets as widgets
    from IPython.display import display

    from workbench.conversation.arm import said
    from workbench.conversation.talk import talk

    typed = "what is typed"
    text = widgets.Textarea(next(iter(asked), ""), layout=widgets.Layout(width="100%"))
    choice = widgets.Dropdown(options=[typed, *asked], description="Question")
    upload = widgets.FileUpload(accept="audio/*", multiple=False, description="Sound file")
    button = widgets.Button(description="Ask", button_style="primary")
    output = widgets.Output()

    def question() -> Audio:
        if upload.value:
            return _read(bytes(upload.value[0]["content"]))
        return (
            said(stages.synthesizer, text.value) if choice.value == typed else asked[choice.value]
        )

    def ask(_: Any) -> None:
        button.disabled = True
        output.clear_output(wait=True)
        with output:
            try:
                display(_shown(talk(stages, question(), settings)))
            except WorkbenchError as problem:
                print(problem)
            finally:
                button.disabled = False

    button.on_click(ask)
    return widgets.VBox([text, widgets.HBox([choice, upload, button]), output])


def _read(content: bytes) -> Audio:
    """A sound file's bytes; InputError where they are none."""
    import soundfile

    try:
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as problem:
        raise InputError(f"that is no sound file: {problem}", "upload WAV or FLAC") from problem
    return Audio(samples.mean(axis=1), rate_hz)
