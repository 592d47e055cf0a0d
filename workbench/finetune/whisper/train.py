"""``finetune_whisper``: transformers' ``Seq2SeqTrainer``, then CTranslate2's layout beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.files import write_json
from workbench.finetune import trainer as training
from workbench.finetune.nano.export import finish
from workbench.finetune.recordings import Recording, digest, read_recordings
from workbench.finetune.whisper.data import Heard, collate
from workbench.models.checkpoint import Checkpoint
from workbench.models.quiet import quiet
from workbench.models.whisper.convert import to_ctranslate2
from workbench.models.whisper.find import CTRANSLATE2_FOLDER, NANO, find_whisper

MODEL = "model"


@dataclass(frozen=True)
class WhisperRecipe(training.TrainerRecipe):
    """What decides what comes out.

    ``noise_share`` of the recordings get white noise of 5 to 30 dB, each time another.
    ``freeze_encoder`` trains the decoder alone: for new words of a voice that is heard well.
    """

    noise_share: float = 0.3
    freeze_encoder: bool = False
    language: str | None = "en"  # of multilingual models; others know only English


def finetune_whisper(
    data: Path | str | Sequence[Recording],
    out: Path | str,
    *,
    base: str = NANO,
    replay: Path | str | Sequence[Recording] = (),
    device: str | None = None,
    resume: bool = True,
    threads: int | None = None,
    revision: str | None = None,
    recipe: WhisperRecipe | None = None,
) -> dict[str, Any]:
    """Fine-tunes ``base`` on the recordings in ``data`` (a folder, or a list of them); writes
    ``out / "model"``.

    ``replay`` are recordings that the model understands already: mixed in, they keep it from
    forgetting. The result has transformers' layout and CTranslate2's inside, so that
    ``load_recognizer(out / "model")`` takes it by every implementation. A call that was ended
    goes on from its last epoch.

    Raises InputError for unusable data, ModelError for a base whose files are missing.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    recipe, out = recipe or WhisperRecipe(), Path(out)
    found = find_whisper(base, "transformers", revision)
    recordings, kept = _read(data), _read(replay)
    model, features, tokenizer = load(found, recipe.language)
    if recipe.freeze_encoder:
        model.freeze_encoder()
    train, held_out = training.split(recordings, recipe.held_out_share)
    longest = model.config.max_target_positions

    def heard(some: Any, noise_share: float) -> Heard:
        return Heard(
            some, features, tokenizer, longest=longest, noise_share=noise_share, seed=recipe.seed
        )

    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    arguments = training.arguments(Seq2SeqTrainingArguments, out, recipe, device)
    done = training.train(
        Seq2SeqTrainer(
            model=model,
            args=arguments,
            train_dataset=heard([*train, *kept], recipe.noise_share),
            eval_dataset=heard(held_out, 0.0),
            data_collator=collate,
        ),
        out,
        resume=resume,
    )
    about = {
        "kind": "whisper",
        "base": base,
        "base_revision": found.revision,
        "data_sha256": digest(recordings),
        "recordings": len(recordings),
        "replayed": len(kept),
        "recipe": asdict(recipe),
        **{name: done[name] for name in ("steps", "held_out")},
    }
    folder = export(model.cpu(), features, tokenizer, out / MODEL, about)
    return {"model": str(folder), **done}


def _read(given: Path | str | Sequence[Recording]) -> list[Recording]:
    return read_recordings(given) if isinstance(given, (str, Path)) else list(given)


def load(found: Checkpoint, language: str | None) -> tuple[Any, Any, Any]:
    """Model in float32, feature extractor and tokenizer of a checkpoint."""
    with quiet():
        from transformers import (
            WhisperFeatureExtractor,
            WhisperForConditionalGeneration,
            WhisperTokenizerFast,
        )

        model = WhisperForConditionalGeneration.from_pretrained(
            found.folder, dtype=torch.float32, use_safetensors=True
        )
        features = WhisperFeatureExtractor.from_pretrained(found.folder)
        tokenizer = WhisperTokenizerFast.from_pretrained(found.folder)
    if getattr(model.generation_config, "is_multilingual", False) and language is not None:
        tokenizer.set_prefix_tokens(language=language, task="transcribe")
    model.config.use_cache = False
    return model, features, tokenizer


def export(
    model: Any, features: Any, tokenizer: Any, folder: Path, about: Mapping[str, Any]
) -> Path:
    """Writes both layouts in float16, a card and checksums; returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.use_cache = True
    with quiet():
        model.to(torch.float16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        features.save_pretrained(folder)
        to_ctranslate2(folder, folder / CTRANSLATE2_FOLDER)
    write_json(folder / "workbench.json", dict(about))
    finish(folder / CTRANSLATE2_FOLDER)
    return finish(folder, _card(about))


def _card(about: Mapping[str, Any]) -> str:
    losses = about["held_out"]
    return (
        f"# {about['base']}, fine-tuned\n\n"
        f"From weights {about['base_revision']} on {about['recordings']} recordings (SHA-256 "
        f"{about['data_sha256'][:12]}) and {about['replayed']} replayed ones, "
        f"{about['recipe']['epochs']} epochs, {about['steps']} steps.\n\n"
        f"Held-out loss by epoch: {', '.join(f'{loss:.3f}' for loss in losses)}; the best is "
        "kept.\n\nTransformers' layout, and CTranslate2's in `ct2`.\n"
    )
