"""F5-TTS's networks: found and loaded, or of random weights.

Architectures are those of F5-TTS's own configuration files (Chen et al., arXiv 2410.06885);
``v1`` is that of its second release, ``v0`` that of the first, on which the Spanish model stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.engines.guests.bare import bare_package
from workbench.engines.guests.hosted import Wanted
from workbench.errors import InputError, ModelError
from workbench.files import sha256_of
from workbench.models.hub import snapshot

RATE_HZ = 24_000
HOP = 256
MELS = 100
_BASE = {"dim": 1024, "depth": 22, "heads": 16, "ff_mult": 2, "text_dim": 512, "conv_layers": 4}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "v1": _BASE,
    "v0": {**_BASE, "text_mask_padding": False, "pe_attn_head": 1},
    "small": {
        "dim": 128, "depth": 2, "heads": 2, "ff_mult": 2, "text_dim": 64, "conv_layers": 1,
    },
}  # fmt: skip
# Where the weights of known repositories lie, and of which architecture they are.
_KNOWN = {
    "SWivid/F5-TTS": ("F5TTS_v1_Base/*.safetensors", "v1"),
    "jpgallegoar/F5-Spanish": ("*.safetensors", "v0"),
}
_VOCODER = {"dim": 512, "intermediate_dim": 1536, "num_layers": 8}  # charactr/vocos-mel-24khz
_SMALL_VOCODER = {"dim": 64, "intermediate_dim": 128, "num_layers": 1}
_MEND = "name a folder with the model's .safetensors and its vocab.txt, or a hub id"


@dataclass(frozen=True)
class LoadedF5:
    """Flow-matching model, vocoder, and what they are called."""

    model: Any
    vocoder: Vocoder
    weights: str
    architecture: str


class Vocoder(nn.Module):
    """Vocos (Siuzdak, arXiv 2306.00814): mel spectrogram ``[B, 100, T]`` to sound."""

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        bare_package("vocos")
        from vocos.heads import ISTFTHead
        from vocos.models import VocosBackbone

        self.backbone = VocosBackbone(input_channels=MELS, **sizes)
        self.head = ISTFTHead(dim=sizes["dim"], n_fft=1024, hop_length=HOP, padding="center")

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """``[B, 100, T]`` to ``[B, samples]``."""
        sound: torch.Tensor = self.head(self.backbone(mel))
        return sound


def load_f5(wanted: Wanted, architecture: str, vocoder: str, ode_method: str) -> LoadedF5:
    """The networks in float32 on the CPU, ready to be moved.

    Raises InputError for a checkpoint that is no file, folder or hub id, ModelError for weights
    that are missing, damaged or of another architecture.
    """
    if wanted.random:
        torch.manual_seed(0)
        name = "small" if wanted.size == "small" else _architecture(architecture, "v1")
        model = _model(name, _own_vocabulary(), ode_method)
        _without_zeros(model)
        made = Vocoder(_SMALL_VOCODER if wanted.size == "small" else _VOCODER)
        return LoadedF5(model.eval(), made.eval(), "random", name)
    weights, vocabulary, name, revision = _found(wanted, architecture)
    state = _read(weights, name)
    model = _model(name, vocabulary or _own_vocabulary(), ode_method)
    _put(model, state, weights, name)
    made = Vocoder(_VOCODER)
    _load_vocoder(made, vocoder)
    return LoadedF5(model.eval(), made.eval(), revision, name)


def _architecture(asked: str, known: str) -> str:
    if asked == "auto":
        return known
    if asked not in ("v0", "v1"):
        raise InputError(f"f5 has no architecture {asked!r}", "use 'v1', 'v0' or 'auto'")
    return asked


def _found(wanted: Wanted, architecture: str) -> tuple[Path, Path | None, str, str]:
    """Weights, vocabulary where it has its own, architecture and revision of the checkpoint."""
    name = wanted.checkpoint
    path = Path(name).expanduser()
    pattern, known = _KNOWN.get(name, ("*.safetensors", "v1"))
    if path.is_file():
        folder, files, revision = path.parent, [path], ""
    elif path.is_dir():
        folder, files, revision = path, sorted(path.glob("*.safetensors")), ""
    elif name.startswith((".", "/", "~")) or "/" not in name:
        raise InputError(f"f5: nothing at {name}", _MEND)
    else:
        held = snapshot(name, wanted.revision, wanted=[pattern, "vocab.txt"])
        folder, files, revision = held.folder, sorted(held.folder.glob(pattern)), held.revision
    if not files or files[-1].suffix != ".safetensors":
        raise ModelError(
            f"f5: {folder} holds no .safetensors", "convert pickled weights, which can run code"
        )
    weights = files[-1]  # of several the one of most steps, which their names end with
    own = folder / "vocab.txt"
    revision = revision or sha256_of(weights)[:12]
    vocabulary = own if own.is_file() else None
    return weights, vocabulary, _architecture(architecture, known), revision


def _own_vocabulary() -> Path:
    """The vocabulary that the package brings along: that of its published models."""
    from importlib.resources import files

    return Path(str(files("f5_tts").joinpath("infer/examples/vocab.txt")))


def _model(name: str, vocabulary: Path, ode_method: str) -> Any:
    bare_package("f5_tts.model")
    from f5_tts.model.backbones.dit import DiT
    from f5_tts.model.cfm import CFM

    lines = vocabulary.read_text(encoding="utf-8").split("\n")
    if lines[-1] == "":
        lines.pop()
    numbers = {character: index for index, character in enumerate(lines)}
    mel = {
        "n_fft": 1024, "hop_length": HOP, "win_length": 1024, "n_mel_channels": MELS,
        "target_sample_rate": RATE_HZ, "mel_spec_type": "vocos",
    }  # fmt: skip
    return CFM(
        transformer=DiT(**ARCHITECTURES[name], text_num_embeds=len(numbers), mel_dim=MELS),
        mel_spec_kwargs=mel,
        odeint_kwargs={"method": ode_method},
        vocab_char_map=numbers,
    )


def _without_zeros(model: nn.Module) -> None:
    """Random numbers where training starts at zero: a network of zeros would hand noise on."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.02)


def _read(path: Path, architecture: str) -> dict[str, torch.Tensor]:
    """Weights as F5-TTS saves them: those of the moving average, with its prefix.

    Raises ModelError for a file that is torn or has other layers, before anything is built.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as problem:
        raise ModelError(f"f5: {path} can't be read: {problem}", "download it again") from problem
    state = {
        name.removeprefix("ema_model."): tensor
        for name, tensor in stored.items()
        if name not in ("initted", "step", "ema_model.initted", "ema_model.step")
        and "mel_spec" not in name
    }
    last = ARCHITECTURES[architecture]["depth"] - 1
    if f"transformer.transformer_blocks.{last}.attn.to_q.weight" not in state:
        raise _of_another_kind(path, architecture, f"it has no layer {last}")
    return state


def _put(model: nn.Module, state: dict[str, torch.Tensor], path: Path, architecture: str) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as problem:
        first = [*str(problem).splitlines(), ""][1].strip()[:200]
        raise _of_another_kind(path, architecture, first) from problem


def _of_another_kind(path: Path, architecture: str, why: str) -> ModelError:
    return ModelError(
        f"f5: {path.name} is not of the architecture {architecture} ({why})",
        "name the architecture ('v0' or 'v1') and check that vocab.txt belongs to the model",
    )


def _load_vocoder(vocoder: Vocoder, name: str) -> None:
    """Vocos's weights from a folder or the hub; the file's format can hold no code to run."""
    path = Path(name).expanduser()
    folder = path if path.is_dir() else snapshot(name, wanted=["pytorch_model.bin"]).folder
    file = folder / "pytorch_model.bin"
    if not file.is_file():
        raise ModelError(f"f5: the vocoder's pytorch_model.bin is missing in {folder}", _MEND)
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # zip, pickle and torch each fail in their own way
        first = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(
            f"f5: the vocoder {file} can't be read: {first[:200]}",
            "download charactr/vocos-mel-24khz again",
        ) from problem
    state = {key: value for key, value in stored.items() if not key.startswith("feature_extractor")}
    try:
        vocoder.load_state_dict(state)
    except RuntimeError as problem:
        raise ModelError(
            f"f5: {file} is no Vocos for 100 mel bands at 24 kHz", "use charactr/vocos-mel-24khz"
        ) from problem
