"""Telling the voice from acoustic embeddings."""

import torch

from workbench.finetune.nano.speech import NEW_SPEAKERS, NEW_SPEEDS, PHONE_IDS, VOICES, voice_of
from workbench.finetune.nano.voice_head import VoiceHead, voice_loss

HIDDEN, FRAMES = 12, 9
SPEAKERS = (0, 2, NEW_SPEAKERS + 3, NEW_SPEAKERS + len(NEW_SPEEDS) + 20)


def spoken(*pauses: int) -> torch.Tensor:
    phones = torch.full((len(SPEAKERS), FRAMES, 4), PHONE_IDS["aa"])
    phones[:, list(pauses), 1] = PHONE_IDS["pau"]
    return phones


def embeddings() -> torch.Tensor:
    """Frames that tell their voice and its speed, among noise."""
    detail = torch.randn(len(SPEAKERS), HIDDEN, FRAMES)
    for row, speaker in enumerate(SPEAKERS):
        voice, speed = voice_of(speaker)
        detail[row, : len(VOICES)] = 0
        detail[row, voice] = 1
        detail[row, len(VOICES)] = 5 * (speed - 1)
    return detail


def test_what_the_frames_tell_is_learned():
    torch.manual_seed(0)
    head = VoiceHead(HIDDEN)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    losses, errors = [], []
    for _ in range(200):
        loss, error = voice_loss(head, embeddings(), SPEAKERS, spoken())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        errors.append(error.item())
    assert losses[-1] < 0.1 < 1 < losses[0]
    assert errors[-1] < 3 < errors[0]  # percent of the speed


def test_frames_with_a_pause_count_for_nothing():
    torch.manual_seed(1)
    head = VoiceHead(HIDDEN)
    detail = embeddings().requires_grad_()
    loss, _ = voice_loss(head, detail, SPEAKERS, spoken(0, 4))
    loss.backward()
    told = detail.grad.abs().sum((0, 1)) > 0
    assert told.tolist() == [at not in (0, 4) for at in range(FRAMES)]


def test_nothing_but_pauses_is_no_loss_and_no_gradient():
    detail = embeddings().requires_grad_()
    loss, error = voice_loss(VoiceHead(HIDDEN), detail, SPEAKERS, spoken(*range(FRAMES)))
    loss.backward()
    assert loss.item() == error.item() == 0
    assert not detail.grad.any()
