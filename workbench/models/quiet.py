"""transformers without its progress bars and load reports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from logging import ERROR, getLogger


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' progress bar and load report out of notebooks; we report instead.

    torchao, which transformers imports where it is installed, warns of kernels for GPUs that
    this torch wasn't built for, and torch of torchao's registrations.
    """
    from transformers.utils import logging

    others = [getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [other.level for other in others]
    for other in others:
        other.setLevel(ERROR)
    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        for other, before in zip(others, levels, strict=True):
            other.setLevel(before)
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
