"""A checkpoint of Fish-Speech as its package writes one, with small random networks."""

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
