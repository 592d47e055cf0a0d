"""Does a context tell the voice: the loss after the right one against that after a wrong one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.codes import CodedUtterance
from workbench.finetune.nano.language import PhoneScaffold, language_loss
from workbench.finetune.nano.language_data import CodeSource, collate

ROWS = 16
_SEED = 101


def context_losses(
    model: Any, scaffold: PhoneScaffold, source: CodeSource, device: str
) -> dict[str, torch.Tensor]:
    """Losses of the same utterances of voices without an id, after ``right`` and ``wrong`` voices.

    ``right_c0`` is the cross entropy of the first code, ``right_depth`` that of the others.
    """
    found: dict[str, torch.Tensor] = {}
    for kind, rows in _conversations(source).items():
        batch = collate(rows, np.random.default_rng(_SEED), corruption=0.0).to(device)
        torch.manual_seed(_SEED)
        with torch.no_grad(), checkpoints.autocast(device):
            _, parts = language_loss(model, scaffold, batch, depth_share=1.0)
        found |= {f"{kind}_{name}": parts[name] for name in ("c0", "depth")}
    return found


def _conversations(source: CodeSource) -> dict[str, list[list[CodedUtterance]]]:
    """Turns whose last is the same in both; only that one is in the loss."""
    random = np.random.default_rng(_SEED)
    places = random.choice(source.nameless, ROWS)
    right = [source.clone(random, source.utterances[place]) for place in places]
    others = right[1:] + right[:1]
    wrong = [
        [*(replace(turn, speaker=own[-1].speaker) for turn in other[:-1]), own[-1]]
        for own, other in zip(right, others, strict=True)
    ]
    return {
        kind: [[*(_unjudged(turn) for turn in turns[:-1]), turns[-1]] for turns in rows]
        for kind, rows in (("right", right), ("wrong", wrong))
    }


def _unjudged(turn: CodedUtterance) -> CodedUtterance:
    return replace(turn, untold=len(turn.codes) + 1)
