"""What an ablation is to measure: typed, checked, and written as a file.

engine: csm-nano
design: ladder
optimizations: [inference_mode, frame_step, fused_projections, torch_compile]
trials: 60
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.errors import InputError
from workbench.studies.ablation import defaults
from workbench.studies.ablation.defaults import Design

ALL: Final = "all"


class AblationSettings(BaseModel):
    """Settings of an ablation; unknown fields are refused.

    ``optimizations`` are switches as ``name`` or ``name=value``, or ``all``. ``base`` are switches
    that are on in every arm, the baseline included. ``texts`` are spoken in turn, one a trial;
    ``max_frames`` cuts each. ``threads``: CPU threads of every arm (None: the engine's own
    choice). ``trials``, ``starts``, ``passes``, ``seconds``, ``threshold`` and ``seed`` are the
    plan's (`measure.plan.Plan`), for each comparison. ``sentences`` are spoken for the check of
    the sound (0: no check).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str = defaults.ENGINE
    weights: Literal["auto", "random"] = "auto"
    device: str | None = None
    voice: int = defaults.VOICE
    design: Design = defaults.DESIGN
    optimizations: tuple[str, ...] | Literal["all"] = ALL
    base: tuple[str, ...] = ()
    texts: Annotated[tuple[str, ...], Field(min_length=1)] = defaults.TEXTS
    max_frames: Annotated[int | None, Field(ge=1)] = None
    threads: Annotated[int | None, Field(ge=1)] = None
    trials: Annotated[int, Field(ge=2)] = defaults.TRIALS
    starts: Annotated[int | None, Field(ge=2)] = None
    passes: Annotated[int, Field(ge=1)] = 1
    seconds: Annotated[float | None, Field(gt=0)] = None
    threshold: Annotated[float, Field(ge=0, lt=1)] = defaults.THRESHOLD
    seed: int = 0
    sentences: Annotated[int, Field(ge=0)] = defaults.SENTENCES

    @property
    def slug(self) -> str:
        """A folder's name that is the same for the same settings only."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{self.design}-{digest[:8]}"

    def load(self, switches: tuple[str, ...]) -> dict[str, Any]:
        """What ``workbench.load`` gets for an arm with these ``switches``."""
        settings: dict[str, Any] = {"weights": self.weights, "optimizations": list(switches)}
        if self.device is not None:
            settings["device"] = self.device
        if self.threads is not None:
            settings["threads"] = self.threads
        return settings


def read_settings(path: Path | str) -> AblationSettings:
    """The settings in a study file, YAML or JSON.

    Raises InputError that names the file, the field and what is wrong with it.
    """
    import yaml

    path = Path(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except OSError as problem:
        raise InputError(
            f"can't read the study file {path}: {problem.strerror}", "check the path"
        ) from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} is neither YAML nor JSON: {problem}", "correct it") from problem
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no fields", "write fields such as `design: ladder`")
    return settings_from(found, str(path))


def settings_from(fields: dict[str, Any], where: str) -> AblationSettings:
    """Checked settings; InputError that names ``where`` and each field at fault."""
    try:
        return AblationSettings(**fields)
    except ValidationError as problem:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in problem.errors()
        )
        known = ", ".join(AblationSettings.model_fields)
        raise InputError(f"{where}: {wrong}", f"the fields are: {known}") from problem
