"""chat-nano: a tiny Llama that answers the nano domain's questions, word by word.

The architecture is Llama's own (Touvron et al., 2023), so that transformers loads it as any other.
It is trained on the user's words as well as on the answers: so it also knows how likely a
sentence is over, which the turn detector asks it.
"""

from __future__ import annotations

from typing import Any

from workbench.finetune.nano.dialogues import vocabulary

NAME = "chat-nano"
END = "<|end|>"
SPECIALS = ("<|pad|>", "<|unk|>", END, "<|user|>", "<|assistant|>", "<|system|>")
CONTEXT = 512
# A message is its role, its words, and the end.
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] "
    "+ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer() -> Any:
    """One token a word of the domain, and one for a comma; other words are unknown.

    Capitals and the signs that end a sentence are dropped, as the domain has none.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    texts = [*SPECIALS, ",", *vocabulary()]
    raw = Tokenizer(
        models.WordLevel({text: place for place, text in enumerate(texts)}, unk_token="<|unk|>")
    )
    raw.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex('[.?!;:"]'), "")]
    )
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(",", "isolated")]
    )
    # Words with spaces between, none before a comma.
    raw.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<|pad|>",
        unk_token="<|unk|>",
        eos_token=END,
        additional_special_tokens=list(SPECIALS[3:]),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def chat_config(tokenizer: Any, **changes: Any) -> Any:
    """The architecture; ``changes`` override single settings."""
    from transformers import LlamaConfig

    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 160,
        "intermediate_size": 448,
        "num_hidden_layers": 4,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "attention_dropout": 0.0,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    return LlamaConfig(**(settings | changes))


def build_chat(config: Any) -> Any:
    """A ``LlamaForCausalLM`` with fresh weights and its generation settings."""
    from transformers import GenerationConfig, LlamaForCausalLM

    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, do_sample=False
    )
    return model
