"""A study of decoders as if it had run."""

import numpy as np

from tests.measure import studies
from workbench.measure.codec_arm import first_metric, frame_metric
from workbench.studies.codec.result import CodecStudy, Exactness


def measured(factors=None, **changes):
    """Streams of 1 and 125 frames; the arm ``native`` takes half the time of ``baseline``."""
    study = studies.made(factors or {"native": 0.5}, metric=frame_metric(125), **changes)
    for result in study.results.values():
        times = np.array(result.samples["frame_ms"])
        more = {
            frame_metric(1): 2 * times, frame_metric(125): times,
            first_metric(1): 2 * times, first_metric(125): 2 * times,
        }  # fmt: skip
        result.samples.update({name: tuple(values) for name, values in more.items()})
        result.about.update({"threads": 1})
    exact = {"baseline": Exactness(1e-6, 110.0), "native": Exactness(2e-6, 104.0)}
    left_out = {"onnxruntime": "onnx not installed: pip install it"}
    return CodecStudy(study, "mimi-nano", (1, 125), exact, left_out)
