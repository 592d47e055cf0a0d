import pytest

from tests.runner.notebooks import concluding, write
from workbench.errors import InputError
from workbench.runner import run
from workbench.runner.parameters import assign, parameters_in

SOURCE = """
# How to speak
engine: str = "csm-nano"  # csm-nano, csm-1b or a folder
repeats: int = 3
scale: float | None = None
quick: bool = False
texts: list[str] = ["a = b", "good # morning"]  # what is spoken
mode: Literal["true", "pseudo"] = "true"
sizes: list[int] = [
    1,
    2,
]
untyped = 2
"""
DECLARED = parameters_in(SOURCE, "10_demo")


def test_declarations():
    assert list(DECLARED) == [
        "engine", "repeats", "scale", "quick", "texts", "mode", "sizes", "untyped",
    ]  # fmt: skip
    assert DECLARED["engine"].help == "csm-nano, csm-1b or a folder"
    assert DECLARED["texts"].default == ["a = b", "good # morning"]
    assert DECLARED["texts"].help == "what is spoken"
    assert DECLARED["scale"].type_name == "float | None"
    assert DECLARED["untyped"].type_name == "int"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("engine", "csm-1b", "csm-1b"),
        ("engine", "3", "3"),
        ("repeats", "7", 7),
        ("repeats", 7, 7),
        ("untyped", "7", 7),
        ("scale", "0.5", 0.5),
        ("scale", 2, 2.0),
        ("scale", "none", None),
        ("scale", None, None),
        ("quick", "true", True),
        ("quick", "No", False),
        ("mode", "pseudo", "pseudo"),
        ("texts", "one,two", ["one", "two"]),
        ("texts", '["one, two"]', ["one, two"]),
        ("sizes", "3,4", [3, 4]),
        ("sizes", "[3, 4]", [3, 4]),
        ("sizes", (3, 4), [3, 4]),
    ],
)
def test_values_are_read_as_declared(name, given, expected):
    value = assign({name: given}, {"10_demo": DECLARED})["10_demo"][name]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("repeats", "abc"),
        ("repeats", "3.5"),
        ("repeats", 3.5),
        ("repeats", True),
        ("repeats", ""),
        ("scale", "fast"),
        ("scale", "nan"),
        ("quick", "maybe"),
        ("quick", 1),
        ("mode", "both"),
        ("engine", 3),
        ("sizes", "3,x"),
        ("sizes", "{}"),
        ("sizes", "[3"),
    ],
)
def test_values_that_do_not_fit_are_refused(name, given):
    with pytest.raises(InputError, match=f"10_demo: parameter '{name}' is "):
        assign({name: given}, {"10_demo": DECLARED})


def test_a_value_goes_where_its_name_is_declared():
    other = parameters_in("repeats: int = 1", "20_other")
    given = {"repeats": "2", "engine": "csm-1b"}
    assert assign(given, {"10_demo": DECLARED, "20_other": other}) == {
        "10_demo": {"repeats": 2, "engine": "csm-1b"},
        "20_other": {"repeats": 2},
    }
    with pytest.raises(InputError, match=r"no parameter 'repeat' in 10_demo, 20_other\n.*engine"):
        assign({"repeat": 2}, {"10_demo": DECLARED, "20_other": other})


@pytest.mark.parametrize("source", ["x: int = len('a')", "x: Path = 3", "x: int = ", "%matplotlib"])
def test_a_cell_that_is_not_plain_is_refused(source):
    with pytest.raises(InputError, match="10_demo"):
        parameters_in(source, "10_demo")


@pytest.mark.parametrize("parameters", [{"unknown": "1"}, {"repeats": "abc"}])
def test_nothing_runs_with_a_bad_parameter(tmp_path, parameters):
    notebook = write(tmp_path, "10_ok", concluding())
    with pytest.raises(InputError, match=r"10_ok"):
        run([notebook], parameters, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
