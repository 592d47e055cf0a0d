"""A guest engine for tests: it hums, and does wrong what its settings say."""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from workbench.engines.guests.catalogue import GUESTS, Guest
from workbench.engines.guests.hosted import About, Ending
from workbench.errors import InputError
from workbench.measure.speech_arm import SpeechArm

RATE_HZ = 8_000
PIECE = 1_000  # samples for each word


@dataclass(frozen=True)
class LocalGuest(Guest):
    """A guest whose requirement set lies where the test has put it."""

    file: str = ""

    @property
    def requirements(self):
        return Path(self.file)


@dataclass(frozen=True)
class Settings:
    level: float = 0.1
    wrong: str = ""
    references: str = "none"

    def __post_init__(self):
        if self.level <= 0:
            raise InputError(f"level={self.level}", "use a positive number")


class Speaker:
    """Says a piece of sound for each word."""

    def __init__(self, wanted):
        if wanted.settings["wrong"] == "import":
            raise ImportError("libhum.so.1: cannot open shared object file")
        if wanted.settings["wrong"] == "make":
            raise KeyError("weights of another shape")
        self.wanted = wanted
        self.settings = Settings(**wanted.settings)

    def about(self):
        return About(
            weights="random" if self.wanted.random else self.wanted.checkpoint or "own",
            rate_hz=RATE_HZ,
            voices={0: "low", 1: "high"},
            device="cpu",
            dtype="float32",
            threads=1,
            left_out={"batching": "it hums one text at a time"},
            settings={**asdict(self.settings), "interpreter": sys.executable},
            references=self.settings.references,
        )

    def warm_up(self):
        return 0.5

    def speak(self, request):
        noise = np.random.default_rng(request.seed)
        for number, _ in enumerate(request.text.split()):
            if self.settings.wrong == "stream" and number == 1:
                raise RuntimeError("the buzzer is stuck\nsecond line")
            if self.settings.wrong == "slow":
                time.sleep(0.01)
            yield (self.settings.level * noise.standard_normal(PIECE)).astype(np.float32)
        yield Ending("eos", {"hum": 1.0} if request.time_stages else {})


class HumArm(SpeechArm):
    """An arm with a guest that only this test knows."""

    def __init__(self, guest, **settings):
        GUESTS[guest["name"]] = LocalGuest(**guest)
        super().__init__(**settings)
