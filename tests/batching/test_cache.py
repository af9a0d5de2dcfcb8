"""What a cache of answers keeps, and what it forgets."""

from collections.abc import Callable, Hashable
from typing import Any

from service.batching.batcher import Batcher
from service.batching.sharing import AnswerCache

MakeBatcher = Callable[..., Batcher[int, Any]]


def weigh(key: Hashable, answer: Any) -> int:
    return len(answer)


def test_a_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = AnswerCache(6, weigh)
    for key in "abc":
        cache.put(key, f"{key}!")
    assert (len(cache), cache.bytes) == (3, 6)
    assert cache.get("a") == "a!"
    cache.put("d", "d!")
    assert [cache.get(key) for key in "abcd"] == ["a!", None, "c!", "d!"]
    assert (len(cache), cache.bytes) == (3, 6)


def test_a_cache_makes_as_much_room_as_is_needed() -> None:
    cache = AnswerCache(6, weigh)
    for key in "abc":
        cache.put(key, f"{key}!")
    cache.put("d", "four")
    assert [cache.get(key) for key in "abcd"] == [None, None, "c!", "four"]
    assert cache.bytes == 6


def test_an_answer_larger_than_the_cache_pushes_nothing_out() -> None:
    cache = AnswerCache(6, weigh)
    cache.put("a", "a!")
    cache.put("b", "far too long")
    assert (cache.get("a"), cache.get("b")) == ("a!", None)
    cache.put("c", "c" * 6)
    assert (cache.get("a"), cache.get("c"), cache.bytes) == (None, "c" * 6, 6)


def test_an_answer_that_is_put_again_counts_once() -> None:
    cache = AnswerCache(6, weigh)
    cache.put("a", "a!")
    cache.put("b", "b!")
    cache.put("a", "new!")
    assert (len(cache), cache.bytes) == (2, 6)
    assert (cache.get("a"), cache.get("b")) == ("new!", "b!")
