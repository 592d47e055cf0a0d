"""csm-nano: a small CSM, its training forward pass on cached codes, and its losses.

The network is transformers' ``CsmForConditionalGeneration`` (Sesame's conversational speech
model). Its backbone predicts the first code of the next frame, its depth decoder the others.
The pass here repeats the backbone's layers one by one, because two losses look inside: some
attention heads are guided to the text being spoken (after Tachibana et al., "Efficiently
trainable text-to-speech system based on deep convolutional networks with guided attention",
2017), and a middle layer has to tell the next frame's phones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.finetune.nano.codec import DEAD_CODE, PHONES_PER_FRAME
from workbench.finetune.nano.language_data import Batch
from workbench.finetune.nano.speech import PHONES
from workbench.finetune.nano.tokenizer import AUDIO, AUDIO_END, PAD, TEXT_VOCABULARY

# Layers whose first heads are guided: to the letters now spoken, to their word's end, to the next
# word's end (a letter has seen only the text before it, a word's last letter the whole word).
GUIDED_HEADS = {1: 2, 2: 3}
PHONE_LAYER = 3  # the hidden state after this many layers tells the next frame's phones
DEPTH_WEIGHT = 2.0
GUIDE_WEIGHT = 0.1
PHONE_WEIGHT = 0.5
END_WEIGHT = 2.0
ROWS_STEP = 64


def language_config(codec: Any, **changes: Any) -> Any:
    """transformers' ``CsmConfig`` of csm-nano on the codec configuration ``codec``."""
    from transformers import CsmConfig

    vocabulary = codec.codebook_size + 3
    rope = {"rope_theta": 10_000.0, "rope_type": "default"}
    depth = {
        "num_codebooks": codec.num_quantizers,
        "backbone_hidden_size": changes.get("hidden_size", 256),
        "vocab_size": vocabulary,
        "hidden_size": 160,
        "intermediate_size": 480,
        "num_hidden_layers": 2,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "head_dim": 32,
        "max_position_embeddings": codec.num_quantizers + 1,
        "rope_parameters": dict(rope),
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    values: dict[str, Any] = {
        "num_codebooks": codec.num_quantizers,
        "vocab_size": vocabulary,
        "text_vocab_size": TEXT_VOCABULARY,
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 2048,
        "rope_parameters": dict(rope),
        "pad_token_id": PAD,
        "bos_token_id": 1,
        "eos_token_id": None,
        "audio_token_id": AUDIO,
        "audio_eos_token_id": AUDIO_END,
        "codebook_eos_token_id": DEAD_CODE,
        "codebook_pad_token_id": vocabulary - 1,
        "depth_decoder_config": depth | changes.pop("depth_decoder_config", {}),
        "codec_config": codec.to_dict(),
    }
    return CsmConfig(**(values | changes))


def build_language(config: Any) -> nn.Module:
    """A CSM with fresh weights, eager attention and no codec."""
    from transformers import CsmForConditionalGeneration

    config._attn_implementation = "eager"  # its weights are looked at, and it is quick this small
    model = CsmForConditionalGeneration(config)
    model.codec_model = nn.Identity()  # attached on loading; training works on cached codes
    return model


class PhoneScaffold(nn.Module):
    """What ties the backbone to the phones in training, and is dropped after it.

    It tells the next frame's four phones (or the end of audio) from a middle and from the last
    hidden state, and embeds a frame's phones where the codes don't exist yet.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        classes = len(PHONES) + 1
        self.middle = nn.Linear(hidden_size, PHONES_PER_FRAME * classes)
        self.last = nn.Linear(hidden_size, PHONES_PER_FRAME * classes)
        self.embedding = nn.Embedding(PHONES_PER_FRAME * classes, hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def embed(self, phones: Tensor) -> Tensor:
        """Embeddings ``[B, S, hidden]`` of phones ``[B, S, 4]``."""
        offsets = torch.arange(PHONES_PER_FRAME, device=phones.device) * (len(PHONES) + 1)
        return self.embedding(phones + offsets).sum(dim=2)

    def loss(self, head: nn.Linear, hidden: Tensor, wanted: Tensor) -> Tensor:
        """Cross entropy of phones ``[N, 4]``, told by ``head`` from states ``[N, hidden]``."""
        logits = head(hidden).float().unflatten(-1, (PHONES_PER_FRAME, -1))
        return F.cross_entropy(logits.flatten(0, 1), wanted.flatten())


def embed(model: Any, batch: Batch) -> Tensor:
    """Input embeddings ``[B, S, hidden]``: text tokens, or the sum of a frame's codes."""
    text = model.embed_text_tokens(batch.text)
    table = model.backbone_model.embed_tokens
    frames = table.embed_audio_tokens(batch.codes + table.audio_tokens_offsets).sum(dim=2)
    return torch.where(batch.is_frame[..., None], frames, text)


def backbone(model: Any, embedded: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Runs the backbone on ``[B, S, hidden]`` with padding on the right.

    Returns the last hidden states, those after ``PHONE_LAYER`` layers, and each layer's
    attention weights ``[B, heads, S, S]``.
    """
    core = model.backbone_model
    length = embedded.shape[1]
    positions = torch.arange(length, device=embedded.device)[None]
    rotary = core.rotary_emb(embedded, position_ids=positions)
    mask = torch.full((length, length), -1e4, device=embedded.device).triu(1)[None, None]
    hidden, middle, weights = embedded, embedded, []
    for number, layer in enumerate(core.layers):
        mixed, attention = layer.self_attn(
            hidden_states=layer.input_layernorm(hidden),
            position_embeddings=rotary,
            attention_mask=mask,
        )
        hidden = hidden + mixed
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        weights.append(attention)
        if number + 1 == PHONE_LAYER:
            middle = hidden
    return core.norm(hidden), middle, weights


def depth_logits(model: Any, hidden: Tensor, codes: Tensor) -> Tensor:
    """Logits ``[N, K - 1, vocabulary]`` of codes 2 to K, given a frame's true codes ``[N, K]``.

    ``hidden`` ``[N, hidden]`` is the backbone's state before the frame.
    """
    decoder = model.depth_decoder
    offsets = torch.arange(codes.shape[1] - 1, device=codes.device) * decoder.config.vocab_size
    known = decoder.model.embed_tokens(codes[:, :-1] + offsets)
    embedded = torch.cat([hidden[:, None].to(known.dtype), known], dim=1)
    ones = torch.ones(embedded.shape[:2], dtype=torch.long, device=codes.device)
    states = decoder.model(
        inputs_embeds=embedded, attention_mask=ones, use_cache=False
    ).last_hidden_state
    return torch.einsum("nkh,khv->nkv", states[:, 1:], decoder.codebooks_head.weight)


def alignment_loss(
    model: Any, scaffold: PhoneScaffold, batch: Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of the first phase, in which a frame is its phones and no codes exist yet."""
    text = model.embed_text_tokens(batch.text)
    embedded = torch.where(batch.is_frame[..., None], scaffold.embed(batch.heard), text)
    last, middle, weights = backbone(model, embedded)
    rows = predicted_rows(batch)
    early = scaffold.loss(scaffold.middle, middle[rows], batch.phones[rows])
    late = scaffold.loss(scaffold.last, last[rows], batch.phones[rows])
    guide = guide_loss(weights, batch, rows)
    return early + late + GUIDE_WEIGHT * guide, {"middle": early, "last": late, "guide": guide}


def language_loss(
    model: Any,
    scaffold: PhoneScaffold,
    batch: Batch,
    depth_share: float = 0.6,
    phone_weight: float = PHONE_WEIGHT,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The training loss of a batch and its parts.

    A state at position s predicts position s + 1: ``batch.targets[:, s]`` holds its codes,
    -100 where it is no frame.
    """
    last, middle, weights = backbone(model, embed(model, batch))
    rows = predicted_rows(batch)
    wanted = batch.targets[rows]
    states = last[rows]
    first = F.cross_entropy(model.lm_head(states).float(), wanted[:, 0], reduction="none")
    ends = wanted[:, 0] == DEAD_CODE
    first_loss = (first * torch.where(ends, END_WEIGHT, 1.0)).mean()
    deep = _rounded(int(depth_share * len(wanted)))  # the rows come in random order
    logits = depth_logits(model, states[:deep], wanted[:deep]).float()
    depth = F.cross_entropy(logits.flatten(0, 1), wanted[:deep, 1:].flatten())
    phone = scaffold.loss(scaffold.middle, middle[rows], batch.phones[rows])
    guide = guide_loss(weights, batch, rows)
    loss = first_loss + DEPTH_WEIGHT * depth + phone_weight * phone + GUIDE_WEIGHT * guide
    parts = {"c0": first.mean(), "depth": depth, "phone": phone, "guide": guide}
    return loss, parts


def predicted_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """Row and position of the states that predict a frame, in random order.

    A few are left out, so that their number is a multiple of ``ROWS_STEP``: a CPU's matrix
    kernels are made anew for every shape, which costs more than the sums themselves.
    """
    row, position = torch.nonzero(batch.targets[..., 0] >= 0, as_tuple=True)
    kept = torch.randperm(len(row), device=row.device)[: _rounded(len(row))]
    return row[kept], position[kept]


def _rounded(count: int) -> int:
    return max(count // ROWS_STEP, 1) * ROWS_STEP


def guide_loss(weights: list[Tensor], batch: Batch, rows: tuple[Tensor, Tensor]) -> Tensor:
    """-log of the guided heads' attention on allowed positions, mean over ``rows``."""
    losses = []
    for layer, heads in GUIDED_HEADS.items():
        if layer < len(weights):
            mass = (weights[layer][:, :heads].float() * batch.guides[:, :heads]).sum(-1)
            losses.append(-torch.log(mass.transpose(1, 2)[rows].clamp(min=1e-4)).mean())
    return torch.stack(losses).mean()
