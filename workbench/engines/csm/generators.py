"""The two ways to CSM's codes, behind one protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from workbench.engines.csm.stages import StageClock
from workbench.models.csm.prompt import Segment
from workbench.models.csm.sampling import Sampling


class CodeGenerator(Protocol):
    """Writes frames of codes for a batch of prompts."""

    streams: bool

    def frames(
        self,
        prompts: Sequence[Sequence[Segment]],
        sampling: Sampling,
        seed: int,
        max_frames: int,
        clock: StageClock,
    ) -> Iterator[torch.Tensor]:
        """Frames ``[B, K]`` int64 on the device, end-of-audio frames included.

        Rows that have ended go on with frames that don't count. Stops after ``max_frames``, or
        once every row has ended (one frame later, where the flag is read late).
        """
        ...
