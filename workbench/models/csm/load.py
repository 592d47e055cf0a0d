"""CSM from a checkpoint: the transformers model, its tokenizer, its sampling settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from workbench.errors import ModelError
from workbench.models.checkpoint import Checkpoint, verify
from workbench.models.csm.sampling import Sampling
from workbench.models.mimi.load import forget_tables, make_audible
from workbench.models.quiet import quiet
from workbench.models.shortage import is_shortage

if TYPE_CHECKING:
    from transformers import CsmForConditionalGeneration

_TIED_TABLE = "backbone_model.embed_tokens.embed_audio_tokens.weight"
_PAGE_BYTES = 4096


@dataclass(frozen=True)
class LoadedCsm:
    """A CSM ready to run.

    ``encode`` turns text into token ids without special tokens, ``encode_batch`` several at once.
    """

    model: CsmForConditionalGeneration
    encode: Callable[[str], list[int]]
    encode_batch: Callable[[Sequence[str]], list[list[int]]]
    begin_id: int
    end_id: int
    sampling: Sampling
    voices: Mapping[int, str]


def load_csm(
    checkpoint: Checkpoint,
    *,
    random: bool,
    dtype: torch.dtype,
    device: torch.device,
    codec_dtype: torch.dtype = torch.float32,
) -> LoadedCsm:
    """Builds the model in ``dtype`` on ``device``, its codec in ``codec_dtype``.

    ``random`` fills the full architecture without reading weights. Raises ModelError for
    files that are missing, truncated, or don't fit the architecture.
    """
    extra = checkpoint.read_json_or_empty("workbench.json")
    config = config_of(checkpoint)
    with quiet():
        if random:
            model = _random(config, dtype)
        else:
            model = _trained(checkpoint, config, dtype, extra.get("codec"))
    model.codec_model.to(codec_dtype)
    model.to(device).eval()
    forget_tables(model.codec_model)
    encode, encode_batch, begin_id, end_id = _tokenizer(checkpoint)
    voices = {int(key): str(voice["name"]) for key, voice in extra.get("voices", {}).items()}
    return LoadedCsm(
        model=model,
        encode=encode,
        encode_batch=encode_batch,
        begin_id=begin_id,
        end_id=end_id,
        sampling=_sampling(checkpoint.read_json_or_empty("generation_config.json")),
        voices=voices or {speaker: f"speaker {speaker}" for speaker in range(10)},
    )


def config_of(checkpoint: Checkpoint) -> Any:
    """The checkpoint's CsmConfig; ModelError where its file is missing or broken."""
    if checkpoint.folder is not None:
        checkpoint.read_json("config.json")  # a clear error where it is missing or broken
    with quiet():
        from transformers import CsmConfig

        if checkpoint.folder is None:
            return CsmConfig()
        return CsmConfig.from_pretrained(checkpoint.folder)


def _trained(
    checkpoint: Checkpoint, config: Any, dtype: torch.dtype, codec: str | None
) -> CsmForConditionalGeneration:
    from safetensors import SafetensorError
    from transformers import CsmForConditionalGeneration

    folder = checkpoint.folder
    assert folder is not None  # only random weights come without a folder
    if not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{checkpoint.name}: no .safetensors file in {folder}",
            "only safetensors weights are loaded; convert the checkpoint or restore the file",
        )
    try:
        if codec is None:
            model, report = CsmForConditionalGeneration.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True
            )
        else:
            model, report = CsmForConditionalGeneration.from_pretrained(
                None,
                config=config,
                state_dict=_with_codec(folder, folder.parent / codec),
                dtype=dtype,
                output_loading_info=True,
            )
    except (SafetensorError, OSError, RuntimeError) as problem:
        if is_shortage(problem):
            raise
        raise ModelError(
            f"{checkpoint.name}: the weights in {folder} can't be read: {problem}",
            "restore the folder's files, or download them again",
        ) from problem
    if config.tie_codebooks_embeddings:
        # transformers 5.17 forgets this tie where the file holds one copy of the table.
        audio_table = model.backbone_model.embed_tokens.embed_audio_tokens
        audio_table.weight = model.depth_decoder.model.embed_tokens.weight
        report["missing_keys"] = set(report["missing_keys"]) - {_TIED_TABLE}
    wrong = {kind: sorted(map(str, report[kind])) for kind in ("missing_keys", "mismatched_keys")}
    for kind, names in wrong.items():
        if names:
            raise ModelError(
                f"{checkpoint.name}: {len(names)} weights are {kind.removesuffix('_keys')}, "
                f"first {names[0]}",
                "the weights don't belong to this config.json: restore both from one source",
            )
    return model


def _with_codec(folder: Path, codec_folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a CSM whose codec is shipped once, in a folder of its own."""
    from safetensors.torch import load_file

    if not (codec_folder / "model.safetensors").is_file():
        raise ModelError(
            f"{folder.name}: its codec is missing at {codec_folder}",
            f"restore the folder {codec_folder.name} beside {folder.name}",
        )
    verify(codec_folder)
    weights = load_file(folder / "model.safetensors")
    for name, tensor in load_file(codec_folder / "model.safetensors").items():
        weights[f"codec_model.{name}"] = tensor
    return weights


def _random(config: Any, dtype: torch.dtype) -> CsmForConditionalGeneration:
    from transformers import CsmForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CsmForConditionalGeneration._from_config(config, dtype=dtype)
        make_audible(model.codec_model.to(torch.float32))
    return model


def touch(model: torch.nn.Module) -> int:
    """Reads a byte of each page of every weight, so that all are in memory; returns the pages."""
    pages = 0
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.numel() and tensor.is_contiguous():
            read = tensor.detach().view(-1).view(torch.uint8)[::_PAGE_BYTES]
            read.max()  # waits for the bytes, also on a GPU's stream
            pages += len(read)
    return pages


def _tokenizer(
    checkpoint: Checkpoint,
) -> tuple[Callable[[str], list[int]], Callable[[Sequence[str]], list[list[int]]], int, int]:
    if checkpoint.folder is None:
        # Without a download there is no tokenizer: bytes stand in, for timing. Llama 3's
        # tokens are about four times as long, so that the prefill here is the longer one.
        def encode(text: str) -> list[int]:
            return list(text.encode())

        return encode, lambda texts: [encode(text) for text in texts], 128000, 128001
    from tokenizers import Tokenizer

    path = checkpoint.folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{checkpoint.name}: tokenizer.json is missing in {checkpoint.folder}",
            "restore the file",
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as problem:  # tokenizers raises bare Exception for a broken file
        raise ModelError(
            f"{checkpoint.name}: {path} can't be read: {problem}", "restore the file"
        ) from problem
    begin_id = tokenizer.token_to_id("<|begin_of_text|>")
    end_id = tokenizer.token_to_id("<|end_of_text|>")
    if begin_id is None or end_id is None:
        raise ModelError(
            f"{checkpoint.name}: its tokenizer has no <|begin_of_text|> and <|end_of_text|>",
            "use the tokenizer that belongs to a CSM checkpoint",
        )
    return (
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        lambda texts: [
            one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ],
        int(begin_id),
        int(end_id),
    )


def _sampling(settings: Mapping[str, Any]) -> Sampling:
    """Sampling as generation_config.json says; CSM-1B's published settings where it is silent."""

    def temperature(prefix: str) -> float:
        sampled = settings.get(f"{prefix}do_sample", True)
        return float(settings.get(f"{prefix}temperature", 0.9)) if sampled else 0.0

    return Sampling(
        temperature=temperature(""),
        top_k=int(settings.get("top_k", 50)),
        depth_temperature=temperature("depth_decoder_"),
        depth_top_k=int(settings.get("depth_decoder_top_k", 50)),
    )
