"""Batches of notebooks: parameters checked first, papermill, records, pages and the gallery."""

from __future__ import annotations

from workbench.runner.batch import NotebookResult, RunResult, run
from workbench.runner.notebook import Notebook, find

__all__ = ["Notebook", "NotebookResult", "RunResult", "find", "run"]
