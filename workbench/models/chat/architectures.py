"""Language models of real sizes with random weights: for timing where no hub can be reached.

The shapes are those of the models' published config.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# meta-llama/Llama-3.2-1B: 1.24 B parameters, input and output embeddings shared.
_LLAMA_1B = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "bos_token_id": 128_000,
    "eos_token_id": 128_001,
}
# HuggingFaceTB/SmolLM2-1.7B (Allal et al., 2025): 1.71 B parameters, no grouped queries.
_SMOL_1_7B = {
    "vocab_size": 49_152,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 130_000.0},
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# HuggingFaceTB/SmolLM2-135M: the same vocabulary, so it can draft for the larger one.
_SMOL_135M = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama-3.2-1b": _LLAMA_1B,
    "smollm2-1.7b": _SMOL_1_7B,
    "smollm2-135m": _SMOL_135M,
}


def architecture(name: str) -> Any:
    """The ``LlamaConfig`` of one of ``ARCHITECTURES``."""
    from transformers import LlamaConfig

    return LlamaConfig(**ARCHITECTURES[name], rms_norm_eps=1e-5, tie_word_embeddings=True)


def random_model(config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """The architecture of ``config`` with random weights, the same each time on a device."""
    import torch
    from transformers import AutoModelForCausalLM

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.device(device):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


class NumberedWords:
    """Stands in for the tokenizer of random weights: bytes in, a made-up word for each token out.

    Real tokenizers make about a quarter as many tokens of English, so that a prompt here takes
    longer than a real one.
    """

    template = "bytes"

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids of a conversation."""
        return list("\n".join(f"{m['role']}: {m['content']}" for m in messages).encode())

    def unfinished(self, messages: list[dict[str, str]]) -> tuple[list[int], tuple[int, ...]]:
        """Token ids of a conversation whose last message may go on, and of what would end it."""
        return self.prompt(messages), (ord("\n"), ord("."), ord("?"), ord("!"))

    def decode(self, tokens: list[int]) -> str:
        """Text of ``tokens``."""
        return "".join(f" w{token}" for token in tokens)

    def vocabulary(self) -> dict[str, int]:
        """Token texts and ids: none."""
        return {}
