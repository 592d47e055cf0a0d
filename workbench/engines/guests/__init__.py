"""Engines whose packages conflict with ours, or with each other: each in an environment of its own.

guests.installed("piper")            # whether `workbench.load("piper")` can work
guests.status("piper")               # why not, and the command that mends it
"""

from workbench.engines.guests.catalogue import GUESTS, Guest, guest
from workbench.engines.guests.environments import Status, install, installed, status

__all__ = ["GUESTS", "Guest", "Status", "guest", "install", "installed", "status"]
