"""A chat model small enough for tests, untrained, in transformers' layout."""

from pathlib import Path

import torch

from workbench.finetune.nano.chat import build_chat, build_tokenizer, chat_config

SETTINGS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def model(tokenizer, seed: int = 0, **changes):
    """Random weights, large enough that what is asked decides what is said."""
    torch.manual_seed(seed)
    made = build_chat(chat_config(tokenizer, **(SETTINGS | changes))).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5)
    return made


def folder(target: Path, seed: int = 0, template: bool = True, **changes) -> Path:
    """Writes a checkpoint; without ``template`` as a base model has it."""
    tokenizer = build_tokenizer()
    model(tokenizer, seed, **changes).save_pretrained(target)
    if not template:
        tokenizer.chat_template = None
    tokenizer.save_pretrained(target)
    return target
