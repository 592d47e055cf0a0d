"""Whose voice a frame is in, told from its acoustic codes: what makes them keep it.

As the first code is taught the phones, the others can be taught the voice. Without it a codec
trained on few voices leaves to its decoder whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.finetune.nano.codec import PHONES_PER_FRAME
from workbench.finetune.nano.speech import PHONE_IDS, VOICES, voice_of

LOG_SPEED_SCALE = 0.15  # about the deviation of the logarithms of NEW_SPEEDS


class VoiceHead(nn.Module):
    """The voice of ``VOICES`` and its speed, from one frame's acoustic embedding."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden_size, 128), nn.GELU(), nn.Linear(128, len(VOICES) + 1)
        )

    def forward(self, detail: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[B, T, voices]`` and log speeds ``[B, T]`` (in ``LOG_SPEED_SCALE``), of
        acoustic embeddings ``[B, hidden, T]``.
        """
        told = self.layers(detail.transpose(1, 2)).float()
        return told[..., :-1], told[..., -1]


def voice_loss(
    head: VoiceHead, detail: Tensor, speakers: Sequence[int], phones: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the voice plus error of its speed, and that error alone in percent.

    ``detail`` ``[B, hidden, T]`` is what the acoustic codes tell, ``phones`` ``[B, T, 4]``.
    Frames with a pause in them count for nothing: they sound the same in all voices.
    """
    voices, speeds = zip(*(voice_of(speaker) for speaker in speakers), strict=True)
    spoken = (phones != PHONE_IDS["pau"]).sum(-1) == PHONES_PER_FRAME
    if not spoken.any():
        return detail.sum() * 0, detail.new_zeros(())
    logits, told = head(detail)
    wanted = torch.tensor(speeds, device=detail.device).log() / LOG_SPEED_SCALE
    rows = torch.tensor(voices, device=detail.device)[:, None].expand_as(spoken)
    who = F.cross_entropy(logits[spoken], rows[spoken])
    off = (told - wanted[:, None])[spoken]
    error = 100 * LOG_SPEED_SCALE * off.detach().abs().mean()
    return who + F.smooth_l1_loss(off, torch.zeros_like(off)), error
