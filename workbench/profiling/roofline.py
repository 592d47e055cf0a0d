"""The roofline of one CSM frame: how fast could it be on this machine, from arithmetic alone.

One frame (80 ms of sound at 12.5 frames a second) is

- one step of the backbone: every weight read once, and its KV cache up to the position;
- the depth decoder, one pass for each codebook but the first (31 for CSM-1B; the first pass
  carries two tokens: the backbone's hidden state and the first code), so its weights are read 31
  times (``CsmGenerationMixin._sample`` in transformers);
- the heads, each once, and the embedding rows of the codes;
- the Mimi decoder: one latent, upsampled to two positions of a transformer with a sliding window,
  then transposed convolutions up to 1920 samples.

Each part takes at least ``max(bytes / memory rate, operations / matmul rate)``, and they follow one
another, so the frame's limit is their sum. Bytes count weights, KV cache and embedding rows;
activations stay in caches and registers and count nothing. Operations are multiply-adds × 2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import InputError
from workbench.hardware.ceilings import Ceilings

BYTES_OF = {"float32": 4, "bfloat16": 2, "float16": 2}  # per weight


@dataclass(frozen=True)
class Part:
    """One part of a frame. Sizes are in elements, ``flops`` in operations per stream."""

    name: str
    weights: int  # elements of the part's weights
    passes: int  # how often they are read in a frame
    moved: int  # other elements per stream: KV cache read and written, embedding rows
    flops: int


@dataclass(frozen=True)
class FrameLimit:
    """The least time one frame can take; the dicts go by part, in the order they run."""

    bytes_by_part: dict[str, int]
    flops_by_part: dict[str, int]
    limit_ms_by_part: dict[str, float]
    limit_ms: float
    bound_by: str  # "memory" | "compute": what most of the limit is made of
    frame_ms: float  # of sound
    machine: str
    device: str
    dtype: str
    position: int
    streams: int
    memory_gbs: float
    matmul_gflops: float
    cached: tuple[str, ...]  # parts whose repeated reads come from the cache
    notes: tuple[str, ...] = ()

    @property
    def rtf(self) -> float:
        """Real-time factor at the limit: generation time over sound time, all streams together."""
        return self.limit_ms / (self.frame_ms * self.streams)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"cached": list(self.cached), "notes": list(self.notes)}

    def sentence(self, model: str) -> str:
        """The limit in words, for the model's name."""
        return (
            f"One {self.frame_ms:.0f} ms frame of {model} in {self.dtype} takes at least "
            f"{self.limit_ms:.3g} ms at the ceilings measured here: real time is "
            f"{'in' if self.rtf < 1 else 'out of'} reach."
        )

    def describe(self) -> str:
        """A few lines to print before the measurement."""
        total_gb = sum(self.bytes_by_part.values()) / 1e9
        total_gflop = sum(self.flops_by_part.values()) / 1e9
        who = f"{self.streams} streams" if self.streams > 1 else "one stream"
        lines = [
            f"One {self.frame_ms:.0f} ms frame in {self.dtype}, {who}, at position {self.position} "
            f"on {self.machine} ({self.memory_gbs:,.0f} GB/s, {self.matmul_gflops:,.0f} GFLOP/s):"
        ]
        for part, limit_ms in self.limit_ms_by_part.items():
            lines.append(
                f"  {part:<18}{self.bytes_by_part[part] / 1e6:>10,.1f} MB"
                f"{self.flops_by_part[part] / 1e6:>11,.1f} MFLOP{limit_ms:>11.3f} ms"
                + ("  (from cache)" if part in self.cached else "")
            )
        lines.append(
            f"  at least {self.limit_ms:.2f} ms for {total_gb:.2f} GB and {total_gflop:.2f} GFLOP, "
            f"bound by {self.bound_by}: real-time factor {self.rtf:.3f} at best"
        )
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def csm_1b_config() -> Any:
    """CSM-1B's configuration, without a download: the defaults of transformers' CsmConfig."""
    from transformers import CsmConfig, logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns about its own default token ids
    try:
        return CsmConfig()
    finally:
        logging.set_verbosity(level)


def frame_limit(
    config: Any,
    ceilings: Ceilings,
    dtype: str = "bfloat16",
    position: int = 256,
    *,
    codec_dtype: str = "float32",
    streams: int = 1,
    device: str | None = None,
) -> FrameLimit:
    """The least time of one frame of the CSM that ``config`` (a CsmConfig) describes.

    ``position``: entries already in the backbone's KV cache. ``codec_dtype``: Mimi's type.
    ``streams``: frames made together, which share each read of the weights. ``device``: None
    for the one that matters on this machine. Raises InputError for a type that has no ceiling.
    """
    for given in (dtype, codec_dtype):
        if given not in BYTES_OF:
            raise InputError(f"the type {given!r}", f"choose one of {', '.join(BYTES_OF)}")
    if position < 0 or streams < 1:
        raise InputError(
            f"position {position}, {streams} streams", "give a position >= 0 and streams >= 1"
        )
    device = device or ceilings.device
    memory_gbs, cached_gbs = ceilings.memory_gbs(device), ceilings.cached_gbs(device)
    parts = frame_parts(config, position)
    types = {part.name: codec_dtype if part.name == "Mimi decoder" else dtype for part in parts}
    sizes = {part.name: BYTES_OF[types[part.name]] for part in parts}
    cache_bytes = ceilings.cache_bytes.get(device, 0) if cached_gbs else 0
    touched = sum((part.weights + streams * part.moved) * sizes[part.name] for part in parts)
    all_fits = touched <= cache_bytes

    nbytes: dict[str, int] = {}
    flops: dict[str, int] = {}
    limits: dict[str, float] = {}
    bound_ms = {"memory": 0.0, "compute": 0.0}
    cached = []
    for part in parts:
        once = part.weights * sizes[part.name]
        moved = streams * part.moved * sizes[part.name]
        nbytes[part.name] = part.passes * once + moved
        flops[part.name] = streams * part.flops
        fits = all_fits or (part.passes > 1 and once <= cache_bytes)
        from_memory = (0 if all_fits else once + moved) if fits else nbytes[part.name]
        memory_ms = from_memory / memory_gbs / 1e6
        if fits and cached_gbs:
            cached.append(part.name)
            memory_ms += (nbytes[part.name] - from_memory) / cached_gbs / 1e6
        rate = ceilings.matmul_gflops(types[part.name], device)
        compute_ms = flops[part.name] / rate / 1e6
        limits[part.name] = max(memory_ms, compute_ms)
        bound_ms["memory" if memory_ms >= compute_ms else "compute"] += limits[part.name]
    return FrameLimit(
        bytes_by_part=nbytes,
        flops_by_part=flops,
        limit_ms_by_part=limits,
        limit_ms=sum(limits.values()),
        bound_by=max(bound_ms, key=lambda kind: bound_ms[kind]),
        frame_ms=1000 / config.codec_config.frame_rate,
        machine=ceilings.machine,
        device=device,
        dtype=dtype,
        position=position,
        streams=streams,
        memory_gbs=memory_gbs,
        matmul_gflops=ceilings.matmul_gflops(dtype, device),
        cached=tuple(cached),
        notes=_notes(parts, sizes, ceilings, device),
    )


def frame_parts(config: Any, position: int) -> list[Part]:
    """The parts of one frame, from a CsmConfig alone."""
    depth, codebooks = config.depth_decoder_config, config.num_codebooks
    passes = codebooks - 1  # one code each; the first code comes from the backbone
    backbone_products, depth_products = _matrices(config), _matrices(depth)
    # Depth pass p (0-based) attends to p + 2 entries; pass 0 writes two, attending to 1 and 2.
    depth_attended = sum(range(1, codebooks + 1))
    depth_read = sum(range(2, codebooks + 1))
    projection = config.hidden_size * depth.hidden_size
    head = config.hidden_size * config.vocab_size
    heads = passes * depth.hidden_size * depth.vocab_size
    rows = (codebooks + passes) * config.hidden_size
    return [
        Part("embedding rows", 0, 1, rows, 0),
        Part(
            "backbone",
            backbone_products + _norms(config),
            1,
            _kv_row(config) * (position + 1),
            2 * backbone_products + _attention_flops(config) * (position + 1),
        ),
        Part("first code's head", head, 1, 0, 2 * head),
        Part("depth projection", projection, passes, 0, 2 * projection * codebooks),
        Part(
            "depth decoder",
            depth_products + _norms(depth),
            passes,
            _kv_row(depth) * depth_read,
            2 * depth_products * codebooks + _attention_flops(depth) * depth_attended,
        ),
        Part("codebook heads", heads, 1, 0, 2 * heads),
        _mimi_decoder(config.codec_config, codebooks, position),
    ]


def _matrices(config: Any) -> int:
    """Weights of the products of a Llama-like stack: q, k, v, o and gate, up, down."""
    heads = config.num_attention_heads + config.num_key_value_heads
    attention = 2 * config.hidden_size * config.head_dim * heads
    feed_forward = 3 * config.hidden_size * config.intermediate_size
    return int(config.num_hidden_layers * (attention + feed_forward))


def _norms(config: Any) -> int:
    """Weights of its norms: two a layer and one at the end."""
    return int((2 * config.num_hidden_layers + 1) * config.hidden_size)


def _kv_row(config: Any) -> int:
    """Elements of keys and values of one position, all layers."""
    return 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim


def _attention_flops(config: Any) -> int:
    """Operations for one query against one cached position, all layers (scores and values)."""
    return 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim


def _mimi_decoder(codec: Any, codebooks: int, position: int) -> Part:
    """Mimi's decoder for one frame: codes ``[codebooks]`` → 1920 samples.

    ``position`` stands for the stream's length in frames, which fills the sliding window.
    """
    hidden, inner = codec.hidden_size, codec.vector_quantization_hidden_dimension
    weights = flops = 0
    if inner != hidden:  # output projection of the semantic and the acoustic quantizer
        weights += 2 * inner * hidden
        flops += 2 * 2 * inner * hidden
    steps = round(codec.encodec_frame_rate / codec.frame_rate)  # transformer positions a frame
    if steps != 1:
        upsample = hidden * (hidden // codec.upsample_groups) * 2 * steps
        weights += upsample
        flops += 2 * upsample

    projections = 2 * hidden * codec.head_dim * (
        codec.num_attention_heads + codec.num_key_value_heads
    )  # fmt: skip
    matrices = projections + 2 * hidden * codec.intermediate_size
    weights += codec.num_hidden_layers * (matrices + 6 * hidden)  # two norms, two layer scales
    flops += 2 * codec.num_hidden_layers * matrices * steps
    window = min(codec.sliding_window, steps * (position + 1))
    flops += _attention_flops(codec) * window * steps

    for kernel, channels_in, channels_out, calls in _seanet_decoder(codec, steps):
        weights += kernel * channels_in * channels_out + channels_out
        flops += 2 * kernel * channels_in * channels_out * calls
    moved = codebooks * codec.codebook_dim + _kv_row(codec) * window
    return Part("Mimi decoder", weights, 1, moved, flops)


def _seanet_decoder(codec: Any, steps: int) -> list[tuple[int, int, int, int]]:
    """Its convolutions as (kernel, channels in, channels out, kernel applications a frame)."""
    channels = codec.num_filters * 2 ** len(codec.upsampling_ratios)
    length = steps
    layers = [(codec.kernel_size, codec.hidden_size, channels, length)]
    for ratio in codec.upsampling_ratios:
        half = channels // 2
        # A transposed convolution applies its kernel once per input position.
        layers.append((2 * ratio, channels, half, length))
        channels, length = half, length * ratio
        squeezed = channels // codec.compress
        for _ in range(codec.num_residual_layers):
            layers.append((codec.residual_kernel_size, channels, squeezed, length))
            layers.append((1, squeezed, channels, length))
            if codec.use_conv_shortcut:
                layers.append((1, channels, channels, length))
    return [*layers, (codec.last_kernel_size, channels, codec.audio_channels, length)]


def _notes(
    parts: list[Part], sizes: dict[str, int], ceilings: Ceilings, device: str
) -> tuple[str, ...]:
    """What makes the limit less certain."""
    notes = [note for note in ceilings.notes if device == "cpu"]
    cache_bytes = ceilings.cache_bytes.get(device, 0)
    small = [p.name for p in parts if p.passes > 1 and p.weights * sizes[p.name] <= cache_bytes]
    if small and ceilings.cached_gbs(device) is None:
        notes.append(
            f"the cache of {cache_bytes / 1e6:.0f} MB holds the weights of {' and '.join(small)}; "
            "its rate is not measured here, so their repeated reads may beat this limit"
        )
    return tuple(notes)
