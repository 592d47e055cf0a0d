"""chat-nano's batches: dialogues of a few pairs, with words that a recognizer got wrong.

Some rows are one sentence of the grammar that nobody answers: from these it learns where sentences
end that no dialogue has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from workbench.finetune.nano.dialogues import Pair, training_pairs
from workbench.finetune.nano.domain import training_sentences

IGNORED = -100


@dataclass(frozen=True)
class DataRecipe:
    """What a batch is made of."""

    dialogues: int = 32
    longest: int = 3  # pairs of a dialogue
    sentence_share: float = 0.3  # of the rows are a sentence instead of a dialogue
    unknown_share: float = 0.02  # of the user's words, as a recognizer may mishear
    pool: int = 20_000  # pairs, and sentences, that are kept to draw from


class DialogueSource:
    """Pairs drawn once, from which every batch is made."""

    def __init__(self, tokenizer: Any, recipe: DataRecipe, seed: int) -> None:
        self._tokenizer, self._recipe = tokenizer, recipe
        pairs = training_pairs(seed)
        self._pool = [self._encoded(next(pairs)) for _ in range(recipe.pool)]
        self._sentences = [
            # Every other one without commas: not every recognizer writes them.
            message(tokenizer, "user", text.replace(",", "") if number % 2 else text)
            for number, text in enumerate(islice(training_sentences(seed), recipe.pool))
        ]

    def batch(self, source: random.Random) -> tuple[Tensor, Tensor]:
        """Token ids ``[B, N]`` and targets ``[B, N]``, each the next token, padding ignored."""
        recipe = self._recipe
        rows = []
        for _ in range(recipe.dialogues):
            row: list[int] = []
            if source.random() < recipe.sentence_share:
                rows.append([*self._misheard(source.choice(self._sentences), source)])
                continue
            for _ in range(source.randint(1, recipe.longest)):
                question, answer = source.choice(self._pool)
                row += [*self._misheard(question, source), *answer]
            rows.append(row)
        return collate(rows, self._tokenizer.pad_token_id)

    def _encoded(self, pair: Pair) -> tuple[list[int], list[int]]:
        return message(self._tokenizer, "user", pair.question), message(
            self._tokenizer, "assistant", pair.answer
        )

    def _misheard(self, tokens: list[int], source: random.Random) -> Iterator[int]:
        unknown, share = self._tokenizer.unk_token_id, self._recipe.unknown_share
        yield tokens[0]
        for token in tokens[1:-1]:
            yield unknown if source.random() < share else token
        yield tokens[-1]


def message(tokenizer: Any, role: str, text: str) -> list[int]:
    """Token ids of one message as the chat template writes it."""
    written = f"<|{role}|>{text}{tokenizer.eos_token}"
    return list(tokenizer(written, add_special_tokens=False)["input_ids"])


def collate(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids ``[B, N]``, padded at the end, and the tokens that follow them ``[B, N]``."""
    longest = max(map(len, rows)) - 1
    ids = torch.full((len(rows), longest), pad_id)
    targets = torch.full((len(rows), longest), IGNORED)
    for place, row in enumerate(rows):
        ids[place, : len(row) - 1] = torch.tensor(row[:-1])
        targets[place, : len(row) - 1] = torch.tensor(row[1:])
    return ids, targets
