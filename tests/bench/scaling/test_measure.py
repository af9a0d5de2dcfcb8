"""Times of the tiny models, and how items are grouped by length."""

from pathlib import Path

import pytest

from bench.scaling import measure
from bench.scaling.measure import grouped
from tests import tiny_zoo


def test_groups_have_about_as_many_items_each_the_longest_first() -> None:
    items = [(length, f"{length}") for length in (5, 1, 3, 2, 4, 6)]
    assert grouped(items, 3) == [(2, ["2", "1"]), (4, ["4", "3"]), (6, ["6", "5"])]


def test_items_of_one_length_are_one_group() -> None:
    assert grouped([(1, "a"), (1, "b")], 5) == [(1, ["b", "a"])]


def test_every_item_is_in_one_group() -> None:
    items = [(length % 7, str(length)) for length in range(50)]
    found = grouped(items, 4)
    assert sorted(part for _, some in found for part in some) == sorted(name for _, name in items)
    assert [length for length, _ in found] == sorted({length for length, _ in found})


def test_all_three_tasks_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "BATCHES", (1, 2))
    monkeypatch.setattr(measure, "ITEMS", 8)
    monkeypatch.setattr(measure, "RUNS", 1)
    monkeypatch.setattr(measure, "ENOUGH_S", 0.0)
    monkeypatch.delenv("SLIPWAY_DATA", raising=False)
    told: list[str] = []
    found = measure.measure(tiny_zoo.build(tmp_path / "zoo").root, 2, told.append)
    assert len(found.models) == 3
    assert [name for name, table in found.models.items() if table.padded] == [tiny_zoo.TEXTS]
    for table in found.models.values():
        assert (table.workers, table.batches) == (2, (1, 2))
    assert len(told) == sum(2 * len(table.lengths) for table in found.models.values())
