"""Training mimi-nano: autoencoder, then quantized with phones in the first code, then its decoder.

1. *autoencoder*: no quantizer, so that encoder and decoder become useful quickly;
2. *codes*: k-means codebooks, then moving averages with straight-through gradients. The first
   code is taught the phones (as Mimi's is taught WavLM's features), which is what lets a small
   language model find the words. The others may be taught the voice, for one to be cloned;
3. *decoder*: encoder and codebooks frozen, the waveform decoder alone, learning rate annealed.
   The language model can train meanwhile, since its tokens no longer change. With many voices it
   has to be told their pitch: from spectra alone it learns a few.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.codec import (
    FRAME_SAMPLES,
    PhoneHead,
    decode_latents,
    decoder_parameters,
    encode_latents,
    half_is_sound,
    initialize,
    quantize,
    seed_codebooks,
    spectral_loss,
    split_quantizers,
)
from workbench.finetune.nano.crops import Crops, CropSource
from workbench.finetune.nano.pitch_loss import pitch_loss
from workbench.finetune.nano.voice_head import VoiceHead, voice_loss

SAVE_EVERY_S = 120.0
PHONE_WEIGHT = 0.4
COMMITMENT_WEIGHT = 0.05


@dataclass(frozen=True)
class CodecRecipe:
    """Sizes and rates of codec training."""

    crops: int = 6
    decoded_crops: int = 2  # of a step's crops go through the decoder, all through the phones
    crop_frames: int = 20
    decoder_crops: int = 3
    decoder_crop_frames: int = 26
    skipped_frames: int = 3  # a crop cut from mid-sentence starts without its past: not in the loss
    peak_rate: float = 1.2e-3
    warmup_steps: int = 100
    autoencoder_share: float = 0.15  # of the budget of stages 1 and 2, for a fresh codec
    annealed: float = 0.6  # of stages 1 and 2's cosine is run through; 1 ends at next to nothing
    voice_weight: float = 0.0  # of telling the voice from the acoustic codes
    decoder_rate: float | None = None  # peak rate of stage 3; None: the same
    pitch_weight: float = 0.0  # of the pitch in stage 3
    seed: int = 11


class Heads(nn.Module):
    """What tells from the codes that they hold what they should; dropped after training."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.phone = PhoneHead(hidden_size)
        self.voice = VoiceHead(hidden_size)


def train_codes(
    folder: Path,
    speech: Path,
    config: Any,
    recipe: CodecRecipe,
    clock: checkpoints.Clock,
    device: str = "cpu",
) -> bool:
    """Stages 1 and 2 into ``folder/codes.pt``; True when the whole budget is used.

    A finished codec lying there (``adopt``) is trained on, its codebooks included.
    """
    from transformers import MimiModel

    path = folder / "codes.pt"
    torch.manual_seed(recipe.seed)
    model = MimiModel(config).to(device)
    heads = Heads(config.hidden_size).to(device)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.8, 0.99), weight_decay=0.01)
    crops = CropSource(speech)
    seeded = False
    stored = checkpoints.load(path)
    if stored:
        model.load_state_dict(stored["model"])
        seeded = bool(stored.get("seeded", True))
    else:
        batch = crops.batch(checkpoints.batch_random(recipe.seed, 0), 8, recipe.crop_frames)
        initialize(model, batch.audio.to(device))
    if stored and "clock" in stored:
        heads.load_state_dict(stored["heads"])
        optimizer.load_state_dict(stored["optimizer"])
        clock.resume(stored["clock"])

    def store() -> None:
        checkpoints.save(
            path,
            model=model.state_dict(),
            heads=heads.state_dict(),
            optimizer=optimizer.state_dict(),
            clock=clock.state(),
            seeded=seeded,
        )

    half = _half_is_sound(model, crops, recipe.crop_frames, device)
    bar = tqdm(desc="codec", unit="step", initial=clock.step)
    averages = checkpoints.Averages()
    clock.start()
    saved_s = clock.elapsed_s
    while not clock.finished and not clock.session_over:
        if not seeded and clock.fraction >= recipe.autoencoder_share:
            seed_all(model, crops, recipe, device, half)
            seeded = True
        source = checkpoints.batch_random(recipe.seed, clock.step + 1)
        batch = crops.batch(source, recipe.crops, recipe.crop_frames).to(device)
        with checkpoints.autocast(device, half):
            loss, parts = code_loss(model, heads, batch, seeded, recipe)
        rate = checkpoints.learning_rate(
            recipe.annealed * clock.fraction,
            clock.step,
            recipe.peak_rate,
            recipe.warmup_steps,
            flat=0.2,
        )
        _update(optimizer, parameters, loss, rate)
        clock.tick()
        averages.add(parts)
        bar.update()
        if clock.step % 100 == 0:
            means = averages.means()
            checkpoints.record(folder, "codes", clock, means)
            bar.set_postfix_str(f"{clock.elapsed_s:.0f} s, {checkpoints.as_text(means)}")
        if clock.elapsed_s - saved_s > SAVE_EVERY_S:
            crops.refresh()
            store()
            saved_s = clock.elapsed_s
    store()
    bar.close()
    return clock.finished


def code_loss(
    model: Any, heads: Heads, batch: Crops, quantized: bool, recipe: CodecRecipe
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of stages 1 and 2, and its parts.

    The first ``decoded_crops`` rows are decoded. The semantic projection learns from the phones
    alone (the decoder uses it, but doesn't shape it), else the first code fills with acoustic
    detail.
    """
    audio, phones, decoded = batch.audio, batch.phones, recipe.decoded_crops
    latents = encode_latents(model, audio)
    semantic, acoustic = split_quantizers(model)
    commitment = latents.new_zeros(())
    if quantized:
        meaning, _, first = quantize(semantic, latents, learn=True)
        detail, _, second = quantize(acoustic, latents, learn=True)
        commitment = first + second
    else:
        meaning, detail = (
            part.output_proj(part.input_proj(latents)) for part in (semantic, acoustic)
        )
    made = decode_latents(model, (meaning.detach() + detail)[:decoded])
    spectral = spectral_loss(made[:, 0].float(), audio[:decoded, 0])
    logits = heads.phone(meaning).float()
    spoken = F.cross_entropy(logits.flatten(0, 2), phones.flatten())
    loss = spectral + PHONE_WEIGHT * spoken + COMMITMENT_WEIGHT * commitment
    right = (logits.argmax(-1) == phones).float().mean()
    parts = {"mel": spectral, "phone": spoken, "right": right, "commit": commitment}
    if recipe.voice_weight:
        voice, error = voice_loss(heads.voice, detail, batch.speakers, phones)
        loss = loss + recipe.voice_weight * voice
        parts |= {"voice": voice, "speed_percent": error}
    return loss, parts


@torch.no_grad()
def seed_all(model: Any, crops: CropSource, recipe: CodecRecipe, device: str, half: bool) -> None:
    """k-means of both quantizers on the latents of some minutes of speech."""
    source = checkpoints.batch_random(recipe.seed, 1_000_000_000)
    latents = []
    for _ in range(24):
        audio = crops.batch(source, 2 * recipe.crops, recipe.crop_frames).audio.to(device)
        with checkpoints.autocast(device, half):
            latents.append(encode_latents(model, audio).float().transpose(1, 2))
    stacked = torch.cat(latents).flatten(0, 1)
    for part in split_quantizers(model):
        seed_codebooks(part, stacked)


def train_decoder(
    folder: Path,
    speech: Path,
    config: Any,
    recipe: CodecRecipe,
    clock: checkpoints.Clock,
    device: str = "cpu",
) -> bool:
    """Stage 3 into ``folder/decoder.pt``, from ``codes.pt``; True when the budget is used."""
    from transformers import MimiModel

    path = folder / "decoder.pt"
    model = MimiModel(config).to(device)
    start = checkpoints.load(folder / "codes.pt")
    assert start is not None, "the codes come before the decoder"
    model.load_state_dict(start["model"])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parameters = decoder_parameters(model)
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.8, 0.99), weight_decay=0.01)
    stored = checkpoints.load(path)
    if stored:
        model.load_state_dict(stored["model"])
        optimizer.load_state_dict(stored["optimizer"])
        clock.resume(stored["clock"])
    crops = CropSource(speech)

    def store() -> None:
        checkpoints.save(
            path, model=model.state_dict(), optimizer=optimizer.state_dict(), clock=clock.state()
        )

    half = _half_is_sound(model, crops, recipe.decoder_crop_frames, device)
    bar = tqdm(desc="decoder", unit="step", initial=clock.step)
    averages = checkpoints.Averages()
    clock.start()
    saved_s = clock.elapsed_s
    skipped = recipe.skipped_frames * FRAME_SAMPLES
    while not clock.finished and not clock.session_over:
        source = checkpoints.batch_random(recipe.seed + 1, clock.step + 1)
        batch = crops.batch(source, recipe.decoder_crops, recipe.decoder_crop_frames).to(device)
        audio, cut = batch.audio, batch.cut
        with checkpoints.autocast(device, half):
            made = decode_latents(model, quantized_embedding(model, audio))
        # What comes before a cut is missing from the codes; a sentence's true start is learned.
        begun = torch.where(cut[:, None, None], audio[..., :skipped], made[..., :skipped])
        made = torch.cat([begun, made[..., skipped:]], dim=-1)
        loss, parts = decoder_loss(made[:, 0].float(), audio[:, 0], recipe)
        peak = recipe.peak_rate if recipe.decoder_rate is None else recipe.decoder_rate
        rate = checkpoints.learning_rate(clock.fraction, clock.step, peak, recipe.warmup_steps)
        _update(optimizer, parameters, loss, rate)
        clock.tick()
        averages.add(parts)
        bar.update()
        if clock.step % 100 == 0:
            means = averages.means()
            checkpoints.record(folder, "decoder", clock, means)
            bar.set_postfix_str(f"{clock.elapsed_s:.0f} s, {checkpoints.as_text(means)}")
        if clock.elapsed_s - saved_s > SAVE_EVERY_S:
            crops.refresh()
            store()
            saved_s = clock.elapsed_s
    store()
    bar.close()
    return clock.finished


def decoder_loss(
    made: Tensor, wanted: Tensor, recipe: CodecRecipe
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of stage 3 between sounds ``[B, T]``, and its parts."""
    mel = spectral_loss(made, wanted)
    if not recipe.pitch_weight:
        return mel, {"mel": mel}
    pitch = pitch_loss(made, wanted)
    return mel + recipe.pitch_weight * pitch, {"mel": mel, "pitch": pitch}


def _half_is_sound(model: Any, crops: CropSource, frames: int, device: str) -> bool:
    """Whether steps on crops of ``frames`` may compute in bfloat16; says where they may not."""
    audio = crops.batch(np.random.default_rng(0), 2, frames).audio
    sound = half_is_sound(model, audio.to(device))
    if not sound:
        tqdm.write("bfloat16 gives other latents than float32 here: training in float32")
    return sound


def quantized_embedding(model: Any, audio: Tensor) -> Tensor:
    """What the decoder gets for ``audio`` ``[B, 1, T]`` after quantization, ``[B, hidden, T]``."""
    latents = encode_latents(model, audio)
    semantic, acoustic = split_quantizers(model)
    return quantize(semantic, latents, False)[0] + quantize(acoustic, latents, False)[0]


def _update(
    optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], loss: Tensor, rate: float
) -> None:
    checkpoints.set_learning_rate(optimizer, rate)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
