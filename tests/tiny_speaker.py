"""A speaker encoder small enough for tests, in transformers' layout."""

from pathlib import Path

import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForXVector


def config(**changes) -> Wav2Vec2BertConfig:
    values = {
        "hidden_size": 16,
        "num_hidden_layers": 0,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "position_embeddings_type": None,
        "apply_spec_augment": False,
        "tdnn_dim": [16, 16, 16],
        "tdnn_kernel": [5, 3, 1],
        "tdnn_dilation": [1, 2, 1],
        "xvector_output_dim": 12,
        "num_labels": 4,
    }
    return Wav2Vec2BertConfig(**{**values, **changes})


def folder(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    Wav2Vec2BertForXVector(config()).eval().save_pretrained(path)
    SeamlessM4TFeatureExtractor().save_pretrained(path)
    return path
