"""From transformers' layout to CTranslate2's."""

from __future__ import annotations

from pathlib import Path

_COPIED = ("tokenizer.json", "preprocessor_config.json")


def to_ctranslate2(source: Path, target: Path, quantization: str = "float16") -> None:
    """Converts the Whisper in ``source`` (as ``ct2-transformers-converter`` does) to ``target``."""
    from ctranslate2.converters import TransformersConverter

    converter = TransformersConverter(str(source), copy_files=list(_COPIED))
    converter.convert(str(target), quantization=quantization, force=True)
