"""The roofline of the frames that an ablation will make, before any of them is made."""

from __future__ import annotations

from workbench.hardware.ceilings import Ceilings, measure_ceilings
from workbench.optimizations.dtypes import DTYPES
from workbench.profiling.roofline import FrameLimit, csm_1b_config, frame_limit
from workbench.studies.ablation.settings import AblationSettings


def limit_of(
    settings: AblationSettings,
    dtype: str = "float32",
    ceilings: Ceilings | None = None,
    budget_s: float = 4.0,
) -> FrameLimit:
    """The least time one frame of the engine can take in ``dtype`` at this machine's ceilings.

    Reads the engine's configuration only, no weights. ``budget_s`` is for measuring the ceilings
    where none are given. Raises InputError for an unknown engine or dtype.
    """
    from transformers import CsmConfig

    from workbench.models.checkpoint import find

    checkpoint = find(settings.engine, random=settings.weights == "random", revision=None)
    folder = checkpoint.folder
    config = csm_1b_config() if folder is None else CsmConfig.from_pretrained(folder)
    return frame_limit(
        config,
        ceilings or measure_ceilings(budget_s),
        dtype if dtype in DTYPES else "float32",
        codec_dtype="float32",
        device="cpu" if settings.device == "cpu" else None,
    )
