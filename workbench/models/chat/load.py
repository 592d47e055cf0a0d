"""A causal language model and its text, from transformers' layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from workbench.errors import InputError, ModelError
from workbench.models.chat.architectures import NumberedWords, architecture, random_model
from workbench.models.checkpoint import Checkpoint
from workbench.models.quiet import quiet

_SENTENCE_ENDS = (".", "?", "!")


class ChatTokenizer(Protocol):
    """Messages (dicts of ``role`` and ``content``) to tokens, tokens to text.

    ``template`` says how a conversation becomes a prompt: by the model's own ``chat`` template,
    or ``plain`` for a base model that has none.
    """

    template: str

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids up to where the assistant begins."""
        ...

    def unfinished(self, messages: list[dict[str, str]]) -> tuple[list[int], tuple[int, ...]]:
        """Token ids up to the last message's last word, and of the tokens that would end it."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """Text of ``tokens``, special tokens left out."""
        ...

    def vocabulary(self) -> dict[str, int]:
        """Token texts and ids."""
        ...


@dataclass(frozen=True)
class LoadedChat:
    """A model ready to run; ``end_ids`` end its answers (none with random weights)."""

    model: Any
    tokenizer: ChatTokenizer
    end_ids: frozenset[int]


def load_chat_model(
    checkpoint: Checkpoint, *, dtype: torch.dtype, device: torch.device
) -> LoadedChat:
    """The network in ``dtype`` on ``device`` with its tokenizer.

    Raises ModelError for files that are missing, broken or not a causal language model's.
    """
    if checkpoint.folder is None:
        with quiet():
            model = random_model(architecture(checkpoint.name), dtype, device)
        return LoadedChat(model.eval(), NumberedWords(), frozenset())
    from safetensors import SafetensorError

    with quiet():
        from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint.folder
    checkpoint.read_json("config.json")  # a clear error where it is missing or broken
    if not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{checkpoint.name}: no .safetensors file in {folder}",
            "only safetensors weights are loaded; convert the checkpoint or restore the file",
        )
    try:
        with quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as problem:
        raise ModelError(
            f"{checkpoint.name}: {folder} can't be loaded as a causal language model: {problem}",
            "restore the folder's files, or download them again",
        ) from problem
    if missing := sorted(map(str, report["missing_keys"])):
        raise ModelError(
            f"{checkpoint.name}: {len(missing)} weights are missing, first {missing[0]}",
            "the weights don't belong to this config.json: restore both from one source",
        )
    return LoadedChat(model.to(device).eval(), HubTokenizer(tokenizer), _end_ids(model, tokenizer))


class HubTokenizer:
    """transformers' tokenizer, with the model's chat template or a plain form."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.template = "chat" if tokenizer.chat_template else "plain"

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids up to where the assistant begins."""
        if self.template == "chat":
            return self._ids(self._rendered(messages, add_generation_prompt=True))
        return self._ids(_plain(messages) + "\nAssistant:", special=True)

    def unfinished(self, messages: list[dict[str, str]]) -> tuple[list[int], tuple[int, ...]]:
        """Token ids up to the last message's last word, and of the tokens that would end it.

        What the template puts after a message is its end, as in LiveKit's turn detector; so are
        the signs that end a sentence, which a transcript may lack.
        """
        said = messages[-1]["content"].strip()
        if self.template == "chat":
            whole = self._rendered(messages, add_generation_prompt=False)
            cut = whole.rindex(said) + len(said) if said in whole else len(whole)
            ids, after = self._ids(whole[:cut]), whole[cut:]
        else:
            ids, after = self._ids(_plain(messages), special=True), "\n"
        ends = set(self._ids(after)[:1])
        for sign in _SENTENCE_ENDS:
            if len(found := self._ids(sign)) == 1:
                ends.update(found)
        if self._tokenizer.eos_token_id is not None:
            ends.add(self._tokenizer.eos_token_id)
        ends.discard(self._tokenizer.unk_token_id)
        return ids, tuple(sorted(ends))

    def decode(self, tokens: list[int]) -> str:
        """Text of ``tokens``, special tokens left out."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def vocabulary(self) -> dict[str, int]:
        """Token texts and ids."""
        return dict(self._tokenizer.get_vocab())

    def _ids(self, text: str, special: bool = False) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _rendered(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=add_generation_prompt
                )
            )
        except TemplateError as problem:
            raise InputError(
                f"the model's chat template refuses the messages: {problem}",
                "leave the system message out, or let user and assistant take turns",
            ) from problem


def _plain(messages: list[dict[str, str]]) -> str:
    return "\n".join(f"{m['role'].capitalize()}: {m['content'].strip()}" for m in messages)


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    named = model.generation_config.eos_token_id
    ends = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return frozenset(int(end) for end in ends if end is not None)
