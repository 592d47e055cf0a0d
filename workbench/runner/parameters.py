"""Parameters of notebooks: what a parameters cell declares, and values checked against it.

The cell is read with Python's own parser, since papermill overlooks a declaration whose line
holds a second ``=``.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Optional, Union, get_args, get_origin

from workbench.errors import InputError

_TYPE_NAMES: dict[str, Any] = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict,
    "tuple": tuple, "None": None, "Literal": Literal, "Optional": Optional, "Any": Any,
}  # fmt: skip
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: ``name: type_name = default  # help``."""

    name: str
    type: Any
    type_name: str
    default: Any
    help: str

    def parse(self, value: Any) -> Any:
        """``value`` as this parameter's type; text as typed on a command line is understood.

        Raises ValueError where it doesn't fit.
        """
        return _fitted(value, self.type)


def parameters_in(source: str, where: str) -> dict[str, Parameter]:
    """What a parameters cell declares, by name. Defaults must be literals."""
    try:
        statements = ast.parse(source).body
        comments = _comments(source)
    except (SyntaxError, tokenize.TokenError) as problem:
        raise InputError(
            f"{where}: its parameters cell is not plain Python ({problem})",
            "keep it to lines such as  engine: str = 'csm-nano'  # which engine",
        ) from problem
    found = {}
    target: ast.expr
    for statement in statements:
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, annotation = statement.target, ast.unparse(statement.annotation)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, annotation = statement.targets[0], ""
        else:
            continue
        if not isinstance(target, ast.Name):
            continue
        try:
            default = ast.literal_eval(statement.value)  # type: ignore[arg-type]
            kind = eval(annotation, {"__builtins__": {}}, _TYPE_NAMES) if annotation else None
        except Exception as problem:
            raise InputError(
                f"{where}: parameter {target.id!r} is not a literal of a plain type",
                "write it as  name: int = 3 ; known types: " + ", ".join(_TYPE_NAMES),
            ) from problem
        kind = kind or (Any if default is None else type(default))
        help = comments.get(statement.end_lineno or 0, "")
        name = annotation or getattr(kind, "__name__", "Any")
        found[target.id] = Parameter(target.id, kind, name, default, help)
    return found


def assign(
    given: Mapping[str, Any], declared: Mapping[str, Mapping[str, Parameter]]
) -> dict[str, dict[str, Any]]:
    """Which notebook gets which values: each one goes to all notebooks that declare its name.

    ``declared`` holds each notebook's parameters. Raises InputError for a name that none of them
    declares and for a value that doesn't fit.
    """
    assigned: dict[str, dict[str, Any]] = {notebook: {} for notebook in declared}
    for name, value in given.items():
        takers = [notebook for notebook, parameters in declared.items() if name in parameters]
        if not takers:
            known = sorted({key for parameters in declared.values() for key in parameters})
            raise InputError(
                f"no parameter {name!r} in {', '.join(declared)}",
                f"known: {', '.join(known) or 'none'}",
            )
        for notebook in takers:
            parameter = declared[notebook][name]
            try:
                assigned[notebook][name] = parameter.parse(value)
            except ValueError as problem:
                raise InputError(
                    f"{notebook}: parameter {name!r} is {parameter.type_name}, got {value!r}",
                    f"{problem or 'give another value'}; its default is {parameter.default!r}",
                ) from problem
    return assigned


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _fitted(value: Any, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if kind is None or kind is NoneType:
        if value is None or value in ("none", "None", "null"):
            return None
        raise ValueError("only none fits")
    if origin in (Union, UnionType):
        return _first_fit(value, sorted(arguments, key=lambda one: one is str))
    if origin is Literal:
        if value in arguments:
            return value
        texts = {str(argument): argument for argument in arguments}
        if isinstance(value, str) and value in texts:
            return texts[value]
        raise ValueError(f"choose from {', '.join(map(repr, arguments))}")
    container = origin or kind
    if container in (list, tuple, dict):
        return _container(value, container, arguments)
    if isinstance(value, str) and container is not str:
        return _from_text(value, container)
    if container is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, container) and not (isinstance(value, bool) and container is not bool):
        return value
    raise ValueError(f"{type(value).__name__} does not fit")


def _first_fit(value: Any, kinds: list[Any]) -> Any:
    """``value`` as the first of ``kinds`` that takes it; text last, for it takes any."""
    for kind in kinds:
        try:
            return _fitted(value, kind)
        except ValueError:
            continue
    raise ValueError("none of its types fits")


def _from_text(text: str, kind: type) -> Any:
    if kind is bool:
        if text.strip().lower() not in _BOOLEANS:
            raise ValueError("write true or false")
        return _BOOLEANS[text.strip().lower()]
    try:
        number = kind(text)
    except (ValueError, TypeError):
        raise ValueError(f"write {'a whole number' if kind is int else 'a number'}") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("write a finite number")
    return number


def _container(value: Any, container: type, arguments: tuple[Any, ...]) -> Any:
    """Lists, tuples and dicts; text is JSON, a Python literal or, for lists, ``a,b,c``."""
    if isinstance(value, str):
        value = _literal(value, container)
    wanted = dict if container is dict else (list, tuple)
    if not isinstance(value, wanted):
        raise ValueError(f"write a {container.__name__}, for instance as JSON")
    if container is dict:
        kind = arguments[1] if len(arguments) == 2 else Any
        return {key: _fitted(inner, kind) for key, inner in value.items()}
    return container(_fitted(inner, arguments[0] if arguments else Any) for inner in value)


def _literal(text: str, container: type) -> Any:
    for reader in (json.loads, ast.literal_eval):
        try:
            value = reader(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(value, (list, tuple, dict)):
            return value
    if container is not dict and not text.strip().startswith(("[", "(", "{")):
        return [part.strip() for part in text.split(",") if part.strip()]
    raise ValueError("write it as JSON")
