"""Batches for csm-nano: utterances, spliced utterances, and utterances after a context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.finetune.nano.codec import DEAD_CODE, PHONES_PER_FRAME
from workbench.finetune.nano.codes import CodedUtterance, read_codes
from workbench.finetune.nano.domain import is_held_out
from workbench.finetune.nano.speech import PHONES, VOICES
from workbench.finetune.nano.splicing import join, splice, text_of
from workbench.finetune.nano.tokenizer import BEGIN, END, PAD, SPECIALS

GUIDE_MARGIN = 0.4  # frames before and after, in which a letter still counts as spoken now
END_PHONE = len(PHONES)  # the phone label of the frame that ends the audio
LONGEST_FRAMES = 100  # utterances at least this long (8 s) get no other joined to them
LENGTH_STEP = 16  # sequences are padded to a multiple: few shapes, few kernels to make
BUCKET = 8  # batches that are sorted by length together
OPENING_FRAMES = 8  # after 0.6 s a context's beginning tells its voice


@dataclass(frozen=True)
class DataRecipe:
    """How batches are drawn."""

    utterances: int = 32
    splice_share: float = 0.4
    join_share: float = 0.12  # of the utterances are followed by another, after a comma
    context_share: float = 0.2  # of the batches
    same_voice_share: float = 0.6  # of the contexts of voices with an id
    nameless_share: float = 0.0  # of the contexts are of voices without one, to be spoken on in
    contexts: int = 1  # utterances before another, at most
    corruption: float = 0.3  # most of the history's frames that are replaced


@dataclass(frozen=True)
class Batch:
    """Tensors of one training step, ``B`` sequences of ``S`` positions.

    ``text`` ``[B, S]``; ``codes`` ``[B, S, K]`` as input; ``is_frame`` ``[B, S]``; ``targets``
    ``[B, S, K]`` what follows each position (-100: no frame); ``phones`` ``[B, S, 4]`` of what
    follows; ``heard`` ``[B, S, 4]`` of each frame as input; ``guides`` ``[B, 3, S, S]`` where
    guided heads should look, 0 or 1.
    """

    text: Tensor
    codes: Tensor
    is_frame: Tensor
    targets: Tensor
    phones: Tensor
    heard: Tensor
    guides: Tensor

    def to(self, device: str) -> Batch:
        """The same batch on ``device``."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


class CodeSource:
    """All coded utterances in memory, by speaker."""

    def __init__(self, folder: Path, recipe: DataRecipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self.utterances: list[CodedUtterance] = []
        self.by_speaker: dict[int, list[int]] = {}
        self.named: list[int] = []  # utterances of VOICES
        self.nameless: list[int] = []  # of voices that only a context tells
        self._read: set[Path] = set()
        self.refresh()

    def refresh(self) -> None:
        """Reads the files of codes written since."""
        for path in sorted(set(self.folder.glob("codes-*.npz")) - self._read):
            for utterance in read_codes(path):
                named = utterance.speaker < len(VOICES)
                (self.named if named else self.nameless).append(len(self.utterances))
                self.by_speaker.setdefault(utterance.speaker, []).append(len(self.utterances))
                self.utterances.append(utterance)
            self._read.add(path)

    def pool(self, source: np.random.Generator) -> list[Batch]:
        """``BUCKET`` batches, each of sequences of about one length."""
        recipe = self.recipe
        batches: list[Batch] = []
        contexts = source.random(BUCKET) < recipe.context_share
        plain = int((~contexts).sum()) * recipe.utterances
        if plain:
            singles = [[self._utterance(source)] for _ in range(plain)]
            singles.sort(key=lambda turns: len(turns[0].codes) + len(turns[0].characters))
            for first in range(0, plain, recipe.utterances):
                batches.append(self._batch(singles[first : first + recipe.utterances], source))
        for _ in range(int(contexts.sum())):
            turns = [self._turns(source) for _ in range(max(1, recipe.utterances * 3 // 8))]
            batches.append(self._batch(turns, source))
        order = source.permutation(len(batches))
        return [batches[position] for position in order]

    def _batch(self, turns: list[list[CodedUtterance]], source: np.random.Generator) -> Batch:
        return collate(turns, source, self.recipe.corruption)

    def _utterance(
        self, source: np.random.Generator, among: list[int] | None = None
    ) -> CodedUtterance:
        """One of ``among`` (default: the voices with an id), maybe spliced or joined."""
        places = among or self.named
        utterance = self.utterances[places[source.integers(len(places))]]
        if source.random() < self.recipe.splice_share:
            for _ in range(4):
                spliced = splice(utterance, self._same_voice(utterance.speaker, source), source)
                if spliced is not None and not is_held_out(text_of(spliced)):
                    utterance = spliced
                    break
        while source.random() < self.recipe.join_share and len(utterance.codes) < LONGEST_FRAMES:
            utterance = join(utterance, self._same_voice(utterance.speaker, source))
        return utterance

    def _same_voice(self, speaker: int, source: np.random.Generator) -> CodedUtterance:
        known = self.by_speaker[speaker]
        return self.utterances[known[source.integers(len(known))]]

    def _turns(self, source: np.random.Generator) -> list[CodedUtterance]:
        """A context and the utterance after it, often but not always of the same voice.

        What has no id of its own always follows its own voice, from which it is to be cloned,
        and is called by any of the ids, so that what was heard under one counts for more than
        whose it is.
        Another voice before one with an id is called otherwise, so that it doesn't count.
        """
        recipe = self.recipe
        if self.nameless and source.random() < recipe.nameless_share:
            return self.clone(source, self._utterance(source, self.nameless))
        utterance = self._utterance(source)
        if source.random() < recipe.same_voice_share:
            count = 1 + int(source.integers(recipe.contexts))
            return [*(self._same_voice(utterance.speaker, source) for _ in range(count)), utterance]
        context = self.utterances[source.integers(len(self.utterances))]
        if context.speaker >= len(VOICES):
            context = called(context, _any_id(source, apart_from=utterance.speaker), OPENING_FRAMES)
        return [context, utterance]

    def clone(self, source: np.random.Generator, utterance: CodedUtterance) -> list[CodedUtterance]:
        """``utterance`` of a voice without an id, after one or more of the same."""
        voice, name = utterance.speaker, _any_id(source)
        count = int(source.integers(self.recipe.contexts))
        first = called(self._same_voice(voice, source), name, OPENING_FRAMES)
        more = [called(self._same_voice(voice, source), name) for _ in range(count)]
        return [first, *more, called(utterance, name)]


def called(utterance: CodedUtterance, name: int, untold: int = 0) -> CodedUtterance:
    """``utterance`` under the id ``name``."""
    return replace(utterance, speaker=name, untold=untold)


def _any_id(source: np.random.Generator, apart_from: int | None = None) -> int:
    """The id of one of ``VOICES``."""
    others = [speaker for speaker in range(len(VOICES)) if speaker != apart_from]
    return others[source.integers(len(others))]


def collate(
    rows: list[list[CodedUtterance]], source: np.random.Generator, corruption: float
) -> Batch:
    """Lays out each row's turns as ``begin, [speaker], letters, end, frames, end frame``.

    All turns are predicted, but for what is ``untold`` of them. Input frames (not targets) are
    replaced by frames from elsewhere in the batch at random, each row at its own rate up to
    ``corruption``.
    """
    lengths = [sum(len(t.characters) + len(t.codes) + 4 for t in turns) for turns in rows]
    size, books = len(rows), rows[0][0].codes.shape[1]
    longest = -(-max(lengths) // LENGTH_STEP) * LENGTH_STEP
    text = np.full((size, longest), PAD)
    codes = np.zeros((size, longest, books), np.int64)
    is_frame = np.zeros((size, longest), bool)
    targets = np.full((size, longest, books), -100)
    phones = np.zeros((size, longest, PHONES_PER_FRAME), np.int64)
    heard = np.zeros((size, longest, PHONES_PER_FRAME), np.int64)
    guides = np.zeros((size, 3, longest, longest), np.float32)
    noise = np.concatenate([turn.codes for turns in rows for turn in turns])
    noise_phones = np.concatenate([turn.phones for turns in rows for turn in turns])
    for row, turns in enumerate(rows):
        at = 0
        rate = source.random() * corruption
        for turn in turns:
            letters, frames = len(turn.characters), len(turn.codes)
            text[row, at : at + 2] = (BEGIN, len(SPECIALS) + turn.speaker)
            text[row, at + 2 : at + 2 + letters] = turn.characters
            text[row, at + 2 + letters] = END
            first = at + 3 + letters  # position of the first frame
            is_frame[row, first : first + frames + 1] = True  # the last is the end frame, 0
            given = turn.codes.astype(np.int64)
            targets[row, first - 1 : first - 1 + frames] = given
            targets[row, first - 1 + frames] = DEAD_CODE
            targets[row, first - 1 : first - 1 + turn.untold] = -100
            known = turn.phones.astype(np.int64)
            phones[row, first - 1 : first - 1 + frames] = known
            phones[row, first - 1 + frames] = END_PHONE
            swapped = np.flatnonzero(source.random(frames) < rate)
            strange = source.integers(0, len(noise), len(swapped))
            given, known = given.copy(), known.copy()
            given[swapped], known[swapped] = noise[strange], noise_phones[strange]
            codes[row, first : first + frames] = given
            heard[row, first : first + frames] = known
            heard[row, first + frames] = END_PHONE
            looks = _guides(turn)  # [3, frames + 1, letters + 1]
            guides[row, :, first - 1 : first + frames, at + 2 : at + 3 + letters] = looks
            at = first + frames + 1
    return Batch(
        torch.from_numpy(text),
        torch.from_numpy(codes),
        torch.from_numpy(is_frame),
        torch.from_numpy(targets),
        torch.from_numpy(phones),
        torch.from_numpy(heard),
        torch.from_numpy(guides),
    )


def _guides(turn: CodedUtterance) -> np.ndarray:
    """Where to look before each frame: ``[3, frames + 1, letters + 1]`` of 0 and 1.

    The last letter position is the end-of-text token, for frames after the last word.
    """
    letters, frames = len(turn.characters), len(turn.codes)
    starts = np.append(turn.times[:, 0], turn.times[-1, 1])
    stops = np.append(turn.times[:, 1], np.inf)
    starts[0] = -np.inf
    frame = np.arange(frames + 1)[:, None]
    now = (starts[None] < frame + 1 + GUIDE_MARGIN) & (stops[None] > frame - GUIDE_MARGIN)
    ends = np.append(turn.word_ends, letters)
    following = np.append(ends, [letters] * 3)[np.minimum(ends + 2, letters)]
    guides = np.zeros((3, frames + 1, letters + 1), np.float32)
    guides[0] = now
    row, column = np.nonzero(now)
    guides[1, row, ends[column]] = 1
    guides[2, row, following[column]] = 1
    return guides
