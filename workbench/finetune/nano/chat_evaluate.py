"""chat-nano's right answers and its sense of a sentence's end, as users run it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from workbench.engines.chat.load import load_chat
from workbench.engines.chat.local import ChatJudge, LocalChat
from workbench.finetune.nano.chat import NAME
from workbench.finetune.nano.chat_export import save
from workbench.finetune.nano.dialogues import held_out_pairs
from workbench.finetune.nano.domain import held_out_sentences
from workbench.measure.statistics import bootstrap_interval

EXAMPLES = 8


def evaluate_chat(model: Any, tokenizer: Any, questions: int = 300) -> dict[str, Any]:
    """On held-out questions: the share of right answers, and how well sentence ends are told.

    An answer is right where the domain's rules allow it to this question. ``ends`` is the
    probability that a whole sentence has a higher P(over) than one cut off at a random word
    (the area under the ROC curve).
    """
    with tempfile.TemporaryDirectory() as folder:
        save(model, tokenizer, Path(folder) / NAME)
        chat = load_chat(str(Path(folder) / NAME), device="cpu", threads=1)
        assert isinstance(chat, LocalChat)
        pairs = held_out_pairs(questions)
        answers = [chat.reply(pair.question, max_tokens=32) for pair in tqdm(pairs, desc="answers")]
        right = [
            float(bool(pair.pattern.fullmatch(answer.text)))
            for pair, answer in zip(pairs, answers, strict=True)
        ]
        ended = [float(answer.ended == "eos") for answer in answers]
        whole, cut = _ends(ChatJudge(chat), questions)
    return {
        "right": asdict(bootstrap_interval(right, np.mean)),
        "ended": asdict(bootstrap_interval(ended, np.mean)),
        "ends": asdict(bootstrap_interval(range(len(whole)), _area(whole, cut))),
        "examples": [
            [pair.question, answer.text]
            for pair, answer in zip(pairs[:EXAMPLES], answers, strict=False)
        ],
    }


def _ends(judge: ChatJudge, count: int) -> tuple[np.ndarray, np.ndarray]:
    """P(over) of held-out sentences, and of each cut off at a random word."""
    source = np.random.default_rng(7)
    whole, cut = [], []
    for text in tqdm(held_out_sentences(count), desc="ends"):
        words = text.replace(",", "").split()
        whole.append(judge.probability(" ".join(words)))
        cut.append(judge.probability(" ".join(words[: source.integers(1, len(words))])))
    return np.array(whole), np.array(cut)


def _area(whole: np.ndarray, cut: np.ndarray) -> Any:
    """The area under the ROC curve of some of the sentences, as a bootstrap statistic."""
    higher = (whole[:, None] > cut) + 0.5 * (whole[:, None] == cut)  # [sentence, cut sentence]

    def area(rows: Any, axis: int) -> Any:
        rows = np.atleast_2d(rows.astype(int))
        found = np.array([higher[np.ix_(row, row)].mean() for row in rows])
        return found if len(found) > 1 else found[0]

    return area
