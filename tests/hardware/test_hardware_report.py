import json

import pytest

from workbench.hardware import checks_software, findings, report
from workbench.hardware.ceilings import Ceiling, Ceilings

RATES = {("copy", "float32"): 30.0, ("read", "bfloat16"): 20.0, ("cached read", "float32"): 90.0,
         ("matmul", "float32"): 100.0, ("matmul", "bfloat16"): 450.0}  # fmt: skip


@pytest.fixture
def ceilings():
    results = tuple(
        Ceiling(name, "cpu", dtype, 2, "GFLOP/s" if name == "matmul" else "GB/s", (rate,) * 4, "x")
        for (name, dtype), rate in RATES.items()
    )
    return Ceilings("AMD EPYC, 2 cores", results, {"cpu": 32 << 20}, ("a note",), 1.0, 1.1)


@pytest.fixture
def made(monkeypatch, ceilings):
    monkeypatch.setattr(checks_software, "compiles", lambda limit_s: ("warning", "no", "get one"))
    monkeypatch.setattr(report, "measure_ceilings", lambda budget_s: ceilings)
    return report.hardware_report(0.1)


def test_report_is_json(made):
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert {"checks", "ceilings", "environment"} <= set(made)
    assert {"name", "status", "found", "remedy", "why"} == set(made["checks"][0])


def test_text_is_aligned_and_says_what_to_do(made):
    lines = report.format_report(made).splitlines()
    rows = [line for line in lines if line[:1] in report.SYMBOLS.values()]
    assert len(rows) == len(made["checks"])
    starts = {line.index(check["found"]) for line, check in zip(rows, made["checks"], strict=True)}
    assert len(starts) == 1
    assert "! torch.compile" in "\n".join(rows)
    assert any(line.split() == ["torch.compile", "get", "one"] for line in lines)
    assert "  a note" in lines
    assert lines[-1] == made["verdict"]
    assert lines[0] == made["machine"]


def test_findings(ceilings):
    assert findings.memory_finding(ceilings) == (
        "Memory (cpu) gives 30 GB a second, the cache 3.0× as much"
    )
    assert findings.matmul_finding(ceilings) == (
        "Matrix products run 4.5× as fast in bfloat16 as in float32"
    )
    alt = findings.alt_text(ceilings, "GB/s")
    assert "copy, float32, 2 threads 30.0" in alt
    assert "matmul" not in alt
    caption = findings.caption(ceilings, "GFLOP/s")
    assert "n = 4 to 4" in caption
    assert "a note" in caption
    rows = report.ceiling_rows(ceilings.to_dict())
    assert rows[0]["median"] == 30.0
    assert rows[0]["n"] == 4
