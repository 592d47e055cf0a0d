"""Several texts in one call, as an arm: how much sound a machine makes in a given time."""

from __future__ import annotations

import time

from workbench.errors import InputError
from workbench.measure.engine_arm import EngineArm


class BatchArm(EngineArm):
    """Each trial speaks all texts in one call of ``synthesize_batch``."""

    warm_ups = 1

    def work(self, index: int, seed: int) -> dict[str, float]:
        """Speaks all texts; ``batch_ms`` is from the call until all of them are on the host.

        ``audio_s_per_s`` is sound made in a second, ``frame_ms`` the time for each frame of it.
        """
        begin = time.perf_counter()
        speeches = self.engine.synthesize_batch(self.texts, seed=seed, **self.options)
        batch_s = time.perf_counter() - begin
        frames = sum(speech.frames for speech in speeches)
        if not frames:
            raise InputError(f"no sound came of a batch (seed {seed})", "use other texts")
        return {
            "batch_ms": 1000 * batch_s,
            "frame_ms": 1000 * batch_s / frames,
            "audio_s_per_s": sum(speech.duration_s for speech in speeches) / batch_s,
            "frames": float(frames),
        }
