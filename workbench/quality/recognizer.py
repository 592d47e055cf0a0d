"""A recognizer that the project didn't train, to tell what was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.paths import data_dir
from workbench.quality.wer import normalized_words

SILENCE_DBFS = -60.0  # audio that never gets louder holds no words


class SphinxRecognizer:
    """pocketsphinx with its US English sounds, a given dictionary and bigram language model.

    By default it knows the nano voice's domain: the words and word pairs of its grammar. Such a
    narrow recognizer forgives what an open one would not, so its rates compare voices with each
    other and with their source, and say little about free text.
    """

    RATE_HZ = 16_000

    def __init__(self, dictionary: Path | None = None, language_model: Path | None = None) -> None:
        folder = data_dir() / "nano"
        dictionary = dictionary or folder / "domain.dict"
        language_model = language_model or folder / "domain.arpa"
        for path in (dictionary, language_model):
            if not path.is_file():
                raise InputError(f"no file {path}", "check the path, or reinstall the package")
        try:
            from pocketsphinx import Decoder, get_model_path
        except ImportError as problem:
            raise InputError(
                "pocketsphinx is not installed", "pip install 'workbench[asr]'"
            ) from problem
        self._words = frozenset(
            line.split()[0].partition("(")[0]
            for line in dictionary.read_text(encoding="utf-8").splitlines()
            if line.strip()
        )
        self._decoder = Decoder(
            hmm=get_model_path("en-us/en-us"),
            dict=str(dictionary),
            lm=str(language_model),
            samprate=self.RATE_HZ,
            loglevel="FATAL",
        )

    def unknown_words(self, text: str) -> list[str]:
        """Words of ``text`` that the dictionary lacks, which could never be heard right."""
        return [word for word in normalized_words(text) if word not in self._words]

    def transcribe(self, audio: Audio) -> str:
        """The words heard in ``audio``, lower case; empty where there are none."""
        if audio.peak_dbfs < SILENCE_DBFS:
            return ""  # the recognizer would hear its likeliest words in the noise
        pause = np.zeros(self.RATE_HZ // 10, np.float32)
        samples = np.concatenate([pause, audio.resampled(self.RATE_HZ).samples, pause])
        # The recognizer adapts its level to what it heard before: bring all to one.
        level = np.sqrt(np.mean(np.square(samples)))
        samples = np.clip(samples * (0.08 / max(level, 1e-4)), -1, 1)
        self._decoder.start_utt()
        self._decoder.process_raw(
            (samples * 32767).astype(np.int16).tobytes(), no_search=False, full_utt=True
        )
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return heard.hypstr if heard else ""
