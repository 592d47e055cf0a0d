"""``load_chat``: a chat model by name, folder or hub id, or Gemini; ``load_judge`` of turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.engines.chat.messages import ChatModel
from workbench.engines.load import device_called
from workbench.errors import InputError
from workbench.models.chat.find import NANO, find_chat
from workbench.optimizations.dtypes import DTYPES, auto_dtype, torch_dtype

if TYPE_CHECKING:
    from workbench.engines.chat.local import ChatJudge

_GEMINI = "gemini-"
# What each implementation can be told beside what all local models know.
_SETTINGS: dict[str, tuple[str, ...]] = {
    "static": ("compile_mode", "capacity", "quantization"),
    "dynamic": ("draft", "draft_tokens", "quantization"),
    "transformers": ("quantization",),
    "gemini": ("timeout_s", "thinking_budget", "base_url"),
}
_QUANTIZATIONS = (None, "int8", "int8_dynamic", "fp8", "native_int8")


def load_chat(
    name: str = NANO,
    *,
    weights: Literal["auto", "random"] = "auto",
    implementation: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
    **settings: Any,
) -> ChatModel:
    """Loads a chat model.

    ``name`` is ``chat-nano``, ``llama-3.2-1b``, ``smollm2-1.7b`` or ``smollm2-135m`` (from the
    hub), a folder in transformers' layout, a hub id, or a Gemini (``gemini-flash-latest``).
    ``weights="random"`` builds a known architecture without any download: for timing; it writes
    noise, always ``max_tokens`` of it, and its ``weights`` say so. ``implementation`` is
    ``static`` (default), ``dynamic`` or ``transformers``. ``dtype`` is bfloat16 or float16 on a
    GPU, as it can; on the CPU float32 for small models, bfloat16 for large ones. ``threads`` are
    CPU threads while it answers. ``revision`` is a hub commit.

    Further ``settings``: of all local models ``quantization`` (``int8``, ``int8_dynamic``, ``fp8``
    by torchao, ``native_int8`` by our kernel); of ``static`` ``compile_mode`` and ``capacity``
    (tokens of conversation and answer, 1024); of ``dynamic`` ``draft`` (the name of a smaller
    model with the same tokens) and ``draft_tokens`` (4); of Gemini ``timeout_s`` (30),
    ``thinking_budget`` (tokens; default: the model's own) and ``base_url``. Gemini's key is read
    from the environment, ``GEMINI_API_KEY`` or ``GOOGLE_API_KEY``, and from nowhere else.

    Raises InputError for an unknown name or setting, ModelError for files that are missing or
    damaged.
    """
    if weights not in ("auto", "random"):
        raise InputError(f"weights={weights!r}", "use 'auto' or 'random'")
    if name.startswith(_GEMINI):
        local = {
            "implementation": implementation,
            "device": device,
            "dtype": dtype,
            "revision": revision,
            "threads": threads,
            "weights": None if weights == "auto" else weights,
        }
        for what, value in local.items():
            if value is not None:
                raise InputError(f"{what}={value!r} for {name}, which runs elsewhere", "leave it")
        _check_settings("gemini", settings)
        from workbench.engines.chat.gemini import GeminiChat

        return GeminiChat(name, **settings)
    chosen = implementation or "static"
    if chosen not in _SETTINGS or chosen == "gemini":
        raise InputError(
            f"no implementation called {chosen!r}", "use static, dynamic or transformers"
        )
    _check_settings(chosen, settings)
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"no dtype called {dtype!r}", f"use {', '.join(DTYPES)}")
    for what, value in (
        ("threads", threads),
        ("capacity", settings.get("capacity")),
        ("draft_tokens", settings.get("draft_tokens")),
    ):
        if value is not None and value < 1:
            raise InputError(f"{what}={value}", "use at least 1")
    kind = settings.pop("quantization", None)
    if kind not in _QUANTIZATIONS:
        raise InputError(
            f"no quantization called {kind!r}", f"use {', '.join(map(str, _QUANTIZATIONS[1:]))}"
        )
    return _local(
        name, weights == "random", chosen, device, dtype, revision, threads, kind, settings
    )


def load_judge(name: str = NANO, **settings: Any) -> ChatJudge:
    """A chat model that tells how likely a speaker has finished; arguments as ``load_chat``'s.

    Raises InputError for one that runs elsewhere and tells no probabilities.
    """
    chat = load_chat(name, **settings)
    from workbench.engines.chat.local import ChatJudge, LocalChat

    if not isinstance(chat, LocalChat):
        raise InputError(f"{name} tells no probabilities", "judge with a local chat model")
    return ChatJudge(chat)


def _local(
    name: str,
    random: bool,
    implementation: str,
    device: str | None,
    dtype: str | None,
    revision: str | None,
    threads: int | None,
    quantization: Any,
    settings: dict[str, Any],
) -> ChatModel:
    from workbench.engines.chat.local import LocalChat
    from workbench.models.chat.architectures import ARCHITECTURES
    from workbench.models.chat.load import LoadedChat, load_chat_model
    from workbench.models.checkpoint import Checkpoint
    from workbench.models.csm.quantization import quantize
    from workbench.optimizations.site import site_of

    target = device_called(device)

    def loaded(called: str, commit: str | None) -> tuple[LoadedChat, Checkpoint]:
        checkpoint = find_chat(called, random=random, revision=commit)
        config = checkpoint.read_json_or_empty("config.json") or ARCHITECTURES.get(called, {})
        small = config.get("hidden_size", 2048) < 1024
        type_name = dtype or auto_dtype(site_of(target, "chat"), small)
        made = load_chat_model(checkpoint, dtype=torch_dtype(type_name), device=target)
        return made, checkpoint

    model, found = loaded(name, revision)
    draft = settings.pop("draft", None)
    if draft is not None:
        settings["draft"], _ = loaded(draft, None)
    chat = LocalChat(
        model,
        name=found.name,
        weights=found.revision,
        implementation=implementation,
        threads=threads,
        **settings,
    )
    if quantization is not None:
        # Not the output layer: its errors go straight into the choice of the token, and its
        # weight is often the embedding's, too.
        quantize([model.model.base_model], quantization)
    return chat


def _check_settings(implementation: str, settings: dict[str, Any]) -> None:
    known = _SETTINGS[implementation]
    if unknown := sorted(settings.keys() - set(known)):
        raise InputError(
            f"the implementation {implementation} has no setting {unknown[0]!r}",
            f"it knows {', '.join(known)}",
        )
