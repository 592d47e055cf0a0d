"""Whose voice is it: a clip's x-vector, and how alike two of them are.

An x-vector (Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", ICASSP
2018) sums a clip of any length up in one vector, near to those of other clips of its speaker.
``speaker-nano`` ships with the workbench and knows synthetic voices; for people's voices name a
checkpoint of transformers' ``AutoModelForAudioXVector`` (WavLM, UniSpeech-SAT, Wav2Vec2, …).

encoder = load_speaker_encoder()
similarity(encoder.embed(reference), encoder.embed(clone))     # 1: the same voice
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError, ModelError
from workbench.models.checkpoint import Checkpoint, local_checkpoint
from workbench.models.hub import snapshot
from workbench.models.quiet import quiet
from workbench.paths import data_dir

DEFAULT = "speaker-nano"
SHORTEST_S = 0.5  # of sound: less says nothing about its speaker
WINDOW_S = 10.0  # longer clips are summed up in equal parts of at most this
SILENCE_DBFS = -60.0  # a clip that never gets louder has no speaker
_EDGE_DB = -40.0  # below the clip's peak: the silence before and after speech
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class SpeakerEncoder:
    """An x-vector network with its features; see ``load_speaker_encoder``.

    ``name`` and ``weights`` say which: a hub's commit, or the first digits of the file's SHA-256.
    """

    def __init__(self, model: Any, features: Any, name: str, weights: str) -> None:
        self._model = model
        self._features = features
        self.name = name
        self.weights = weights
        # Of transformers' extractors some take this only at the call; a folder may say it.
        known = ("do_normalize_per_mel_bins",)
        self._settings = {k: getattr(features, k) for k in known if hasattr(features, k)}
        self.rate_hz = int(features.sampling_rate)
        self.dimensions = int(model.config.xvector_output_dim)

    def embed(self, audio: Audio) -> np.ndarray:
        """The speaker of ``audio`` (any rate) as a vector ``[D]`` float32 of unit length.

        Silence at the edges doesn't count; a long clip is the mean of its parts. Raises
        InputError for a clip that is silent or holds less than half a second of sound.
        """
        import torch

        samples = _sounding(audio.resampled(self.rate_hz))
        count = -(-len(samples) // round(WINDOW_S * self.rate_hz))
        with torch.inference_mode():
            parts = [self._vector(part) for part in np.array_split(samples, count)]
        return _unit(np.mean(parts, axis=0))

    def _vector(self, samples: np.ndarray) -> np.ndarray:
        inputs = self._features(
            samples, sampling_rate=self.rate_hz, return_tensors="pt", **self._settings
        )
        device = next(self._model.parameters()).device
        found = self._model(**{name: value.to(device) for name, value in inputs.items()})
        return _unit(found.embeddings[0].float().cpu().numpy())


def load_speaker_encoder(
    name: str = DEFAULT, *, device: str = "cpu", revision: str | None = None
) -> SpeakerEncoder:
    """Loads ``speaker-nano`` (shipped), a folder in transformers' layout, or a hub id.

    The folder's ``config.json`` names the architecture and ``preprocessor_config.json`` the
    features; weights are safetensors. ``revision`` is a hub commit; without it the first
    download's is pinned.

    Raises InputError for an unknown name, ModelError for files that are missing, damaged or of
    another kind of network.
    """
    checkpoint = _find(name, revision)
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForAudioXVector

    try:
        with quiet():
            features = AutoFeatureExtractor.from_pretrained(checkpoint.folder)
            model, report = AutoModelForAudioXVector.from_pretrained(
                checkpoint.folder,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError) as problem:
        raise ModelError(
            f"{checkpoint.name} is no speaker encoder: {str(problem).splitlines()[0]}",
            "use a checkpoint of transformers' AutoModelForAudioXVector with safetensors weights",
        ) from problem
    # The loss's weights belong to training; anything else would be left at random in silence.
    if missing := [
        key for key in sorted(report["missing_keys"]) if not key.startswith("objective.")
    ]:
        raise ModelError(
            f"{checkpoint.name} lacks the weights {missing[0]}",
            "use a checkpoint that was trained for speaker verification",
        )
    return SpeakerEncoder(model.to(device).eval(), features, checkpoint.name, checkpoint.revision)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two embeddings ``[D]`` of one encoder: -1 to 1.

    What it is for two clips of one speaker depends on the encoder: compare it with that for
    other speakers, as ``workbench.quality.verification`` does.
    """
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(
            f"embeddings of shapes {a.shape} and {b.shape}", "compare two of the same encoder"
        )
    return float(np.clip(_unit(a) @ _unit(b), -1.0, 1.0))


def _find(name: str, revision: str | None) -> Checkpoint:
    if name == DEFAULT:
        return local_checkpoint(name, data_dir() / "models" / name)
    if Path(name).is_dir():
        return local_checkpoint(Path(name).name, Path(name))
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        found = snapshot(name, revision)
        return Checkpoint(name, found.folder, found.revision)
    raise InputError(f"no speaker encoder called {name!r}", f"use {DEFAULT}, a folder, or a hub id")


def _sounding(audio: Audio) -> np.ndarray:
    """Samples ``[T]`` from the first to the last that is within 40 dB of the peak."""
    level = np.abs(audio.samples)
    loud = np.flatnonzero(level > max(level.max(initial=0.0) * 10 ** (_EDGE_DB / 20), 1e-9))
    sounding = audio.samples[loud[0] : loud[-1] + 1] if len(loud) else audio.samples[:0]
    if audio.peak_dbfs < SILENCE_DBFS or len(sounding) < SHORTEST_S * audio.rate_hz:
        raise InputError(
            f"a clip with {len(sounding) / audio.rate_hz:.2f} s of sound (peak "
            f"{audio.peak_dbfs:.0f} dBFS) doesn't tell its speaker",
            f"use at least {SHORTEST_S} s of speech",
        )
    return sounding


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return (vector / max(length, 1e-12)).astype(np.float32)
