"""What decides how a nano voice is trained: amounts, budgets, sizes, rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.finetune.nano import CLONING_STAGES, STAGES
from workbench.finetune.nano.codec_training import CodecRecipe
from workbench.finetune.nano.language_data import DataRecipe
from workbench.finetune.nano.language_training import LanguageRecipe
from workbench.paths import data_dir


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out; minutes are those of one unshared CPU core.

    On a machine with two cores ``alignment`` can run beside ``codec``, and ``language`` beside
    ``decoder``: each is a process of its own on the same folder.
    """

    hours_of_speech: float = 13.3
    hours_of_open_speech: float = 3.0  # of words outside the grammar
    shard_utterances: int = 500
    workers: int = 2
    alignment_minutes: float = 15.0
    codec_minutes: float = 20.0
    decoder_minutes: float = 60.0
    language_minutes: float = 60.0
    encode_passes: int = 1
    new_voices: float = 0.0  # share of the speech that is of voices without an id, to be cloned
    sentences: int = 200  # of the evaluation
    seed: int = 1
    codec_changes: dict[str, Any] = field(default_factory=dict)
    language_changes: dict[str, Any] = field(default_factory=dict)
    codec: CodecRecipe = field(default_factory=CodecRecipe)
    language: LanguageRecipe = field(default_factory=LanguageRecipe)
    start: Path | None = None  # folder of finished models to go on from

    @property
    def stages(self) -> tuple[str, ...]:
        """What "all" runs, in its order."""
        return (STAGES if self.start is None else CLONING_STAGES)[1:]

    @staticmethod
    def cloning(start: Path | None = None) -> Recipe:
        """From the models in ``start`` (default: the shipped ones), with 148 more voices.

        These mostly follow a context of theirs, so that the model learns to take a voice from
        what it has heard. The codec learns on, too: its acoustic codes are taught the voice.
        """
        data = DataRecipe(
            context_share=0.75,
            same_voice_share=0.7,
            nameless_share=0.8,
            contexts=2,
            corruption=0.2,
        )
        return Recipe(
            hours_of_speech=9.0,
            hours_of_open_speech=2.0,
            shard_utterances=250,
            new_voices=0.65,
            codec_minutes=28.0,
            decoder_minutes=64.0,
            language_minutes=52.0,
            seed=11,
            # At 6e-4 the losses of a finished codec rise and swing.
            codec=CodecRecipe(
                peak_rate=2.5e-4,
                annealed=1.0,
                decoded_crops=3,
                voice_weight=0.2,
                decoder_rate=5e-4,
                pitch_weight=0.5,
            ),
            language=LanguageRecipe(
                peak_rate=1.2e-3,
                warmup_steps=60,
                phone_weight=0.0,
                average_decay=0.99,
                data=data,
            ),
            start=start or data_dir() / "models",
        )

    @staticmethod
    def smoke() -> Recipe:
        """Seconds a stage, and a voice that says nothing: for tests."""
        tiny = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16}
        depth = {"hidden_size": 32, "intermediate_size": 64, "head_dim": 16}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
        return Recipe(
            hours_of_speech=30 * 2.66 / 3600,
            hours_of_open_speech=15 * 2.66 / 3600,
            shard_utterances=15,
            workers=1,
            alignment_minutes=1 / 60,
            codec_minutes=3 / 60,
            decoder_minutes=1 / 60,
            language_minutes=2 / 60,
            sentences=4,
            codec_changes={
                "num_filters": 4,
                "codebook_size": 32,
                "codebook_dim": 16,
                "vector_quantization_hidden_dimension": 16,
                "num_quantizers": 3,
                "num_hidden_layers": 1,
                "upsample_groups": 32,
                **tiny,
                **heads,
            },
            language_changes={
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "depth_decoder_config": {**depth, **heads},
                **tiny,
            },
            codec=CodecRecipe(crops=2, decoded_crops=1, decoder_crops=1),
            language=LanguageRecipe(data=DataRecipe(utterances=4)),
        )
