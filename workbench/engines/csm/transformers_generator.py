"""CSM's codes by transformers' own ``generate``: what users have today, and the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from workbench.engines.conditions import networks
from workbench.engines.csm.stages import StageClock
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import Segment, token_ids
from workbench.models.csm.sampling import Sampling
from workbench.optimizations.options import EngineOptions

_STATIC_STEP = 256  # positions; static caches of transformers' generate are multiples of it


class TransformersGenerator:
    """transformers' own ``generate``: what users have today, and the baseline.

    Its frames come all at once, at the end.
    """

    streams = False

    def __init__(self, csm: LoadedCsm, options: EngineOptions) -> None:
        self._csm = csm
        self._options = options
        self._compile_config = _compile_config(options.compile_mode)

    def frames(
        self,
        prompts: Sequence[Sequence[Segment]],
        sampling: Sampling,
        seed: int,
        max_frames: int,
        clock: StageClock,
    ) -> Iterator[torch.Tensor]:
        """See ``CodeGenerator.frames``."""
        model = self._csm.model
        device = model.lm_head.weight.device
        with clock("text"):
            inputs = self._inputs(prompts, device)
        devices = [device] if device.type == "cuda" else []
        with (
            networks(self._options, device),
            torch.random.fork_rng(devices),
            _stages_of(model, clock),
        ):
            torch.manual_seed(seed)
            codes = model.generate(
                **inputs,
                **self._settings(sampling),
                **self._cache(inputs["input_ids"].shape, max_frames),
                max_new_tokens=max_frames,
            )
        yield from codes.unbind(dim=1)

    def _inputs(
        self, prompts: Sequence[Sequence[Segment]], device: torch.device
    ) -> dict[str, torch.Tensor]:
        config = self._csm.model.config
        rows = [token_ids(self._csm, prompt) for prompt in prompts]
        longest = max(map(len, rows))
        pad = config.pad_token_id
        ids = torch.stack([F.pad(row, (longest - len(row), 0), value=pad) for row in rows])
        mask = torch.stack([F.pad(torch.ones_like(row), (longest - len(row), 0)) for row in rows])
        inputs = {"input_ids": ids, "attention_mask": mask}
        sounds = [
            [segment.samples for segment in prompt if segment.samples is not None]
            for prompt in prompts
        ]
        if sounds[0]:
            lengths = torch.tensor([[len(sound) for sound in row] for row in sounds])
            inputs["input_values"] = torch.stack([torch.cat(row) for row in sounds])[:, None].to(
                device, self._csm.model.codec_model.dtype
            )
            inputs["input_values_cutoffs"] = lengths.cumsum(dim=1).to(device)
        return inputs

    def _cache(self, prompts: torch.Size, max_frames: int) -> dict[str, Any]:
        """``generate``'s arguments for caches and compiling; both are said for each call, as
        ``generate`` keeps what it was told for the depth decoder.
        """
        compiled = self._options.compile_mode is not None
        settings: dict[str, Any] = {}
        for prefix in ("", "depth_decoder_"):
            # transformers compiles static caches on its own accord where there is a GPU.
            settings[f"{prefix}disable_compile"] = not compiled
            settings[f"{prefix}compile_config"] = self._compile_config
        static = self._options.static_kv_cache
        settings["depth_decoder_cache_implementation"] = "static" if static else None
        if static:
            settings["past_key_values"] = self._static_cache(prompts, max_frames)
        return settings

    def _static_cache(self, prompts: torch.Size, max_frames: int) -> Any:
        """The backbone's cache, in one of a few lengths, so that few are compiled for."""
        from transformers import StaticCache

        wanted = -(-(prompts[1] + max_frames) // _STATIC_STEP) * _STATIC_STEP
        config = self._csm.model.config
        length = min(wanted, config.max_position_embeddings)
        return StaticCache(config=config, max_cache_len=length)

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        config = self._csm.model.config
        # Vocabulary entries past the codec's codebook can't be decoded.
        undecodable = list(range(config.codec_config.codebook_size, config.vocab_size))
        settings: dict[str, Any] = {}
        for prefix, temperature, top_k in (
            ("", sampling.temperature, sampling.top_k),
            ("depth_decoder_", sampling.depth_temperature, sampling.depth_top_k),
        ):
            sampled = temperature > 0
            settings[f"{prefix}do_sample"] = sampled
            # generate warns of sampling settings that greedy decoding doesn't use.
            settings[f"{prefix}temperature"] = temperature if sampled else None
            settings[f"{prefix}top_k"] = top_k if sampled else None
            settings[f"{prefix}suppress_tokens"] = undecodable
        return settings


def _compile_config(mode: str | None) -> Any:
    """transformers' settings for compiling a step, which it would keep to GPUs otherwise."""
    if mode is None:
        return None
    from transformers import CompileConfig

    # Not one graph: the depth decoder makes its positions from a length that lives in a tensor
    # (transformers 5.23), which breaks its graph once.
    made = CompileConfig(fullgraph=False, dynamic=False, mode=mode)
    made._compile_all_devices = True
    return made


@contextmanager
def _stages_of(model: Any, clock: StageClock) -> Iterator[None]:
    """Times ``generate`` from outside: backbone calls and the depth decoder's ``generate``."""
    if not clock.watched:
        yield
        return
    prefilled = False
    stage: AbstractContextManager[None] = clock("prefill")
    depth_generate = model.depth_decoder.generate

    def before(*_: Any) -> None:
        nonlocal stage
        stage = clock("backbone" if prefilled else "prefill")
        stage.__enter__()

    def after(*_: Any) -> None:
        nonlocal prefilled
        stage.__exit__(None, None, None)
        prefilled = True

    def timed_depth(*args: Any, **kwargs: Any) -> Any:
        with clock("depth"):
            return depth_generate(*args, **kwargs)

    hooks = [
        model.backbone_model.register_forward_pre_hook(before),
        model.backbone_model.register_forward_hook(after),
    ]
    model.depth_decoder.generate = timed_depth
    try:
        yield
    finally:
        del model.depth_decoder.generate
        for hook in hooks:
            hook.remove()
