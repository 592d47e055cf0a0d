import sys
from pathlib import Path

import pytest
import torch

from workbench import pages
from workbench.pages import ask_for_huge_pages

HUGE = 2 << 20


def huge_bytes(address, size):
    """Bytes of [address, address + size) in huge pages, as the system tells."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            begin, end = (int(edge, 16) for edge in head.split("-"))
            inside = begin < address + size and end > address
        elif inside and head == "AnonHugePages:":
            found += int(line.split()[1]) << 10
    return found


def test_numbers_stay_and_lie_in_huge_pages():
    weight = torch.arange(16 << 20, dtype=torch.float32)  # 64 MiB
    before = weight.clone()
    moved = ask_for_huge_pages(weight.data_ptr(), weight.nbytes)
    assert torch.equal(weight, before)
    if not moved:
        pytest.skip("this system has no huge pages, or none to give")
    assert huge_bytes(weight.data_ptr(), weight.nbytes) >= weight.nbytes - 2 * HUGE


def test_small_arrays_are_left_alone():
    weight = torch.zeros(1000)
    assert not ask_for_huge_pages(weight.data_ptr(), weight.nbytes)
    assert not ask_for_huge_pages(weight.data_ptr(), 0)


@pytest.mark.parametrize("missing", ["system", "settings", "allowance"])
def test_where_there_are_none_nothing_happens(monkeypatch, tmp_path, missing):
    if missing == "system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(pages, "_SETTINGS", tmp_path)
    if missing == "allowance":
        (tmp_path / "enabled").write_text("always madvise [never]\n")
    pages._system.cache_clear()
    try:
        weight = torch.zeros(8 << 20)
        assert not ask_for_huge_pages(weight.data_ptr(), weight.nbytes)
    finally:
        pages._system.cache_clear()
