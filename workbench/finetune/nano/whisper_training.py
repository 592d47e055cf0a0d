"""Training whisper-nano: loop, moving average of the weights, transcripts along the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.finetune.loop import Loop, Loss
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.domain import held_out_sentences
from workbench.finetune.nano.evaluate import assigned_voices
from workbench.finetune.nano.language_training import EMA_DECAY, follow
from workbench.finetune.nano.speech import flite
from workbench.finetune.nano.whisper import PhoneClassifier, build_whisper, whisper_loss
from workbench.finetune.nano.whisper_data import WINDOW, DataRecipe, Queue, SpeechSource, log_mel
from workbench.quality.wer import word_error_rate

NAME = "whisper"


@dataclass(frozen=True)
class WhisperRecipe:
    """Rates of training."""

    peak_rate: float = 1.5e-3
    warmup_steps: int = 300
    weight_decay: float = 0.05
    check_every_s: float = 600.0
    check_sentences: int = 24
    seed: int = 31
    data: DataRecipe = field(default_factory=DataRecipe)


def train_whisper(
    folder: Path,
    speech: list[Path],
    config: Any,
    tokenizer: Any,
    recipe: WhisperRecipe,
    clock: checkpoints.Clock,
    device: str = "cpu",
) -> bool:
    """Trains into ``folder/whisper.pt`` on the shards in ``speech``; True when all is done."""
    path = folder / f"{NAME}.pt"
    torch.manual_seed(recipe.seed)
    model = build_whisper(config, tokenizer).to(device)
    classifier = PhoneClassifier(config.d_model).to(device)
    parameters = [p for p in (*model.parameters(), *classifier.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if stored := checkpoints.load(path):
        model.load_state_dict(stored["model"])
        classifier.load_state_dict(stored["classifier"])
        optimizer.load_state_dict(stored["optimizer"])
        average = {name: value.to(device) for name, value in stored["average"].items()}
        clock.resume(stored["clock"])
    source = SpeechSource(speech, tokenizer, recipe.data)
    queue = Queue(source)

    def store() -> None:
        checkpoints.save(
            path,
            model=model.state_dict(),
            average=average,
            classifier=classifier.state_dict(),
            optimizer=optimizer.state_dict(),
            clock=clock.state(),
        )
        source.refresh()  # speech that was made meanwhile

    def random(number: int) -> np.random.Generator:
        return checkpoints.batch_random(recipe.seed, number)

    def loss() -> Loss:
        batch = queue.at(clock.step, clock.fraction, random).to(device)
        with checkpoints.autocast(device):
            return whisper_loss(model, classifier, batch)

    checked_s = clock.elapsed_s

    def after(bar: tqdm[Any]) -> None:
        nonlocal checked_s
        follow(average, model, min(EMA_DECAY, clock.step / (clock.step + 10)))
        if clock.elapsed_s - checked_s > recipe.check_every_s:
            store()
            rate, heard = check(model, average, tokenizer, recipe.check_sentences, device)
            checkpoints.record(folder, "whisper-check", clock, {"wer": rate})
            bar.write(f"step {clock.step}: WER {rate:.3f} on held-out sentences; {heard[:2]}")
            clock.start()  # checking is no training
            checked_s = clock.elapsed_s

    loop = Loop(NAME, folder, clock, optimizer, recipe.peak_rate, recipe.warmup_steps, store, after)
    return loop.run(loss)


@torch.no_grad()
def check(
    model: Any, average: dict[str, torch.Tensor], tokenizer: Any, sentences: int, device: str
) -> tuple[float, list[str]]:
    """Word error rate of the averaged weights through transformers' ``generate``, all voices."""
    texts = held_out_sentences(sentences)
    heard: list[str] = []
    now = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average)
    model.eval()
    for text, speaker in zip(texts, assigned_voices(len(texts)), strict=True):
        samples = flite().say(text, speaker).samples
        audio = np.pad(samples, (0, WINDOW - len(samples)))
        features = log_mel(torch.from_numpy(audio)[None]).to(device)
        made = model.generate(input_features=features, max_new_tokens=60)
        heard += tokenizer.batch_decode(made, skip_special_tokens=True)
    model.load_state_dict(now)
    model.train()
    return word_error_rate(texts, heard).value, heard
