"""Pictures of sound, drawn into given axes: waveform and spectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.lab.style import BLUE
from workbench.quality.spectral import FLOOR_DB, HOP, MEL_BANDS, WINDOW, hz_to_mel, log_mel


def draw_waveform(axes: Any, clip: Audio, peak: float, columns: int = 1_000) -> None:
    """The envelope of ``clip``: lowest and highest sample of each of ``columns`` slices."""
    slices = np.array_split(clip.samples, max(1, min(columns, len(clip))))
    centres = (np.arange(len(slices)) + 0.5) * clip.duration_s / len(slices)
    low, high = ([float(f(part, initial=0)) for part in slices] for f in (np.min, np.max))
    axes.fill_between(centres, low, high, color=BLUE, linewidth=0.6)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.grid(visible=False)


def draw_spectrogram(axes: Any, clip: Audio) -> Any:
    """The log-mel spectrogram of ``clip`` in dB of full scale; returns the image."""
    bands = log_mel(Audio(np.pad(clip.samples, WINDOW // 2), clip.rate_hz))  # frames centred
    half_s = HOP / 2 / clip.rate_hz
    end_s = (2 * bands.shape[1] - 1) * half_s
    image = axes.imshow(
        bands, origin="lower", aspect="auto", extent=(-half_s, end_s, 0, MEL_BANDS),
        vmin=FLOOR_DB, vmax=-10, interpolation="nearest",
    )  # fmt: skip
    ticks_hz = [hz for hz in (500, 1_000, 2_000, 4_000, 8_000) if hz < clip.rate_hz / 2]
    scale = MEL_BANDS / hz_to_mel(clip.rate_hz / 2)
    axes.set_yticks(
        [scale * hz_to_mel(hz) for hz in ticks_hz], [f"{hz / 1e3:g}" for hz in ticks_hz]
    )
    axes.grid(visible=False)
    return image
