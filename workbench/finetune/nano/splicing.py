"""New utterances out of two of one voice: cut at word boundaries, or one after the other."""

from __future__ import annotations

import numpy as np

from workbench.finetune.nano.codes import CHARACTER_IDS, CodedUtterance

SPLICE_TOLERANCE = 0.15  # frames by which two word boundaries may differ in phase
_CHARACTERS = {token: character for character, token in CHARACTER_IDS.items()}


def splice(
    left: CodedUtterance, right: CodedUtterance, source: np.random.Generator
) -> CodedUtterance | None:
    """The beginning of ``left`` and the end of ``right``, cut at word boundaries of like phase.

    None where the randomly chosen boundary of ``left`` has no partner.
    """
    spaces_left = _boundaries(left)
    spaces_right = _boundaries(right)
    if not len(spaces_left) or not len(spaces_right):
        return None
    cut = int(spaces_left[source.integers(len(spaces_left))])
    time = float(left.times[cut, 1])
    distances = np.abs((right.times[spaces_right, 1] - time + 0.5) % 1 - 0.5)
    fitting = spaces_right[distances < SPLICE_TOLERANCE]
    if not len(fitting):
        return None
    partner = int(fitting[source.integers(len(fitting))])
    partner_time = float(right.times[partner, 1])
    shift = round(time - partner_time)
    frame = int(np.floor(time + 0.5))  # frames before it mostly belong to the left part
    start = frame - shift
    if not 0 < start < len(right.codes) or frame >= len(left.codes) or start < 1:
        return None
    ends_left = left.word_ends[: cut + 1]
    ends_right = right.word_ends[partner + 1 :] - (partner + 1) + cut + 1
    return CodedUtterance(
        left.speaker,
        np.concatenate([left.codes[:frame], right.codes[start:]]),
        np.concatenate([left.phones[:frame], right.phones[start:]]),
        np.concatenate([left.characters[: cut + 1], right.characters[partner + 1 :]]),
        np.concatenate([left.times[: cut + 1], right.times[partner + 1 :] + shift]),
        np.concatenate([ends_left, ends_right]),
    )


def text_of(utterance: CodedUtterance) -> str:
    """The utterance's text, from its characters."""
    return "".join(_CHARACTERS[token] for token in utterance.characters.tolist())


def join(left: CodedUtterance, right: CodedUtterance) -> CodedUtterance:
    """Both utterances one after the other, with a comma for the silence between them."""
    letters, frames = len(left.characters), len(left.codes)
    comma = (CHARACTER_IDS[","], CHARACTER_IDS[" "])
    pause = [[left.times[-1, 1], frames + right.times[0, 0]]] * 2
    return CodedUtterance(
        left.speaker,
        np.concatenate([left.codes, right.codes]),
        np.concatenate([left.phones, right.phones]),
        np.concatenate([left.characters, np.array(comma, np.uint8), right.characters]),
        np.concatenate([left.times, np.array(pause, np.float32), right.times + frames]),
        np.concatenate(
            [left.word_ends, [letters, letters + 1], right.word_ends + letters + 2]
        ).astype(np.int16),
    )


def _boundaries(utterance: CodedUtterance) -> np.ndarray:
    """Positions of the spaces between words that follow each other with no pause."""
    space = np.flatnonzero(utterance.characters == CHARACTER_IDS[" "])
    return space[utterance.times[space, 1] - utterance.times[space, 0] < 0.2]
