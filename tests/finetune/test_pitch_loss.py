"""The loss that tells a decoder which pitch to make."""

import pytest
import torch

from workbench.finetune.nano.codec import RATE_HZ, spectral_loss
from workbench.finetune.nano.pitch_loss import LAGS, autocorrelation, pitch_loss

SECONDS = 0.4


def voice(hz: float | torch.Tensor, phase: float = 0.0) -> torch.Tensor:
    """Ten falling harmonics of ``hz``, ``[1, T]``."""
    time_s = torch.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    parts = [torch.cos(2 * torch.pi * n * (hz * time_s + phase)) / n for n in range(1, 11)]
    return 0.1 * torch.stack(parts).sum(0)[None]


@pytest.mark.parametrize("hz", [80.0, 120.0, 210.0])
def test_it_is_the_pitch_that_counts_and_not_the_phase(hz):
    same = pitch_loss(voice(hz, phase=0.37), voice(hz))
    off = [pitch_loss(voice(hz * factor), voice(hz)) for factor in (1.01, 1.03, 1.06, 1.1)]
    assert same < 0.3 * off[0]
    assert off == sorted(off)


@pytest.mark.parametrize("factor", [0.9, 0.95, 1.05, 1.1])
def test_its_gradient_leads_to_the_pitch_from_afar(factor):
    hz = torch.tensor(110.0 * factor, requires_grad=True)
    pitch_loss(voice(hz), voice(110.0)).backward()
    assert torch.sign(hz.grad) == (1 if factor > 1 else -1)


def test_mel_spectra_hardly_tell_pitches_far_off_apart():
    """The reason for it: a slope where theirs has flattened out."""

    def gained(loss):
        far, near, there = (float(loss(voice(110.0 * f), voice(110.0))) for f in (1.14, 1.07, 1.0))
        return (far - near) / (near - there)

    assert gained(spectral_loss) < 0.4
    assert gained(pitch_loss) > 0.8


def test_the_highest_autocorrelation_is_the_period():
    told, loud = autocorrelation(voice(150.0))
    assert told.shape[1:] == (loud.shape[1], LAGS[1] - LAGS[0])
    assert torch.all((told.argmax(-1) + LAGS[0] - RATE_HZ / 150).abs() <= 2)
    assert torch.all(told.abs() <= 1.01)
    assert torch.all(loud > 0.9)


def test_silence_is_no_loss_and_breaks_no_gradient():
    made = torch.zeros(2, 9600, requires_grad=True)
    loss = pitch_loss(made, torch.zeros(2, 9600))
    loss.backward()
    assert loss == 0
    assert made.grad.isfinite().all()
    pitch_loss(made, voice(110.0).expand(2, -1)).backward()
    assert made.grad.isfinite().all()
