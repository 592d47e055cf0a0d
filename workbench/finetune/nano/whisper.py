"""whisper-nano: a tiny Whisper whose encoder also learns where each phone is spoken.

The architecture is Whisper's own (Radford et al., 2022), so that transformers, CTranslate2 and
faster-whisper load it as any other English-only Whisper. Two aids exist in training alone: a
linear classifier of flite's phones on the encoder, and guided cross-attention (Tachibana et al.,
2018), which tells some heads where in the audio the next word is. The guided heads are stored as
``alignment_heads``, from which word times are read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from workbench.finetune.nano.speech import PHONES
from workbench.models.whisper.window import encode

MEL_BINS = 80
POSITIONS = 1500  # 30 s of audio, 20 ms each
MAX_TOKENS = 448  # faster-whisper's own limit
TIMESTAMPS = 1501  # <|0.00|> to <|30.00|>
GUIDED_HEADS = 2  # of each decoder layer


def whisper_config(tokenizer: Any, **changes: Any) -> Any:
    """The architecture: 1.9 M parameters; ``changes`` override single settings."""
    from transformers import WhisperConfig

    end = tokenizer.eos_token_id
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer) + TIMESTAMPS,
        "num_mel_bins": MEL_BINS,
        "d_model": 128,
        "encoder_layers": 4,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 512,
        "decoder_layers": 2,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 512,
        "max_source_positions": POSITIONS,
        "max_target_positions": MAX_TOKENS,
        "dropout": 0.0,
        "pad_token_id": end,
        "bos_token_id": end,
        "eos_token_id": end,
        "decoder_start_token_id": tokenizer.convert_tokens_to_ids("<|startoftranscript|>"),
        "suppress_tokens": [],
        "begin_suppress_tokens": [],
    }
    return WhisperConfig(**(settings | changes))


def build_whisper(config: Any, tokenizer: Any) -> Any:
    """A ``WhisperForConditionalGeneration`` with fresh weights and its generation settings."""
    from transformers import GenerationConfig, WhisperForConditionalGeneration

    # Training reads the decoder's attention, which only the eager one returns; for these sizes
    # it is also the faster one to train.
    model = WhisperForConditionalGeneration._from_config(config, attn_implementation="eager")
    end = config.eos_token_id
    model.generation_config = GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        max_length=MAX_TOKENS,
        is_multilingual=False,
        return_timestamps=False,
        no_timestamps_token_id=tokenizer.convert_tokens_to_ids("<|notimestamps|>"),
        prev_sot_token_id=tokenizer.convert_tokens_to_ids("<|startofprev|>"),
        max_initial_timestamp_index=50,
        # An empty transcript is a right answer to silence, so nothing is forbidden at its start.
        suppress_tokens=[],
        begin_suppress_tokens=[],
        alignment_heads=[[config.decoder_layers - 1, head] for head in range(GUIDED_HEADS)],
    )
    return model


class PhoneClassifier(nn.Linear):
    """Which phone each 20 ms holds, from the encoder's output; dropped after training."""

    def __init__(self, size: int) -> None:
        super().__init__(size, len(PHONES))


def whisper_loss(model: Any, classifier: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the tokens, of the phones, and the guided heads' attention elsewhere.

    ``batch`` is a ``whisper_data.Batch``.
    """
    states = encode(model, batch.features)
    made = model.model.decoder(
        input_ids=batch.tokens,
        encoder_hidden_states=states,
        use_cache=False,
        output_attentions=True,
    )
    logits = model.proj_out(made.last_hidden_state)
    token = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), batch.targets.flatten(), label_smoothing=0.05
    )
    parts = {"token": token}
    loss = token
    if (batch.phones >= 0).any():
        heard = classifier(states).float().flatten(0, 1)
        parts["phone"] = nn.functional.cross_entropy(heard, batch.phones.flatten())
        loss = loss + 0.5 * parts["phone"]
    if batch.guides.any():
        parts["guide"] = torch.stack(
            [_guide_loss(attention, batch.guides) for attention in made.cross_attentions]
        ).mean()
        loss = loss + 0.2 * parts["guide"]
    return loss, parts


def _guide_loss(attention: Tensor, guides: Tensor) -> Tensor:
    """Minus the log of the attention that guided heads pay to where each token is spoken.

    ``attention`` ``[B, H, N, P]``; ``guides`` ``[B, N, 2]`` first and last position + 1, 0 0
    where nothing is known.
    """
    places = torch.arange(attention.shape[-1], device=attention.device)
    inside = (places >= guides[..., :1]) & (places < guides[..., 1:])
    paid = (attention[:, :GUIDED_HEADS].float() * inside[:, None]).sum(-1)
    known = inside.any(-1)[:, None].expand_as(paid)
    return -torch.log(paid[known].clamp_min(1e-4)).mean()
