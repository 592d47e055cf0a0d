"""chat-nano's model card."""

from __future__ import annotations

from typing import Any

from workbench.finetune.nano.card import Facts, training_text
from workbench.finetune.nano.chat import NAME
from workbench.finetune.nano.domain import HELD_OUT_SHARE, Grammar

_TEXT = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [llama, dialogue, synthetic-data]
---

# chat-nano

A tiny Llama (transformers' `LlamaForCausalLM`): {size:.1f} M parameters, {layers} layers of width
{width}, one token a word of the nano domain ({vocabulary}), trained by this project on dialogues
that a grammar makes (`data/nano/dialogues.txt`), so that the workbench converses with no GPU and
no download. It answers in the words that csm-nano can say. Trained on the user's words, too, it
tells how likely a sentence is over, which the semantic turn detector asks.

## Data

Dialogues of one to three questions and answers, drawn while training, and, in a third of the rows,
sentences of the grammar that nobody answers; a few words of the user are replaced by the unknown
one, as a recognizer may mishear. Of all questions and sentences one in {share}, chosen
by its hash, was never trained on, and the figures below are on such questions.

{training}

## Measured

{measured}

## What it cannot do

It knows no facts: what it says of times, places and prices is made up. It understands the {words}
words of its grammar and the sentences in it; it doesn't remember what was said before.
"""


def chat_card(facts: Facts, results: dict[str, Any], model: Any) -> str:
    """README.md of chat-nano."""
    config = model.config
    return _TEXT.format(
        size=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocabulary=config.vocab_size,
        words=len(Grammar.load().words),
        share=HELD_OUT_SHARE,
        training=training_text(facts, ("chat",), NAME),
        measured=_measured(results),
    )


def _measured(results: dict[str, Any]) -> str:
    if not results:
        return "Not measured yet."
    rows = [
        ("answers that the domain's rules allow", results["right"]),
        ("answers that ended by themselves", results["ended"]),
        ("a whole sentence looks more finished than a cut one (area under ROC)", results["ends"]),
    ]
    table = "\n".join(
        f"| {what} | {figure['value']:.3f} | {figure['low']:.3f} to {figure['high']:.3f} | "
        f"{figure['n']} |"
        for what, figure in rows
    )
    examples = "\n".join(f"- {asked} → {said}" for asked, said in results["examples"])
    return (
        "Greedy decoding, held-out questions, 95 % bootstrap over questions:\n\n"
        f"| what | share | interval | n |\n|---|---|---|---|\n{table}\n\nThe first of them:\n\n"
        f"{examples}"
    )
