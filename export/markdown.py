"""Sections and tables of a Markdown page; what is empty is left out."""

from collections.abc import Iterable, Sequence


def section(title: str, *parts: str) -> str:
    """A heading with its parts, or nothing where all of them are empty."""
    body = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *body]) if body else ""


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Nothing where there is no row."""
    lines = [tuple(_cell(cell) for cell in row) for row in rows]
    if not lines:
        return ""
    rule = tuple("---" for _ in heading)
    return "\n".join(f"| {' | '.join(line)} |" for line in (tuple(heading), rule, *lines))


def _cell(content: str) -> str:
    """A bar would end the cell, a line break the table."""
    return " ".join(content.replace("|", "\\|").split())
