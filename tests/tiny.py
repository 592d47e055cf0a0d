"""A CSM small enough for tests, in the layout that a hub checkpoint has."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CsmConfig, CsmForConditionalGeneration, GenerationConfig

CODEBOOKS = 4
CODES = 16
CHARACTERS = " abcdefghijklmnopqrstuvwxyz0123456789[].,'!?"
SPECIAL = ["<|pad|>", "<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>"]

CODEC = {
    "model_type": "mimi",
    "sampling_rate": 24_000,
    "num_filters": 4,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 64,
    "codebook_size": CODES,
    "codebook_dim": 8,
    "vector_quantization_hidden_dimension": 8,
    "num_quantizers": CODEBOOKS,
    "upsampling_ratios": [8, 6, 5, 4],
    "upsample_groups": 32,
    "sliding_window": 25,
    "use_cache": False,
}


def config(**changes) -> CsmConfig:
    """Grouped-query attention, a RoPE with scaling, and more heads than groups: as CSM-1B."""
    settings = {
        "num_codebooks": CODEBOOKS,
        "vocab_size": CODES + 3,
        "text_vocab_size": len(SPECIAL) + len(CHARACTERS),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        "codebook_pad_token_id": CODES + 2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "audio_token_id": 3,
        "audio_eos_token_id": 4,
        "depth_decoder_config": {
            "num_codebooks": CODEBOOKS,
            "vocab_size": CODES + 3,
            "backbone_hidden_size": 64,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": CODEBOOKS + 1,
        },
        "codec_config": CODEC,
    }
    return CsmConfig(**{**settings, **changes})


def model(seed: int = 0, **changes) -> CsmForConditionalGeneration:
    """Random weights, large enough that logits differ clearly."""
    torch.manual_seed(seed)
    made = CsmForConditionalGeneration._from_config(config(**changes), dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if not name.startswith("codec_model") and parameter.ndim > 1:
                parameter.normal_(std=0.3 if "head" in name else 0.1)
    return made.eval()


def tokenizer() -> Tokenizer:
    """One token a character."""
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *CHARACTERS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=" "))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.add_special_tokens(SPECIAL)
    return made


def checkpoint(folder: Path, seed: int = 0) -> Path:
    """Writes a whole checkpoint into ``folder``."""
    made = model(seed)
    made.generation_config = GenerationConfig(do_sample=True, temperature=0.8, top_k=5)
    made.generation_config.depth_decoder_do_sample = False
    made.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder
