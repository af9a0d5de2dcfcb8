import pytest

from export.datasets.progress import show_if_slow


@pytest.mark.parametrize("patience_s", [-1.0, 60.0])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_items_pass_in_order_with_a_bar_and_without(count: int, patience_s: float) -> None:
    assert list(show_if_slow(iter(range(count)), "Reading", count, patience_s)) == list(
        range(count)
    )


def test_quick_reading_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    list(show_if_slow(range(5), "Reading", 5))
    assert capsys.readouterr() == ("", "")
