"""Chatterbox's networks: found and loaded, or of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from workbench.engines.guests.hosted import Wanted
from workbench.engines.guests.torch_guest import folder_of
from workbench.errors import ModelError

FILES = ("ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json")
_CONDITIONS = "conds.pt"
_MEND = "name a folder in chatterbox's layout, or a hub id such as ResembleAI/chatterbox"
_SMALL = "workbench_small"


def load_chatterbox(wanted: Wanted, device: str) -> tuple[Any, str]:
    """A ``ChatterboxTTS`` in float32 on ``device``, and what its weights are called.

    Raises InputError for a checkpoint that is no folder or hub id, ModelError for files that are
    missing or damaged.
    """
    if wanted.random:
        return _random(wanted.size == "small", device), "random"
    folder, revision = _folder(wanted)
    from chatterbox.tts import ChatterboxTTS  # only now: it takes seconds to import

    try:
        return ChatterboxTTS.from_local(folder, device), revision
    except Exception as problem:  # safetensors, torch and json each fail in their own way
        first = str(problem).strip().splitlines()[0]
        raise ModelError(
            f"chatterbox: {folder} can't be loaded: {first[:200]}",
            "download it again; the files must be of chatterbox 0.1.3 or later",
        ) from problem


def _folder(wanted: Wanted) -> tuple[Path, str]:
    wants: tuple[str, ...] = (*FILES, _CONDITIONS)
    path = Path(wanted.checkpoint).expanduser()
    if path.is_dir() and not (path / _CONDITIONS).is_file():
        wants = FILES  # a folder need not have a voice of its own
    return folder_of("chatterbox", wanted.checkpoint, wants, wanted.revision, _MEND)


def _random(small: bool, device: str) -> Any:
    """The architecture with random weights; ``small`` with two layers of T3 and one of each stack.

    Widths stay, because the package fixes them.
    """
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.t3 import T3
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
    from chatterbox.models.t3.modules.t3_config import T3Config
    from chatterbox.models.voice_encoder import VoiceEncoder
    from chatterbox.tts import ChatterboxTTS

    torch.manual_seed(0)
    hp = T3Config.english_only()
    if small:
        LLAMA_CONFIGS[_SMALL] = {
            **LLAMA_CONFIGS[hp.llama_config_name], "num_hidden_layers": 2, "intermediate_size": 512,
        }  # fmt: skip
        hp.llama_config_name = _SMALL
        hp.max_text_tokens, hp.max_speech_tokens = 512, 1_024
    t3, s3gen = T3(hp), S3Gen()
    if small:
        flow, tokenizer = s3gen.flow, s3gen.tokenizer
        flow.encoder.encoders = flow.encoder.encoders[:1]
        flow.encoder.up_encoders = flow.encoder.up_encoders[:1]
        flow.decoder.estimator.mid_blocks = flow.decoder.estimator.mid_blocks[:1]
        tokenizer.encoder.blocks = tokenizer.encoder.blocks[:1]
    parts = [one.to(device).eval() for one in (t3, s3gen, VoiceEncoder())]
    return ChatterboxTTS(parts[0], parts[1], parts[2], ByteTokens(), device)


class ByteTokens:
    """Text to token ids by UTF-8 bytes, where there is no checkpoint to bring a tokenizer."""

    def text_to_tokens(self, text: str) -> torch.Tensor:
        """``[1, N]``, none of them a token of T3's that starts or stops text (255 and 0)."""
        return torch.tensor([[1 + byte % 254 for byte in text.encode()]], dtype=torch.int32)
