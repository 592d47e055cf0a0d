"""Piper: VITS voices in ONNX files, spoken sentence by sentence (piper-tts, OHF-Voice).

A voice is a file ``name.onnx`` with ``name.onnx.json`` beside it. Phonemes come from the
eSpeak NG that piper-tts brings along, or from the text itself where the voice says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.engines.guests.hosted import About, Ending, Request, Wanted
from workbench.errors import InputError, ModelError
from workbench.files import sha256_of
from workbench.models.hub import snapshot

_INPUTS = {"input", "input_lengths", "scales"}
_VOICES = "rhasspy/piper-voices"
_MEND = "pass a voice's .onnx file with its .onnx.json beside it: load('piper:voices/name.onnx')"
_SEED = (
    "a voice draws its noise inside its ONNX graph, so a seed can't bring the same speech again; "
    "temperature=0 speaks without noise, repeatable=True makes the session anew for each request"
)


@dataclass(frozen=True)
class Settings:
    """Piper's own settings; None takes the voice file's.

    ``length_scale`` above 1 speaks slower. ``noise_scale`` is the noise of the sound,
    ``noise_w_scale`` that of the durations. ``normalize`` scales each sentence to full level, as
    piper-tts does by default. ``repeatable`` honours seeds, at the price of a new session a
    request.
    """

    length_scale: float | None = None
    noise_scale: float | None = None
    noise_w_scale: float | None = None
    normalize: bool = True
    volume: float = 1.0
    repeatable: bool = False

    def __post_init__(self) -> None:
        for name in ("length_scale", "noise_scale", "noise_w_scale"):
            value = getattr(self, name)
            if value is not None and (value < 0 or (name == "length_scale" and value == 0)):
                raise InputError(f"{name}={value}", "use a positive number")
        if self.volume <= 0:
            raise InputError(f"volume={self.volume}", "use a positive number")


class Piper:
    """A Piper voice in its own environment."""

    def __init__(self, wanted: Wanted) -> None:
        import onnxruntime

        if wanted.optimizations:
            raise InputError(
                "piper runs in onnxruntime, where PyTorch's optimizations don't apply",
                "leave optimizations out; threads= and device= choose how it runs",
            )
        if wanted.dtype not in (None, "float32"):
            raise InputError(
                f"piper with dtype={wanted.dtype!r}", "leave it out: a voice file says its types"
            )
        self._settings = Settings(**wanted.settings)
        self._threads = wanted.threads
        self._onnxruntime = onnxruntime
        self._provider = _provider(onnxruntime, wanted.device)
        self._model: str | bytes
        if wanted.random:
            from workbench.engines.guests.piper_random import random_voice

            self._model, self._told = random_voice(wanted.size)
            self._weights = "random"
        else:
            path = _voice_file(wanted)
            self._model, self._told = str(path), _config(path)
            self._weights = sha256_of(path)[:12]
        self._voice = self._made_voice()

    def about(self) -> About:
        """The voice, its speakers and its settings."""
        config = self._voice.config
        names = {number: name for name, number in config.speaker_id_map.items()}
        if not names:
            label = self._told.get("dataset") or config.espeak_voice or "the voice"
            names = dict.fromkeys(range(max(1, config.num_speakers)), label)
        return About(
            weights=self._weights,
            rate_hz=config.sample_rate,
            voices=dict(sorted(names.items())),
            device="cuda" if self._provider.startswith("CUDA") else "cpu",
            dtype="float32",
            threads=self._options().intra_op_num_threads or _cores(),
            left_out={} if self._settings.repeatable else {"seed": _SEED},
            settings={**asdict(self._settings), "espeak": config.espeak_voice},
        )

    def warm_up(self) -> float:
        """Speaks a word: the phonemizer's data and the session's memory are there then."""
        started = time.perf_counter()
        for _ in self._voice.synthesize("a"):
            pass
        return time.perf_counter() - started

    def speak(self, request: Request) -> Iterator[np.ndarray | Ending]:
        """A piece of sound for each sentence, as piper-tts cuts them."""
        from piper.config import SynthesisConfig

        if self._settings.repeatable:
            self._onnxruntime.set_seed(request.seed)
            self._voice.session = self._session()
        noise, durations = self._noise(request.temperature)
        config = SynthesisConfig(
            speaker_id=request.voice if self._voice.config.num_speakers > 1 else None,
            length_scale=self._settings.length_scale,
            noise_scale=noise,
            noise_w_scale=durations,
            normalize_audio=self._settings.normalize,
            volume=self._settings.volume,
        )
        spoken = 0
        begun = time.perf_counter()
        for chunk in self._voice.synthesize(request.text, config):
            spoken += 1
            yield np.asarray(chunk.audio_float_array, np.float32)
        if not spoken:
            raise InputError(
                f"piper found nothing to say in {request.text!r}",
                f"use the voice's language, {self._voice.config.espeak_voice}",
            )
        total_ms = (time.perf_counter() - begun) * 1000
        yield Ending(stages_ms={"voice": total_ms} if request.time_stages else {})

    def _noise(self, temperature: float | None) -> tuple[float | None, float | None]:
        """The two noise scales: the settings' or the voice's, times ``temperature``."""
        config = self._voice.config
        noise, durations = self._settings.noise_scale, self._settings.noise_w_scale
        if temperature is None:
            return noise, durations
        if temperature < 0:
            raise InputError(f"a temperature of {temperature}", "use 0 or more")
        own = (config.noise_scale if noise is None else noise,
               config.noise_w_scale if durations is None else durations)  # fmt: skip
        return own[0] * temperature, own[1] * temperature

    def _made_voice(self) -> Any:
        from piper import PiperVoice
        from piper.config import PiperConfig

        try:
            config = PiperConfig.from_dict(self._told)
        except (KeyError, TypeError, ValueError) as problem:
            raise ModelError(
                f"piper: the voice's JSON lacks or has a wrong {problem}",
                "use a voice of piper 1.0 or later; older ones need exporting again",
            ) from problem
        session = self._session()
        needed = _INPUTS | ({"sid"} if config.num_speakers > 1 else set())
        inputs = {one.name for one in session.get_inputs()}
        if inputs != needed:
            raise ModelError(
                f"piper: the voice takes {', '.join(sorted(inputs))} "
                f"instead of {', '.join(sorted(needed))}",
                "use a voice exported for piper (VITS), with the JSON that belongs to it",
            )
        return PiperVoice(session=session, config=config)

    def _session(self) -> Any:
        try:
            session = self._onnxruntime.InferenceSession(
                self._model, sess_options=self._options(), providers=[self._provider]
            )
        except Exception as problem:  # onnxruntime has an exception type for each way of failing
            raise ModelError(
                f"piper: the voice can't be loaded: {str(problem).splitlines()[0]}",
                "download the .onnx file again, or update the engine: "
                "workbench engines install piper --again",
            ) from problem
        if session.get_providers()[0] != self._provider:  # it falls back to the CPU by itself
            raise ModelError(
                f"piper: onnxruntime could not use {self._provider} here",
                "check the GPU with `workbench hardware`, or use device='cpu'",
            )
        return session

    def _options(self) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        return options


def _provider(onnxruntime: Any, device: str | None) -> str:
    """The execution provider for ``device``: CUDA's where it is there and nothing is said."""
    there = onnxruntime.get_available_providers()
    if device is not None and device != "cpu" and not device.startswith("cuda"):
        raise InputError(f"no device called {device!r}", "use 'cpu' or 'cuda'")
    cuda = "CUDAExecutionProvider"
    if device is not None and device.startswith("cuda") and cuda not in there:
        raise InputError(
            "device 'cuda' was asked for, but this onnxruntime has no CUDA provider",
            "pip install onnxruntime-gpu in the workbench's environment, or use device='cpu'",
        )
    return cuda if device != "cpu" and cuda in there else "CPUExecutionProvider"


def _voice_file(wanted: Wanted) -> Path:
    """The ``.onnx`` file: named, the only one of a folder, or a voice's name on the hub."""
    name = wanted.checkpoint
    if not name:
        raise InputError("piper without a voice", _MEND)
    path = Path(name).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.onnx"))
        if len(found) != 1:
            held = ", ".join(one.name for one in found) or "none"
            raise InputError(f"piper: {path} holds several voices or no one ({held})", _MEND)
        return found[0]
    if path.is_file():
        if path.suffix != ".onnx":
            raise ModelError(
                f"piper: {path.name} is no ONNX file",
                "export the checkpoint with piper.train.export_onnx, or use a released voice",
            )
        return path
    if path.suffix == ".onnx" or "/" in name:
        raise InputError(f"piper: no voice at {name}", _MEND)
    return _from_hub(name, wanted.revision)


def _from_hub(name: str, revision: str | None) -> Path:
    """A released voice by its name, such as ``es_ES-davefx-medium``."""
    parts = name.split("-")
    if len(parts) != 3:
        raise InputError(f"piper: no voice called {name!r}", _MEND)
    language, dataset, quality = parts
    inside = f"{language.partition('_')[0]}/{language}/{dataset}/{quality}/{name}.onnx"
    held = snapshot(_VOICES, revision, wanted=[inside, f"{inside}.json"])
    path = held.folder / inside
    if not path.is_file():
        raise ModelError(f"piper: the hub has no voice {name!r}", f"see {_VOICES} for their names")
    return path


def _config(path: Path) -> dict[str, Any]:
    """The JSON beside a voice; ModelError where it is missing, broken or of another kind."""
    beside = path.with_name(f"{path.name}.json")
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise ModelError(f"piper: {beside.name} is missing beside {path.name}", _MEND) from problem
    except ValueError as problem:
        raise ModelError(
            f"piper: {beside.name} can't be read as JSON: {problem}", "download it again"
        ) from problem
    if not isinstance(told, dict) or "phoneme_id_map" not in told:
        raise ModelError(
            f"piper: {beside.name} has no phoneme_id_map: it belongs to no voice of piper 1.0",
            "download the voice and its JSON again, both of one version",
        )
    return told


def _cores() -> int:
    import os

    return os.cpu_count() or 1
