"""Fish-Speech's small random networks in its own environment: a checkpoint, and frames."""

from pathlib import Path

from workbench.engines.guests.bare import own_packages_first
from workbench.engines.guests.hosted import Wanted


class Writer:
    """Runs in Fish-Speech's environment."""

    def write(self, folder):
        """Writes all files of a checkpoint to ``folder``."""
        import torch

        own_packages_first()
        from workbench.engines.guests.fish_model import load_fish

        made = load_fish(Wanted("", None, True, "small", "cpu", None, None, None, {}), None)
        made.model.save_pretrained(folder)
        torch.save(made.codec.state_dict(), Path(folder) / "codec.pth")

    def frames(self, least):
        """Codes drawn without a temperature, where steps see ``least`` positions at least."""
        import torch

        own_packages_first()
        from workbench.engines.guests import fish_caches
        from workbench.engines.guests.fish_codec import CODEBOOKS
        from workbench.engines.guests.fish_model import load_fish
        from workbench.engines.guests.fish_tokens import Sampling, frames, prompt

        torch.set_num_threads(1)
        fish_caches.LEAST = least
        made = load_fish(Wanted("", None, True, "small", "cpu", None, None, None, {}), None)
        caches = fish_caches.Caches(made.model, 1_024, torch.float32)
        asked = prompt(made.model.tokenizer, [], "good morning " * 10, CODEBOOKS)
        with torch.inference_mode():
            return frames(made.model, caches, asked, 150, Sampling(0.0, 0.8, 1.1))[0].numpy()
