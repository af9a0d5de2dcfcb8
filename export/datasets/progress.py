"""A progress bar for reading that takes long, and silence for reading that does not."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")
PATIENCE_S = 2.0


def show_if_slow(
    items: Iterable[T], title: str, total: int, patience_s: float = PATIENCE_S
) -> Iterator[T]:
    """Pass the items on; after `patience_s` seconds show how far they are."""
    started_s = time.monotonic()
    remaining = enumerate(items)
    for _, item in remaining:
        yield item
        if time.monotonic() - started_s > patience_s:
            break
    else:
        return
    console = Console(stderr=True)  # standard output is for what the command made
    with Progress(transient=True, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=total)
        for position, item in remaining:
            progress.update(bar, completed=position)
            yield item
