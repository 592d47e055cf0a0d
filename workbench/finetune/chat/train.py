"""``finetune_chat``: LoRA on a causal language model, from question → answer pairs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.errors import InputError
from workbench.files import sha256_of, write_json
from workbench.finetune import trainer as training
from workbench.finetune.nano.export import finish
from workbench.models.chat.find import NANO, find_chat
from workbench.models.csm.adapter import outdated_names
from workbench.models.quiet import quiet

ADAPTER, MODEL = "adapter", "model"
_IGNORED = -100


@dataclass(frozen=True)
class ChatRecipe(training.TrainerRecipe):
    """What decides what comes out; the adapter is on every projection."""

    rate: float = 5e-4
    rank: int = 16
    alpha: int = 32


@dataclass(frozen=True)
class Pair:
    """What a user says and what is to be answered."""

    question: str
    answer: str


def read_pairs(path: Path | str) -> list[Pair]:
    """Pairs of a JSONL file, a ``{"question": …, "answer": …}`` a line.

    Raises InputError for a file that is missing or has another line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}", "name a JSONL file of questions and answers")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            pair = Pair(str(row["question"]).strip(), str(row["answer"]).strip())
        except (ValueError, KeyError, TypeError) as problem:
            raise InputError(
                f"{path}, line {number} has no question and answer",
                'write {"question": "…", "answer": "…"} on each line',
            ) from problem
        if not pair.question or not pair.answer:
            raise InputError(f"{path}, line {number} is empty", "leave the line out")
        pairs.append(pair)
    return pairs


def finetune_chat(
    data: Path | str,
    out: Path | str,
    *,
    base: str = NANO,
    device: str | None = None,
    resume: bool = True,
    threads: int | None = None,
    revision: str | None = None,
    recipe: ChatRecipe | None = None,
) -> dict[str, Any]:
    """Fine-tunes ``base`` on the pairs in ``data``.

    Writes the adapter (peft's layout, safetensors) to ``out / "adapter"`` and the merged model to
    ``out / "model"``, which ``load_chat`` takes. Only answers count in the loss. Raises InputError
    for unusable pairs or a model without a chat template.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    if threads is not None:
        torch.set_num_threads(threads)
    recipe, out = recipe or ChatRecipe(), Path(out)
    pairs = read_pairs(data)
    found = find_chat(base, revision=revision)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(found.folder)
    if not tokenizer.chat_template:
        raise InputError(f"{base} has no chat template", "use an instruction-tuned model")
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear")
    with outdated_names():
        adapted: Any = get_peft_model(model, config)
    if recipe.checkpointing:
        adapted.enable_input_require_grads()
    rows = [encoded(tokenizer, pair) for pair in pairs]
    train, held_out = training.split(rows, recipe.held_out_share)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    done = training.train(
        Trainer(
            model=adapted,
            args=training.arguments(TrainingArguments, out, recipe, device),
            train_dataset=train,
            eval_dataset=held_out,
            data_collator=lambda some: collate(some, pad),
        ),
        out,
        resume=resume,
    )
    about = {
        "kind": "chat-lora",
        "base": base,
        "base_revision": found.revision,
        "data_sha256": sha256_of(data),
        "pairs": len(pairs),
        "recipe": asdict(recipe),
        **{name: done[name] for name in ("steps", "held_out")},
    }
    for one in adapted.peft_config.values():
        one.base_model_name_or_path = base  # not the path of this machine's files
    merged = out / MODEL
    with quiet():
        adapted.cpu().save_pretrained(str(out / ADAPTER), save_embedding_layers=False)
        adapted.merge_and_unload().to(_stored(found.folder)).save_pretrained(merged)
        tokenizer.save_pretrained(merged)
    card = (
        f"# {base}, fine-tuned by LoRA\n\nOn {len(pairs)} pairs, rank {recipe.rank}, "
        f"{recipe.epochs} epochs; weights {found.revision}.\n"
    )
    for folder in (out / ADAPTER, merged):
        write_json(folder / "workbench.json", about)
        finish(folder, card)
    return {"adapter": str(out / ADAPTER), "model": str(merged), **done}


def encoded(tokenizer: Any, pair: Pair) -> dict[str, list[int]]:
    """Token ids of the dialogue, and labels that leave all but the answer and its end out."""
    asked = [{"role": "user", "content": pair.question}]
    whole = [*asked, {"role": "assistant", "content": pair.answer}]
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    text = tokenizer.apply_chat_template(whole, tokenize=False)
    if not text.startswith(prompt):
        raise InputError(
            "the chat template writes a question differently once it is answered",
            "use a model whose template keeps it",
        )
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(text[len(prompt) :], add_special_tokens=False)["input_ids"]
    return {"input_ids": [*ids, *answer], "labels": [*([_IGNORED] * len(ids)), *answer]}


def collate(rows: list[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Rows padded on the right: ``input_ids``, ``attention_mask`` and ``labels`` ``[B, N]``."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), _IGNORED)
    mask = torch.zeros((len(rows), longest), dtype=torch.int64)
    for place, row in enumerate(rows):
        size = len(row["input_ids"])
        ids[place, :size] = torch.tensor(row["input_ids"])
        labels[place, :size] = torch.tensor(row["labels"])
        mask[place, :size] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _stored(folder: Any) -> torch.dtype:
    """The type that the base's weights are stored in."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    found: torch.dtype = getattr(torch, str(name))
    return found
