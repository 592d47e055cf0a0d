"""Audio players side by side, at one gain, with a picture for where pages can't play sound.

IPython's own player scales each clip to full level, so that clips at 1.0× and 0.1× sound alike;
these never do. GitHub and untrusted notebooks drop ``<audio>``: label and picture stay.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.engines.speech import Synthesizer
from workbench.errors import InputError
from workbench.lab.display import Rich
from workbench.lab.sounds import draw_spectrogram, draw_waveform
from workbench.lab.style import PAPER, figure, styled

_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_CARD = (
    "margin:0;flex:1 1 17em;max-width:27em;padding:.7em;border:1px solid rgba(128,128,128,.4);"
    "border-radius:.5em;box-sizing:border-box;display:flex;flex-direction:column"
)


def player(audio: Audio, label: str, gain_db: float = 0.0) -> Rich:
    """One clip with its label, duration, levels and picture."""
    return players({label: audio}, gain_db)


def players(clips: Mapping[str, Audio], gain_db: float = 0.0) -> Rich:
    """Clips to compare, side by side: the label says what differs.

    All play at one gain, so that what is quieter sounds quieter; ``gain_db`` other than 0 is said
    in words, as is what that gain would clip. All pictures share one scale of time and level.
    """
    if not clips or not all(label.strip() for label in clips):
        raise InputError("no clips, or one without a label", "say what is different about each")
    played = {
        label: Audio(clip.samples * np.float32(10 ** (gain_db / 20)), clip.rate_hz)
        for label, clip in clips.items()
    }
    longest_s = max(clip.duration_s for clip in clips.values())
    peak = max(0.02, *(float(np.abs(clip.samples).max(initial=0)) for clip in clips.values()))
    cards = [
        _card(label, describe(clips[label], played[label]), played[label], picture)
        for label, picture in (
            (label, _picture(clip, longest_s, peak)) for label, clip in clips.items()
        )
    ]
    note = f"All play {gain_db:+.1f} dB from their own level, by the same gain." if gain_db else ""
    note = note.replace("-", "−")
    rows = (
        '<div style="display:flex;flex-wrap:wrap;gap:.8em;margin:.6em 0">'
        + "".join(cards)
        + "</div>"
    )
    texts = [f"♪ {label}: {describe(clips[label], played[label])}" for label in clips]
    return Rich(
        rows + (f"<p>{html.escape(note)}</p>" if note else ""),
        "\n".join([*texts, *([note] if note else [])]),
    )


def describe(clip: Audio, played: Audio | None = None) -> str:
    """Duration and levels of a clip in words."""
    if not len(clip):
        return "no samples"
    if clip.peak_dbfs == float("-inf"):
        return f"{clip.duration_s:.2f} s of silence"
    words = (
        f"{clip.duration_s:.2f} s, peak {clip.peak_dbfs:.1f} dBFS, mean {clip.rms_dbfs:.1f} dBFS"
    )
    offset = float(clip.samples.mean())
    if abs(offset) > 0.01:
        words += f", off centre by {offset:+.2f}"
    clipped = int((np.abs((played or clip).samples) > 1.0).sum())
    return words.replace("-", "−") + (f", {clipped:,} samples clip" if clipped else "")


def explore(engine: Synthesizer, text: str = "good morning how are you today") -> Any:
    """Type, choose a voice, listen: a widget in JupyterLab, a spoken example on a rendered page.

    A page can't speak and widget state breaks shared notebooks, so a batch gets the static twin:
    ``text`` in the first voices, as players.
    """
    if interactive():
        return _widget(engine, text)
    voices = dict(list(engine.voices.items())[:2])
    return players({
        f"{name} (voice {voice})": engine.synthesize(text, voice=voice, seed=0)
        for voice, name in voices.items()
    })  # fmt: skip


def interactive() -> bool:
    """Whether a person at a notebook's front end can use widgets: not in a batch or a script."""
    return "JPY_SESSION_NAME" in os.environ and "WORKBENCH_RECORD" not in os.environ


def _widget(engine: Synthesizer, text: str) -> Any:
    import ipywidgets as widgets
    from IPython.display import display

    box = widgets.Textarea(text, description="Text", layout=widgets.Layout(width="100%"))
    options = [(f"{name} (voice {voice})", voice) for voice, name in engine.voices.items()]
    choice = widgets.Dropdown(options=options, description="Voice")
    button = widgets.Button(description="Speak", button_style="primary")
    output = widgets.Output()

    def speak(_: Any) -> None:
        button.disabled = True
        output.clear_output(wait=True)
        with output:
            try:
                speech = engine.synthesize(box.value, voice=choice.value)
                display(player(speech, f"{speech.text} (RTF {speech.rtf:.2f})"))
            except InputError as problem:
                print(problem)
            finally:
                button.disabled = False

    button.on_click(speak)
    return widgets.VBox([box, widgets.HBox([choice, button]), output])


def _card(label: str, words: str, played: Audio, picture: bytes) -> str:
    name, alt = html.escape(label), html.escape(f"Waveform and spectrogram of {label}: {words}")
    sound = ""
    if len(played):
        data = base64.b64encode(_playable(played).encoded("MP3")).decode()
        sound = (
            f'<audio controls preload="metadata" aria-label="{name}" style="width:100%" '
            f'src="data:audio/mpeg;base64,{data}">This page can\'t play sound.</audio>'
        )
    return (
        f'<figure style="{_CARD}"><figcaption style="flex:1 0 auto"><strong>{name}</strong><br>'
        f'<small style="opacity:.8">{html.escape(words)}</small></figcaption>'
        f'<img alt="{alt}" style="width:100%;border-radius:.3em;margin:.4em 0" '
        f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">{sound}</figure>'
    )


def _playable(audio: Audio) -> Audio:
    """At a rate that MP3 knows, and within full scale, where players would clip as well."""
    rate_hz = audio.rate_hz
    if rate_hz not in _MP3_RATES_HZ:
        rate_hz = min((rate for rate in _MP3_RATES_HZ if rate > rate_hz), default=48_000)
    audio = audio.resampled(rate_hz)
    return Audio(np.clip(audio.samples, -1.0, 1.0), rate_hz)


@styled
def _picture(clip: Audio, longest_s: float, peak: float) -> bytes:
    """A small PNG: waveform above spectrogram, 0 to ``longest_s`` seconds."""
    from PIL import Image

    drawn, (wave, bands) = figure(
        "", "", 2, 1, height_in=1.35, width_in=3.6, sharex=True, height_ratios=[1, 1.6]
    )
    draw_waveform(wave, clip, peak, columns=400)
    draw_spectrogram(bands, clip)
    wave.set_yticks([])
    wave.spines[:].set_visible(False)
    wave.tick_params(bottom=False)
    bands.set_xlim(0, max(longest_s, 0.05))
    bands.tick_params(labelsize=7, length=2)
    bands.set_xlabel("time (s)", fontsize=7, labelpad=1)
    bands.set_ylabel("kHz", fontsize=7, labelpad=1)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=200, facecolor=PAPER)
    small = io.BytesIO()  # 64 colours do for a picture of this size, at a third of the bytes
    Image.open(buffer).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
    return small.getvalue()
