"""Things of which each thread has one of its own."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerThread(Generic[T]):
    """Keeps what a thread made, for that thread alone."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def get(self, make: Callable[[], T]) -> T:
        """This thread's, made when it asks first."""
        if not hasattr(self._kept, "value"):
            self._kept.value = make()
        found: T = self._kept.value
        return found

    def forget(self) -> None:
        """Free what was made; who asks again gets a new one."""
        self._kept = threading.local()
