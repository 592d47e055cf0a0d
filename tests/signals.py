"""Signals for programs that tests start."""

import signal


def heeding_ctrl_c():
    """A ``preexec_fn``: a shell's background job ignores Ctrl-C, and so would all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
