"""The guest engines: synthesizers whose packages live in an environment of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError

_REQUIREMENTS = Path(__file__).with_name("requirements")


@dataclass(frozen=True)
class Guest:
    """An engine in an environment of its own.

    ``target`` ("module:class") is hosted by that environment's interpreter. ``distribution`` is
    the package whose version names the implementation, ``modules`` are what must import there
    and ``shared`` the distributions that it takes from the workbench's environment; the versions
    of all of them stand in every record. ``checkpoint`` is what is loaded where none is named
    (empty: one must be). Of the packages in ``bare`` modules are imported without the package's
    own start-up code (entries of ``bare_package``, in order). ``python_only`` names packages whose
    compiled library isn't needed and doesn't load beside PyTorch for the CPU.
    """

    name: str
    summary: str
    licence: str
    target: str
    distribution: str
    modules: tuple[str, ...]
    shared: tuple[str, ...] = ()
    checkpoint: str = ""
    bare: tuple[str, ...] = ()
    python_only: tuple[str, ...] = ()

    @property
    def requirements(self) -> Path:
        """The tested requirement set: exact versions, everything that the environment holds."""
        return _REQUIREMENTS / f"{self.name}.txt"


_TORCH = ("torch", "transformers", "numpy", "scipy", "safetensors", "huggingface-hub")

GUESTS = {
    guest.name: guest
    for guest in (
        Guest(
            name="piper",
            summary="VITS voices in ONNX: small, quick, many languages",
            licence="GPL-3.0-or-later (package); each voice has its own",
            target="workbench.engines.guests.piper:Piper",
            distribution="piper-tts",
            modules=("piper", "onnxruntime", "onnx"),
            shared=("onnxruntime", "numpy"),
        ),
        Guest(
            name="chatterbox",
            summary="T3 and S3Gen: clones a voice from seconds of it, English",
            licence="MIT",
            target="workbench.engines.guests.chatterbox:Chatterbox",
            distribution="chatterbox-tts",
            modules=("chatterbox.tts", "librosa.effects"),
            shared=_TORCH,
            checkpoint="ResembleAI/chatterbox",
            python_only=("torchaudio",),
        ),
        Guest(
            name="f5",
            summary="F5-TTS: flow matching, clones a voice; Spanish with its own text rules",
            licence="MIT (package); CC-BY-NC-4.0 (published weights)",
            target="workbench.engines.guests.f5:F5",
            distribution="f5-tts",
            modules=(
                "f5_tts.model.backbones.dit",
                "f5_tts.model.cfm",
                "vocos.models",
                "vocos.heads",
            ),
            bare=("f5_tts.model", "vocos"),
            shared=_TORCH,
            checkpoint="SWivid/F5-TTS",
            python_only=("torchaudio",),
        ),
        Guest(
            name="fish",
            summary="Fish-Speech: two transformers over a codec's tokens, clones a voice",
            licence="Apache-2.0 (package); CC-BY-NC-SA-4.0 (published weights)",
            target="workbench.engines.guests.fish:Fish",
            distribution="fish-speech",
            modules=(
                "fish_speech.models.text2semantic.inference",
                "fish_speech.models.dac.modded_dac",
                "fish_speech.models.dac.rvq",
            ),
            bare=(
                "hydra",
                "librosa",
                "audiotools:AudioSignal",
                "audiotools.ml",
                "audiotools.ml.layers",
                "audiotools.ml:BaseModel=audiotools.ml.layers.base",
                "dac",
                "dac.nn",
                "dac.model",
            ),
            shared=_TORCH,
            checkpoint="fishaudio/openaudio-s1-mini",
        ),
    )
}


def guest(name: str) -> Guest:
    """The guest engine called ``name``; InputError where there is none."""
    if name not in GUESTS:
        raise InputError(f"no guest engine called {name!r}", f"use {', '.join(GUESTS)}")
    return GUESTS[name]
