"""The reader of PromQL is trusted by the other tests, so it is tested first."""

import pytest

from tests.monitoring.promql import Matcher, compared, grouping_labels, matchers, metrics


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0 or absent(up)", {"up"}),
        ('rate(a_total{x="b"}[5m]) / on (job) group_left () c:d:rate5m', {"a_total", "c:d:rate5m"}),
        ("histogram_quantile(0.9, sum by (le) (rate(b_bucket[$__range])))", {"b_bucket"}),
        ("vector(0.5) > 1e3 * 2", set()),
        ("a > bool 14.4 and b unless c", {"a", "b", "c"}),
    ],
)
def test_the_names_of_series_are_found_among_words_labels_and_numbers(
    expression: str, names: set[str]
) -> None:
    assert metrics(expression) == names


def test_conditions_come_with_their_alternatives_and_variables_are_left_out() -> None:
    found = matchers('a{x=~"b|c", y!="d", z=~"$e"} / f{x="g"}')
    assert found == [
        Matcher("a", "x", ("b", "c")),
        Matcher("a", "y", ("d",)),
        Matcher("f", "x", ("g",)),
    ]


def test_labels_are_found_in_every_grouping() -> None:
    assert grouping_labels("sum by (a, b) (x) / on (c) group_left () y") == {"a", "b", "c"}


def test_a_comparison_becomes_a_value_and_conditions_stay() -> None:
    assert compared('a{x!="b"} > 1 and c == 0') == 'a{x!="b"} > bool 1 and c == bool 0'
