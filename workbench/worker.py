"""Hosts an object in a process of its own: calls, streams and errors come through.

An arm of a measurement lives in such a process, so that process-wide flags (TF32, threads,
allocator) can't leak into another arm; an engine whose packages conflict with ours lives in one
on another interpreter. The host needs only the standard library and this package's floor 0.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Generator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError

_STDERR_TAIL_CHARS = 2_000
_CLOSE_S = 10.0  # after which a worker that was asked to end is killed


class WorkerDied(WorkbenchError):
    """The process ended while it was needed: a crash, a kill, or out of memory."""


class WorkerTimeout(WorkbenchError):
    """A call took longer than its limit; the process was killed."""


class RemoteError(WorkbenchError):
    """An exception of the hosted object whose own type can't be had on this side."""


class Worker:
    """The object ``target(*args, **kwargs)`` in a process of its own.

    ``target`` is ``"module:callable"``. ``python`` is the interpreter (default: this one),
    ``environment`` adds to the inherited variables. Creating a worker returns at once; the
    object is made in the process, and the first call waits for it. One call or stream at a
    time. An exception of the object is raised here with its own type where that type can be
    imported, with the worker's traceback as a note.
    """

    def __init__(
        self,
        target: str,
        *args: Any,
        python: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        name: str = "",
        **kwargs: Any,
    ) -> None:
        module, _, attribute = target.partition(":")
        if not module or not attribute:
            raise InputError(f"a worker's target {target!r}", "name it as 'module:callable'")
        self.name = name or target
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [str(python or sys.executable), "-m", "workbench.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,  # what the object prints must not end up in our stdout
                stderr=self._stderr,
                env={**os.environ, **_import_path(), **(environment or {})},
            )
        except OSError as problem:
            ours.close()
            self._stderr.close()
            raise InputError(
                f"the interpreter {python} can't be started: {problem.strerror or problem}",
                "check the path of the worker's Python",
            ) from problem
        finally:
            theirs.close()
        self._connection = Connection(ours.detach())
        self._streaming = False
        self._send(("make", module, attribute, args, kwargs))
        self._made = False

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ready(self, timeout_s: float | None = None) -> None:
        """Waits until the object is made; raises what its making raised."""
        if not self._made:
            self._receive(timeout_s, "start")
            self._made = True

    def call(self, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """``object.method(*args, **kwargs)``.

        Waits without polling. Raises WorkerDied where the process ends first, WorkerTimeout
        after ``timeout_s`` (the process is killed then), else what the method raised.
        """
        self._require_idle()
        self.ready(timeout_s)
        self._send(("call", method, args, kwargs))
        return self._receive(timeout_s, method)[1]

    def stream(
        self, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Generator[Any]:
        """The items of ``object.method(*args, **kwargs)`` as they are made.

        ``timeout_s`` holds for each item. Closing the iterator ends the method's generator.
        """
        self._require_idle()
        self.ready(timeout_s)
        self._send(("stream", method, args, kwargs))
        self._streaming = True
        try:
            while True:
                kind, item = self._receive(timeout_s, method)
                if kind == "end":
                    return
                try:
                    yield item
                except BaseException:  # the consumer leaves in the middle
                    self._cancel(timeout_s, method)
                    raise
        finally:
            self._streaming = False

    def close(self) -> None:
        """Ends the process, also in the middle of a stream; kills it where it doesn't end."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(pickle.dumps(("quit",)))
        self._connection.close()  # what it still has to say it says to nobody, and goes on
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stderr.close()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_idle(self) -> None:
        if self._streaming:
            raise InputError(
                f"the worker {self.name} is streaming", "finish or close its stream first"
            )

    def _send(self, message: tuple[Any, ...]) -> None:
        try:
            self._connection.send_bytes(pickle.dumps(message))
        except OSError as problem:
            raise self._died(str(message[1])) from problem

    def _receive(self, timeout_s: float | None, doing: str) -> tuple[str, Any]:
        try:
            if timeout_s is not None and not self._connection.poll(timeout_s):
                self.kill()
                raise WorkerTimeout(
                    f"the worker {self.name} took longer than {timeout_s:g} s for {doing!r}",
                    "allow more time, or ask for less work",
                )
            kind, value = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as problem:
            raise self._died(doing) from problem
        if kind == "error":
            raise _revived(value, self.name)
        return kind, value

    def _cancel(self, timeout_s: float | None, doing: str) -> None:
        self._send(("cancel", doing))
        try:
            while self._receive(timeout_s, doing)[0] != "end":
                pass
        except (WorkerDied, WorkerTimeout):
            raise
        except Exception:  # the stream failed just as it was left: its error ended it as well
            return

    def _died(self, doing: str) -> WorkerDied:
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        remedy = "read its last words below"
        if code == -signal.SIGKILL:
            remedy = "it was killed, often for want of memory: use a smaller model or batch"
        words = ""
        if not self._stderr.closed:
            self._stderr.seek(0)
            words = self._stderr.read().decode(errors="replace").strip()[-_STDERR_TAIL_CHARS:]
        died = WorkerDied(f"the worker {self.name} ended during {doing!r} ({how})", remedy)
        if words:
            died.add_note(f"its last words:\n{words}")
        return died


def _import_path() -> dict[str, str]:
    """PYTHONPATH with this package on it: another interpreter need not have it installed."""
    root = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}


def _revived(told: Mapping[str, Any], name: str) -> BaseException:
    try:
        problem: BaseException = pickle.loads(told["pickled"])
    except Exception:  # the type lives in a package that only the worker has: say what it was
        problem = RemoteError(
            f"{told['type']} in the worker {name}: {told['message']}", "see the worker's traceback"
        )
    problem.add_note(f"in the worker {name}:\n{told['traceback']}")
    return problem


def _told(problem: BaseException) -> dict[str, Any]:
    try:
        pickled = pickle.dumps(problem)
    except Exception:  # an exception that holds a lock, a file, …: its words must do
        pickled = b""
    return {
        "pickled": pickled,
        "type": type(problem).__name__,
        "message": str(problem),
        "traceback": traceback.format_exc(),
    }


def _serve(connection: Connection) -> None:
    """The worker's side: one message at a time, until told to quit or the parent is gone."""
    hosted: Any = None
    while True:
        try:
            kind, *rest = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        if kind == "quit":
            return
        if kind == "cancel":  # the stream ended by itself before the word came
            continue
        try:
            if kind == "make":
                module, attribute, args, kwargs = rest
                hosted = getattr(importlib.import_module(module), attribute)(*args, **kwargs)
                answer: tuple[str, Any] = ("made", None)
            else:
                method, args, kwargs = rest
                result = getattr(hosted, method)(*args, **kwargs)
                if kind == "stream":
                    if _pump(connection, result) == "quit":
                        return
                    result = None
                answer = ("value" if kind == "call" else "end", result)
            reply = pickle.dumps(answer)
        except Exception as problem:
            reply = pickle.dumps(("error", _told(problem)))
        connection.send_bytes(reply)


def _pump(connection: Connection, items: Any) -> str:
    """Sends items as they are made, until a word comes, which closes their generator.

    Returns that word: ``cancel``, ``quit``, or empty where the items came to their end.
    """
    iterator = iter(items)
    for item in iterator:
        connection.send_bytes(pickle.dumps(("item", item)))
        if connection.poll(0):
            word = str(pickle.loads(connection.recv_bytes())[0])
            close = getattr(iterator, "close", None)
            if close:
                close()
            return word
    return ""


if __name__ == "__main__":
    # Ctrl-C goes to the whole foreground group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody listens any more
        _serve(Connection(int(sys.argv[1])))
