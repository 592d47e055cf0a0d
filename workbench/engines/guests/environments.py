"""Environments of guest engines: made whole or not at all, and looked at.

Below the cache, ``engines/<name>/environment.json`` names the folder in use. It is written last,
so what an interrupted installation left is never mistaken for an environment, and an engine keeps
working while it is installed anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.engines.guests.catalogue import GUESTS, Guest, guest
from workbench.errors import ModelError, OutputError, WorkbenchError
from workbench.files import write_json
from workbench.models.hub import cache_dir
from workbench.worker import Worker

State = Literal["ready", "missing", "outdated", "broken"]
_PROBE = "workbench.engines.guests.probe:Probe"
_PROBE_LIMIT_S = 300.0  # the first import of a large package from a cold disk
_HOST_PATHS = "zz-workbench-host.pth"  # read last: the environment's own packages come first


@dataclass(frozen=True)
class Status:
    """Whether an engine can be loaded; ``detail`` and ``remedy`` say why not and what mends it.

    ``versions`` are those found when it was installed (``doctor``: now).
    """

    name: str
    state: State
    detail: str
    remedy: str = ""
    python: Path | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against loading it."""
        return self.state == "ready"


def installed(name: str) -> bool:
    """Whether the guest engine ``name`` can be loaded; looks at files only."""
    return status(name).ready


def status(name: str) -> Status:
    """What is known of an engine's environment without starting it.

    Raises InputError for an unknown engine.
    """
    one = guest(name)
    install_it = f"workbench engines install {name}"
    try:
        told = json.loads(_pointer(name).read_text(encoding="utf-8"))
        python, versions = Path(told["python"]), dict(told["versions"])
        made_of, host = str(told["digest"]), [Path(path) for path in told["host_paths"]]
    except FileNotFoundError:
        return Status(name, "missing", "not installed", install_it)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        words = f"{_pointer(name)} can't be read ({type(problem).__name__})"
        return Status(name, "broken", words, f"{install_it} --again")
    if not python.exists():
        words = f"its interpreter {python} is gone"
        return Status(name, "broken", words, f"{install_it} --again")
    gone = [path for path in host if not path.is_dir()]
    if gone:
        words = f"the workbench's packages, which it shares, are no longer in {gone[0]}"
        return Status(name, "broken", words, f"{install_it} --again", python, versions)
    if made_of != digest(one):
        words = "made of another requirement set or for another Python than this workbench's"
        return Status(name, "outdated", words, f"{install_it} --again", python, versions)
    version = versions.get(one.distribution, "")
    return Status(name, "ready", f"{one.distribution} {version}", "", python, versions)


def doctor(name: str) -> Status:
    """As ``status``, and starts the interpreter to import what the engine needs."""
    found = status(name)
    if not found.ready or found.python is None:
        return found
    try:
        versions = _probed(guest(name), found.python)
    except Exception as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else ""
        words = f"{type(problem).__name__}: {first}" if first else type(problem).__name__
        remedy = f"workbench engines install {name} --again"
        return Status(name, "broken", words, remedy, found.python, found.versions)
    changed = [
        f"{package} {versions.get(package, 'missing')} instead of {version}"
        for package, version in found.versions.items()
        if versions.get(package) != version
    ]
    detail = found.detail
    if changed:  # it imports, so it is told and not held against it
        detail += f"; since it was installed: {', '.join(changed)}"
    return Status(name, "ready", detail, "", found.python, versions)


def all_statuses(look: Callable[[str], Status] = status) -> list[Status]:
    """The status of every guest engine."""
    return [look(name) for name in GUESTS]


def required(name: str) -> Status:
    """The status of an engine that can be loaded; ModelError with the remedy for any other."""
    found = status(name)
    if not found.ready:
        raise ModelError(f"the engine {name!r} can't be loaded: {found.detail}", found.remedy)
    return found


def install(name: str, *, again: bool = False, tell: Callable[[str], None] = print) -> Status:
    """Makes the environment of ``name``, unless it is there already and not to be made ``again``.

    pip installs exactly the requirement set; what the set leaves out (PyTorch, NumPy, …) is
    imported from the workbench's own environment. Raises InputError for an unknown engine,
    OutputError where the folder can't be written, ModelError where pip fails or the engine
    doesn't import; the environment before stays in use then.
    """
    one = guest(name)
    home = _home(name)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(
            f"can't write {home}: {problem.strerror or problem}",
            "set WORKBENCH_CACHE to a folder you may write to",
        ) from problem
    with _alone(home, name):
        before = status(name)
        if before.ready and not again:
            return before
        used = before.python.parents[1] if before.python else None
        for leftover in home.glob("env-*"):
            if leftover != used:
                shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="env-", dir=home))
        try:
            python = _made(one, folder, tell)
            tell("importing it")
            versions = _probed(one, python)
        except WorkbenchError as problem:
            shutil.rmtree(folder, ignore_errors=True)
            raise ModelError(
                f"the engine {name!r} could not be installed: {problem.what}",
                problem.remedy or "read the messages above",
            ) from problem
        except BaseException:  # Ctrl-C as well: what is half-made goes
            shutil.rmtree(folder, ignore_errors=True)
            raise
        write_json(
            _pointer(name),
            {
                "python": str(python),
                "digest": digest(one),
                "host_paths": [str(path) for path in host_paths()],
                "versions": versions,
            },
        )
        if used is not None and used != folder:
            shutil.rmtree(used, ignore_errors=True)
    return status(name)


def digest(one: Guest) -> str:
    """What an environment is made of: requirement set and Python; 12 hexadecimal digits."""
    made_of = (
        one.requirements.read_bytes(),
        sys.implementation.cache_tag.encode(),
        sysconfig.get_platform().encode(),
    )
    return hashlib.sha256(b"\0".join(made_of)).hexdigest()[:12]


def host_paths() -> list[Path]:
    """Folders of packages that the workbench itself imports from."""
    names = ("site-packages", "dist-packages")
    return [Path(path) for path in sys.path if Path(path).name in names and Path(path).is_dir()]


def _home(name: str) -> Path:
    return cache_dir() / "engines" / name


def _pointer(name: str) -> Path:
    return _home(name) / "environment.json"


@contextlib.contextmanager
def _alone(home: Path, name: str) -> Iterator[None]:
    """Keeps a second installation of the same engine out until the block ends."""
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise OutputError(
                f"the engine {name!r} is being installed by another process",
                "wait until it is done",
            ) from problem
        yield


def _made(one: Guest, folder: Path, tell: Callable[[str], None]) -> Path:
    """The interpreter of a new environment in ``folder`` with the engine's packages."""
    tell(f"making an environment for {one.name} in {folder}")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    python = folder / "bin" / "python"
    tell(f"installing {one.distribution} and what it needs (pip)")
    _pip(python, one.requirements)
    base = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars=base))
    # Only now: with it in place, pip would take the workbench's packages for installed here.
    lines = "".join(f"{path}\n" for path in host_paths())
    (packages / _HOST_PATHS).write_text(lines, encoding="utf-8")
    for package in one.python_only:
        _without_compiled(python, packages / package, tell)
    return python


def _pip(python: Path, requirements: Path) -> None:
    command = [
        sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-input",
        "--no-compile", "--quiet", "--disable-pip-version-check", "--prefer-binary",
        "-r", str(requirements),
    ]  # fmt: skip
    # Of the environment that is made, and not what a shell adds to ours.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if not ran.returncode:
        return
    if "No module named pip" in ran.stderr:
        raise ModelError(
            "the workbench's own environment has no pip", f"{sys.executable} -m ensurepip"
        )
    errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
    words = (errors or ran.stderr.strip().splitlines() or ["no message"])[0]
    raise ModelError(
        f"pip failed: {words.removeprefix('ERROR: ')}",
        "check the network and the free space on the disk, then try again",
    )


def _without_compiled(python: Path, package: Path, tell: Callable[[str], None]) -> None:
    """Takes a package's compiled library away where it doesn't load, and says so.

    torchaudio's wheels are linked against CUDA's libraries and don't load beside PyTorch for the
    CPU; without its library its Python parts work, which is all that these engines use.
    """
    test = [str(python), "-c", f"import {package.name}"]
    if not subprocess.run(test, capture_output=True, check=False).returncode:
        return
    for library in (package / "lib").glob("*.so*"):
        library.unlink()
    tell(
        f"{package.name}: its compiled library doesn't load beside this PyTorch and was left out; "
        "its Python parts do the work"
    )


def _probed(one: Guest, python: Path) -> dict[str, str]:
    """Versions of what the engine runs on; raises what importing it raised."""
    with Worker(_PROBE, python=python, name=one.name) as worker:
        versions: dict[str, Any] = worker.call(
            "look",
            one.modules,
            (one.distribution, *one.shared),
            one.bare,
            timeout_s=_PROBE_LIMIT_S,
        )
    return versions
