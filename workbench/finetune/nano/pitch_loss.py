"""Whether two sounds have the same pitch: what spectra alone hardly teach a decoder.

Harmonics that lie elsewhere are about equally wrong wherever they lie: for pitches more than some
five percent off, the slope of a mel spectrum's loss has flattened out, and a decoder keeps the few
pitches that it found first. The autocorrelation of the lowest harmonics changes evenly with pitch,
and doesn't depend on phase, which codes don't tell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.finetune.nano.codec import RATE_HZ

WINDOW, HOP = 1536, 384  # 64 and 16 ms
BAND_HZ = (50.0, 700.0)
LAGS = (60, 384)  # 400 to 62.5 Hz
FLOOR = 1e-3  # of the band's energy in a window; quieter ones count for little


def autocorrelation(audio: Tensor) -> tuple[Tensor, Tensor]:
    """Normalized autocorrelations ``[B, frames, lags]`` of ``audio`` ``[B, T]``'s low band, and
    how much of each window ``[B, frames]`` is above ``FLOOR``, 0 to 1.
    """
    hann = torch.hann_window(WINDOW, device=audio.device)
    spectrum = torch.stft(
        audio, WINDOW, HOP, window=hann, center=False, return_complex=True
    ).transpose(1, 2)
    low, high = (round(hz * WINDOW / RATE_HZ) for hz in BAND_HZ)
    power = torch.zeros(spectrum.shape, device=audio.device)
    power[..., low:high] = spectrum[..., low:high].abs().square() / WINDOW
    energy = power.sum(-1, keepdim=True)
    told = torch.fft.irfft(power, n=WINDOW)[..., LAGS[0] : LAGS[1]] * (WINDOW / 2)
    return told / (energy + FLOOR), (energy / (energy + FLOOR))[..., 0]


def pitch_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean difference of the autocorrelations of ``[B, T]`` each, where ``wanted`` is voiced."""
    mine, _ = autocorrelation(made)
    with torch.no_grad():
        theirs, loud = autocorrelation(wanted)
        voiced = loud * theirs.amax(-1).clamp(min=0)
    return ((mine - theirs).abs().mean(-1) * voiced).sum() / voiced.sum().clamp(min=1.0)
