"""What a thread keeps is its own, until it is forgotten."""

from concurrent.futures import ThreadPoolExecutor

from service.runtime.per_thread import PerThread


def test_each_thread_has_one_of_its_own() -> None:
    kept: PerThread[object] = PerThread()
    ours = kept.get(object)
    assert kept.get(object) is ours
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(kept.get, object).result()
        assert theirs is not ours
        assert pool.submit(kept.get, object).result() is theirs


def test_what_was_forgotten_is_made_anew() -> None:
    kept: PerThread[object] = PerThread()
    before = kept.get(object)
    kept.forget()
    assert kept.get(object) is not before
