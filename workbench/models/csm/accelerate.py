"""Replacing the frame step's functions on tensors by compiled, traced or native ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch

from workbench.models.csm.frame import FrameStep, Function
from workbench.models.csm.native_layers import NativeLayers
from workbench.models.csm.settings import FrameSettings

Accelerator = Callable[[FrameStep], None]

# Modes that capture CUDA graphs of their own, and what is left of them inside ours.
_WITHOUT_GRAPHS = {
    "reduce-overhead": "default",
    "max-autotune": "max-autotune-no-cudagraphs",
}


def accelerator(settings: FrameSettings) -> Accelerator:
    """What ``settings`` ask for; it is shown every new frame step and changes its functions."""
    if settings.native_layers:
        return NativeLayers()
    if settings.compile_mode is not None:
        mode = settings.compile_mode
        mode = _WITHOUT_GRAPHS.get(mode, mode) if settings.cuda_graphs else mode
        return Compiler(mode, frozen=settings.frozen)
    return trace if settings.jit else _leave


def _leave(_step: FrameStep) -> None:
    """No accelerator."""


def _functions(step: FrameStep) -> list[str]:
    """The functions to replace: with sync-free sampling, the choice is part of them."""
    kind = "code" if step.sync_free else "logits"
    return ["read", *(f"{which}_{kind}" for which in ("first", "second", "next"))]


class Compiler:
    """Compiles the functions of frame steps with inductor, each in one graph.

    Steps of one batch size share what was compiled. The caches' length is left open, so that a
    text of any length uses the same code.
    """

    def __init__(self, mode: str, *, frozen: bool = False) -> None:
        self._mode = mode
        self._frozen = frozen
        self._compiled: dict[tuple[str, int], Function] = {}

    def __call__(self, step: FrameStep) -> None:
        """Replaces ``step``'s functions."""
        # The lengths that the functions read: marked on the tensors that carry them.
        for slots in step.lengths():
            torch._dynamo.mark_dynamic(slots, 0)
        graphs = step.networks.device.type == "cuda" and self._mode in _WITHOUT_GRAPHS
        # Inductor's graphs would else copy the caches. Freezing takes what has a fixed address for
        # a constant: the next text, with caches of its own, would read the last one's.
        if graphs and not self._frozen:
            for tensor in step.caches():
                torch._dynamo.mark_static_address(tensor)
        for name in _functions(step):
            setattr(step, name, MethodType(self._function(name, step.batch_size), step))
        if graphs:
            step.before_read = torch.compiler.cudagraph_mark_step_begin

    def _function(self, name: str, batch_size: int) -> Function:
        key = name, batch_size
        if key not in self._compiled:
            self._compiled[key] = torch.compile(
                _of_its_own(getattr(FrameStep, f"_{name}")), fullgraph=True, mode=self._mode
            )
        return self._compiled[key]


def _of_its_own(function: Any) -> Function:
    """A copy with its own code object: what is compiled for it counts for no other engine's."""
    copy = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    copy.__defaults__ = function.__defaults__
    return copy


def trace(step: FrameStep) -> None:
    """Replaces ``step``'s functions by traces, one for each shape, made at the first call.

    The networks' parameters stop asking for gradients, as a trace keeps them as constants.
    """
    step.networks.requires_grad_(False)
    for name in _functions(step):
        setattr(step, name, _Traced(getattr(step, f"_{name}")))


class _Traced:
    """A function by its traces; arguments that aren't tensors are constants of a trace."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self.traces: dict[tuple[object, ...], Any] = {}

    def __call__(self, *arguments: Any) -> torch.Tensor:
        key = tuple(tuple(one.shape) if isinstance(one, torch.Tensor) else one for one in arguments)
        tensors = [one for one in arguments if isinstance(one, torch.Tensor)]
        if key not in self.traces:
            self.traces[key] = self._trace(arguments, tensors)
        traced: torch.Tensor = self.traces[key](*tensors)
        return traced

    def _trace(self, arguments: tuple[Any, ...], tensors: list[torch.Tensor]) -> Any:
        def call(*given: torch.Tensor) -> torch.Tensor:
            waiting = iter(given)
            return self._function(
                *(next(waiting) if isinstance(one, torch.Tensor) else one for one in arguments)
            )

        with warnings.catch_warnings():
            # That it is deprecated, and that sizes become constants, is known here.
            warnings.simplefilter("ignore")
            return torch.jit.trace(call, tuple(tensors), check_trace=False)
