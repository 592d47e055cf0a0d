"""A Whisper small enough for tests, untrained, in transformers' layout and in CTranslate2's."""

from pathlib import Path

import torch

from workbench.finetune.nano.whisper import build_whisper, whisper_config
from workbench.finetune.nano.whisper_export import save
from workbench.finetune.nano.whisper_tokenizer import build_tokenizer
from workbench.models.whisper.convert import to_ctranslate2
from workbench.models.whisper.find import CTRANSLATE2_FOLDER

SETTINGS = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 48,
}


def model(tokenizer, seed: int = 0):
    """Random weights, large enough that what is heard decides what is written."""
    torch.manual_seed(seed)
    made = build_whisper(whisper_config(tokenizer, **SETTINGS), tokenizer).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1 and "embed_positions" not in name:
                parameter.normal_(std=0.6 if "encoder_attn" in name else 0.3)
        # Text only: a timestamp would have transformers' generate go on with another segment.
        made.proj_out.weight[len(tokenizer) :] = 0
        # The end gets likelier with each token.
        positions = made.model.decoder.embed_positions.weight
        end = made.proj_out.weight[tokenizer.eos_token_id]
        positions += torch.arange(len(positions))[:, None] / 6 * end
    return made


def folder(target: Path) -> Path:
    """Writes both layouts below ``target``; returns it."""
    target.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(330, sentences=200)
    save(model(tokenizer), tokenizer, target)
    to_ctranslate2(target, target / CTRANSLATE2_FOLDER, quantization="float32")
    return target
