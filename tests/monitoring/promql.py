"""Reads just enough PromQL to tell which series an expression asks for."""

import re
from dataclasses import dataclass

SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
IGNORED = re.compile(r'\{[^}]*\}|\[[^\]]*\]|"[^"]*"')
NAME = re.compile(r"(?<![\w:.$])[A-Za-z_:][\w:]*(?![\w:]*\s*\()")
WORDS = {"and", "or", "unless", "bool", "offset"}
COMPARISON = re.compile(r" (==|!=|>=|<=|>|<) (?!bool\b)")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; `values` are the alternatives of a regular expression."""

    metric: str
    label: str
    values: tuple[str, ...]


def metrics(expression: str) -> set[str]:
    """The names of all series that the expression reads."""
    rest = IGNORED.sub(" ", GROUPING.sub(" ", expression))
    return {name for name in NAME.findall(rest) if name not in WORDS}


def matchers(expression: str) -> list[Matcher]:
    """The conditions in braces, those on dashboard variables left out."""
    return [
        Matcher(metric, label, tuple(value.split("|")))
        for metric, conditions in SELECTOR.findall(expression)
        for label, _, value in MATCHER.findall(conditions)
        if not value.startswith("$")
    ]


def grouping_labels(expression: str) -> set[str]:
    """The labels by which series are summed or matched."""
    lists = [labels for _, labels in GROUPING.findall(expression)]
    return {label.strip() for labels in lists for label in labels.split(",") if label.strip()}


def compared(expression: str) -> str:
    """The same comparisons answered with 0 or 1: empty only where there is nothing to compare."""
    return COMPARISON.sub(r" \1 bool ", expression)
