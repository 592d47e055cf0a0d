"""``train_speaker_nano``: the speaker encoder from nothing, and the sample voices, by stages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.audio import Audio
from workbench.cloning.voices import LISTING
from workbench.errors import InputError
from workbench.files import write_json
from workbench.finetune.nano import SPEAKER_STAGES
from workbench.finetune.nano.evaluate import codec_round_trip
from workbench.finetune.nano.export import finish
from workbench.finetune.nano.speaker import (
    FEATURES,
    feature_extractor,
    fit_speaker,
    make_features,
)
from workbench.finetune.nano.speaker_card import speaker_card
from workbench.finetune.nano.speakers import (
    held_out_speakers,
    sample_speakers,
    texts,
    training_speakers,
)
from workbench.finetune.nano.whisper_speech import nano_voice
from workbench.quality.speaker import SpeakerEncoder, load_speaker_encoder
from workbench.quality.verification import equal_error_rate

RESULTS = "speaker-results.json"
MODEL = "speaker-nano"
FLITE = "flite's voices"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out: minutes of one core, nearly all for the speech."""

    clips: int = 6  # of each speaker
    speakers: int | None = None  # None: all
    test_clips: int = 6
    sample_clips: int = 7


def train_speaker_nano(
    out: Path,
    stage: str = "all",
    device: str = "cpu",
    resume: bool = True,
    threads: int | None = None,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Makes speaker-nano in ``out / "models"`` and the sample voices in ``out / "voices"``.

    Raises InputError for an unknown stage, a stage whose inputs are missing, or another device
    than the CPU, which it doesn't need.
    """
    if stage not in SPEAKER_STAGES:
        raise InputError(f"no stage {stage!r}", f"use one of {', '.join(SPEAKER_STAGES)}")
    if device != "cpu":
        raise InputError("speaker-nano trains on the CPU", "leave --device out")
    if threads is not None:
        torch.set_num_threads(threads)
    run = _Run(Path(out), recipe or Recipe(), resume)
    summary: dict[str, Any] = {"out": str(out), "stages": {}}
    for name in SPEAKER_STAGES[1:] if stage == "all" else (stage,):
        started = time.monotonic()
        result = run.stages[name]()
        summary["stages"][name] = result | {"seconds": round(time.monotonic() - started, 1)}
    return summary


class _Run:
    """One call's folder, recipe and limits; a method for each stage."""

    def __init__(self, out: Path, recipe: Recipe, resume: bool) -> None:
        self.out, self.recipe, self.resume = out, recipe, resume
        self.stages: dict[str, Callable[[], dict[str, Any]]] = {
            "data": self.data,
            "encoder": self.encoder,
            "evaluate": self.evaluate,
            "export": self.export,
            "voices": self.voices,
        }

    def data(self) -> dict[str, Any]:
        path = self.out / FEATURES
        speakers = training_speakers()[: self.recipe.speakers]
        if not path.is_file() or not self.resume:
            make_features(path, speakers, self.recipe.clips, nano_voice().codec_model)
        return {"speakers": len(speakers)}

    def encoder(self) -> dict[str, Any]:
        path = self.out / FEATURES
        if not path.is_file():
            raise InputError(f"{self.out} has no {FEATURES} yet", "run the stage 'data' first")
        with np.load(path) as kept:
            clips = np.split(kept["features"], np.cumsum(kept["lengths"])[:-1])
            model = fit_speaker(clips, kept["owners"])
        target = self.out / "models" / MODEL
        target.mkdir(parents=True, exist_ok=True)
        (target / "SHA256SUMS").unlink(missing_ok=True)
        model.to(torch.float16).save_pretrained(target)
        feature_extractor().save_pretrained(target)
        return {"model": str(target)}

    def evaluate(self) -> dict[str, Any]:
        """Equal error rates on speakers that training never heard, plain and through the codec."""
        encoder = load_speaker_encoder(str(self._fitted()))
        results = error_rates(encoder, self.recipe.test_clips, nano_voice().codec_model)
        write_json(self.out / RESULTS, results)
        return {name: rate["value"] for name, rate in results.items()}

    def export(self) -> dict[str, Any]:
        path = self.out / RESULTS
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        with np.load(self.out / FEATURES) as kept:
            clips, speakers = len(kept["owners"]), len(set(kept["owners"].tolist()))
            hours = float(kept["lengths"].sum()) * 0.02 / 3600
        card = speaker_card(clips, speakers, hours, results)
        return {"model": str(finish(self._fitted(), card))}

    def voices(self) -> dict[str, Any]:
        return {"voices": str(write_voices(self.out / "voices", self.recipe.sample_clips))}

    def _fitted(self) -> Path:
        folder = self.out / "models" / MODEL
        if not (folder / "model.safetensors").is_file():
            raise InputError(f"{self.out} has no {MODEL} yet", "run the stage 'encoder' first")
        return folder


def error_rates(encoder: SpeakerEncoder, clips: int, codec: Any) -> dict[str, Any]:
    """Equal error rates of ``encoder`` on the held-out speakers, each saying other sentences."""
    speakers = held_out_speakers()
    said = texts(clips * len(speakers), held_out=True)
    spoken = [(speakers[n % len(speakers)], text) for n, text in enumerate(said)]
    plain = [speaker.say(text) for speaker, text in spoken]
    coded = [Audio(codec_round_trip(codec, clip.samples), clip.rate_hz) for clip in plain]
    owners = np.array([speaker.name for speaker, _ in spoken])
    mine = np.array([speaker.source == "flite" for speaker, _ in spoken])
    found: dict[str, Any] = {}
    for kind, sounds in (("", plain), (" through mimi-nano", coded)):
        embeddings = np.stack([encoder.embed(clip) for clip in sounds])
        for name, rows in (("all", np.ones_like(mine)), (FLITE, mine), ("eSpeak NG's", ~mine)):
            rate = equal_error_rate(embeddings[rows], list(owners[rows]))
            found[f"{name}{kind}"] = asdict(rate)
    return found


def write_voices(folder: Path, clips: int = 7) -> Path:
    """Writes the sample voices as OGG files, with their listing; every voice says the same."""
    said = [text for text in texts(40, held_out=True, seed=11) if 6 <= len(text.split()) <= 9]
    listing = []
    for speaker in sample_speakers():
        entries = []
        for number, text in enumerate(said[:clips], 1):
            name = f"{speaker.name.lower()}-{number}.ogg"
            speaker.say(text).write(folder / name)
            entries.append({"file": name, "text": text})
        listing.append({"name": speaker.name, "made_by": speaker.made_by, "clips": entries})
    write_json(folder / LISTING, listing)
    return folder
