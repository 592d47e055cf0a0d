"""VoiceReel: a script for several speakers becomes one track with captions."""

from workbench.reel.reel import make_reel
from workbench.reel.result import Reel
from workbench.reel.script import Script, parse_script, read_script, sample_script

__all__ = ["Reel", "Script", "make_reel", "parse_script", "read_script", "sample_script"]
