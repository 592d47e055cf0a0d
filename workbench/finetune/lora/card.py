"""An adapter's card: what it was made of, whose voice it is, how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def adapter_card(about: Mapping[str, Any]) -> str:
    """The README.md of an adapter, from its ``workbench.json``."""
    recipe, held_out = about["recipe"], about["held_out"]
    lines = [
        f"# LoRA adapter: {about['voice_name']}",
        "",
        f"Speaks as voice {about['voice']} of {about['base']} (weights {about['base_revision']}).",
        "",
        f'    workbench.load({about["base"]!r}, adapter="this folder")',
        "",
        f"- **Voice:** {about['voice_name']}. "
        f"**Consent:** {about['consent'] or 'nothing was noted'}.",
        f"- **Data:** {about['recordings']} recordings, {about['audio_s'] / 60:.1f} minutes, "
        f"SHA-256 {about['data_sha256'][:12]}.",
        f"- **Adapter:** rank {recipe['rank']}, alpha {recipe['alpha']}, "
        f"{about['trained_parameters']:,} parameters in the backbone's attention and the depth "
        "decoder; the codec is as it was.",
        f"- **Training:** {recipe['epochs']} epochs, {about['step']} steps, "
        f"{recipe['precision']}, peak rate {recipe['peak_rate']:g}.",
    ]
    if held_out:
        curves = ", ".join(
            f"{name} {values[0]:.3f} to {min(values):.3f}" for name, values in held_out.items()
        )
        lines.append(f"- **Held-out loss**, first epoch and best: {curves}.")
    lines += ["", "What it speaks is synthetic. Say so to those who hear it.", ""]
    return "\n".join(lines)
