"""Errors that a user can act on: each names the input at fault and the remedy."""

from __future__ import annotations


class WorkbenchError(Exception):
    """Base of every error the workbench raises on purpose.

    ``what`` names the input at fault, ``remedy`` says what to do about it. The command line
    prints both and exits with ``exit_code``.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}\n  → {remedy}" if remedy else what)

    def __reduce__(self) -> tuple[type[WorkbenchError], tuple[str, str]]:
        # Exceptions pickle their args, which here are the joined message: keep both parts,
        # so that an error raised in a worker process arrives whole.
        return type(self), (self.what, self.remedy)


class InputError(WorkbenchError):
    """A text, parameter, voice or file given by the user can't be used."""

    exit_code = 2


class ModelError(WorkbenchError):
    """A model's files are missing, truncated, of the wrong kind or fail their checksum."""

    exit_code = 3


class OutputError(WorkbenchError):
    """A result can't be written where it was asked for."""

    exit_code = 4


class RecordError(WorkbenchError):
    """A record of measurements is missing, corrupt or of another schema version."""

    exit_code = 5


class ServiceError(WorkbenchError):
    """A service over the network refused, failed, was too slow or went away in mid-answer."""

    exit_code = 6


class OutOfMemory(WorkbenchError):
    """Weights, or the caches of what is to be spoken, don't fit the free memory."""

    exit_code = 7
