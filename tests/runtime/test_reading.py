"""Texts read side by side: each has the answer that it has alone, whoever joins or leaves."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest
from service.errors import Cancelled, InferenceFailed, InvalidInput
from service.runtime import reading as module
from service.runtime.errors import GraphMismatch
from service.runtime.forward import TextForward
from service.runtime.reading import (
    GRAIN,
    LONGEST_RUN,
    RUN_CELLS,
    STEP_TEXTS,
    Reading,
    TextReader,
    piece_of,
)
from service.runtime.runner import make_runner
from service.runtime.session import Abort, Binding, Session, Tensor, open_session
from tests.tiny_reader import SPEC, VOCABULARY, graphs, publish_reader
from tests.tiny_reader import manifest as published


@dataclass(frozen=True)
class Text:
    ids: Tensor


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    catalog = Catalog(tmp_path_factory.mktemp("zoo"))
    publish_reader(catalog)
    return published(catalog)


@pytest.fixture(scope="module")
def sessions() -> tuple[Session, Session]:
    return open_session(graphs()["reader"]), open_session(graphs()["head"])


@pytest.fixture
def reading(sessions: tuple[Session, Session], monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Four rows, and pieces as short as can be."""
    monkeypatch.setattr(module, "LONGEST_RUN", 1)
    return Reading(*sessions, SPEC, capacity=4)


@pytest.fixture(scope="module")
def reader(manifest: Manifest) -> TextReader:
    made = make_runner(manifest, graphs())  # type: ignore[arg-type]
    assert isinstance(made, TextReader)
    return made


def texts(*lengths: int) -> list[Text]:
    drawn = np.random.default_rng(sum(lengths))
    return [Text(drawn.integers(1, VOCABULARY, length)) for length in lengths]


def whole(manifest: Manifest, some: Sequence[Text]) -> Tensor:
    """Each alone, by the whole network."""
    forward = TextForward(open_session(graphs()["model"]), manifest, SPEC)
    return np.stack([forward.run([text])[0] for text in some])


def bindings() -> int:
    """How many there are in this process."""
    return sum(type(found) is Binding for found in gc.get_objects())


def until_done(reading: Reading, tickets: Sequence[int]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    while reading.active:
        found.update(reading.step())
    assert found.keys() == set(tickets)
    return found


def test_a_text_has_the_answer_of_the_whole_network(manifest: Manifest, reader: TextReader) -> None:
    some = texts(1, 64, 2, 7, 8, 9, 33, 64, 16, 3)
    expected = whole(manifest, some)
    np.testing.assert_allclose(np.stack(reader.run(some)), expected, rtol=0, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.1, "answers that are all alike would prove nothing"


def test_more_texts_than_rows_take_those_of_the_texts_that_end(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reading.__init__, "__defaults__", (3,))
    monkeypatch.setattr(module, "LONGEST_RUN", 1)
    some = texts(*(1 + 13 * n % 64 for n in range(20)))
    found = TextReader(*reader_sessions(), manifest, SPEC).run(some)
    np.testing.assert_allclose(np.stack(found), whole(manifest, some), rtol=0, atol=1e-5)


def reader_sessions() -> tuple[Session, Session]:
    return open_session(graphs()["reader"]), open_session(graphs()["head"])


def test_who_joins_and_leaves_in_between_changes_nobodys_answer(
    manifest: Manifest, reading: Reading
) -> None:
    long, gone, short, late, last = texts(60, 50, 9, 40, 30)
    first = reading.admit([gone, long])
    reading.step()
    (third,) = reading.admit([short])
    found = dict(reading.step())
    reading.evict(first[0])  # its row is the first: another text moves there
    (fourth,) = reading.admit([late])
    found.update(reading.step())
    reading.evict(fourth)
    found.update(reading.step())  # and now the last row goes without anybody moving
    (fifth,) = reading.admit([last])
    while reading.active:
        found.update(reading.step())
    assert found.keys() == {first[1], third, fifth}
    expected = whole(manifest, [long, short, last])
    got = np.stack([found[first[1]], found[third], found[fifth]])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_a_hole_is_taken_by_the_last_text_with_all_that_is_known_of_it(
    manifest: Manifest, reading: Reading
) -> None:
    some = texts(60, 60, 60, 60)
    tickets = reading.admit(some)
    reading.step()
    reading.evict(tickets[0])
    reading.evict(tickets[2])
    found = until_done(reading, [tickets[1], tickets[3]])
    got = np.stack([found[tickets[1]], found[tickets[3]]])
    np.testing.assert_allclose(got, whole(manifest, [some[1], some[3]]), rtol=0, atol=1e-5)


def test_rows_are_counted_and_never_given_twice(reading: Reading) -> None:
    tickets = reading.admit(texts(20, 20, 20))
    assert (reading.free, reading.active) == (1, 3)
    with pytest.raises(ValueError, match="1 rows are free"):
        reading.admit(texts(5, 5))
    assert reading.active == 3, "none of them was admitted"
    reading.evict(tickets[1])
    assert (reading.free, reading.active) == (2, 2)
    reading.admit(texts(5, 5))
    assert reading.free == 0


def test_who_was_cleared_leaves_nothing_behind(manifest: Manifest, reading: Reading) -> None:
    reading.admit(texts(60, 60))
    reading.step()
    reading.clear()
    assert (reading.free, reading.active) == (4, 0)
    some = texts(9, 33)
    tickets = reading.admit(some)
    found = until_done(reading, tickets)
    got = np.stack([found[ticket] for ticket in tickets])
    np.testing.assert_allclose(got, whole(manifest, some), rtol=0, atol=1e-5)


def test_an_id_that_no_table_has_breaks_nobody_who_comes_after_it(
    manifest: Manifest, reader: TextReader
) -> None:
    with pytest.raises(InferenceFailed):
        reader.run([Text(np.full(60, VOCABULARY + 7))])
    some = texts(2, 3)
    np.testing.assert_allclose(np.stack(reader.run(some)), whole(manifest, some), atol=1e-5)


def test_no_texts_have_no_answers(reader: TextReader) -> None:
    assert reader.run([]) == []


def test_cells_behind_the_end_of_a_text_are_counted(reading: Reading) -> None:
    reading.admit(texts(3, 2 * GRAIN))
    assert len(reading.step()) == 1
    assert reading.in_vain == GRAIN - 3
    reading.admit(texts(GRAIN))
    reading.step()
    assert reading.in_vain == 0
    reading.admit(texts(5))
    reading.step()
    assert reading.in_vain == 0, "nobody reads further than the longest"


def test_memory_that_is_bound_is_given_up_now_and_then(
    manifest: Manifest, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BINDINGS", 1)
    some = texts(64, 3, 20)
    tickets = reading.admit(some)
    before = bindings()
    found = until_done(reading, tickets)
    assert bindings() == before + 1
    got = np.stack([found[ticket] for ticket in tickets])
    np.testing.assert_allclose(got, whole(manifest, some), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("left", "tokens"),
    [
        ([1], GRAIN),
        ([GRAIN + 1], 2 * GRAIN),
        ([10_000], LONGEST_RUN // (1 + STEP_TEXTS) // GRAIN * GRAIN + GRAIN),
        ([10_000] * 6, LONGEST_RUN // (6 + STEP_TEXTS)),
        # to read the long one on beside fifteen that have ended costs more than another run
        ([500, *[GRAIN] * 15], GRAIN),
        # but a few cells in vain cost less
        ([16, 16, 16, 8], 16),
    ],
)
def test_a_piece_is_as_long_as_it_is_worth(left: Sequence[int], tokens: int) -> None:
    assert piece_of(np.array(left)) == tokens


def test_what_many_texts_cost_is_bounded_but_every_run_reads_on() -> None:
    assert piece_of(np.full(LONGEST_RUN, 500)) == GRAIN
    assert RUN_CELLS < LONGEST_RUN


def test_features_that_do_not_fit_are_told(reader: TextReader) -> None:
    for ids in (np.zeros(0, np.int64), np.ones(65, np.int64), np.ones(3), np.array([-1])):
        with pytest.raises(InvalidInput):
            reader.check(Text(ids))
    with pytest.raises(InvalidInput):
        reader.run([*texts(3), Text(np.ones(65, np.int64))])


def test_an_aborted_run_leaves_rows_for_the_next(manifest: Manifest, reader: TextReader) -> None:
    abort = Abort()
    abort.set()
    with pytest.raises(Cancelled):
        reader.run(texts(9, 20), abort)
    some = texts(5, 12)
    np.testing.assert_allclose(np.stack(reader.run(some)), whole(manifest, some), atol=1e-5)
    reader.close()
    np.testing.assert_allclose(np.stack(reader.run(some)), whole(manifest, some), atol=1e-5)


def test_both_graphs_are_counted_and_the_whole_one_is_not_opened(
    manifest: Manifest, reader: TextReader
) -> None:
    nodes = sum(len(session.placement) > 0 for session in reader_sessions())
    assert nodes == 2
    assert sum(reader.placement.values()) == sum(
        sum(session.placement.values()) for session in reader_sessions()
    )
    broken = make_runner(manifest, {**graphs(), "model": b"nothing"})  # type: ignore[dict-item]
    assert len(broken.run(texts(5))) == 1


@pytest.mark.parametrize(
    ("reader_role", "head_role", "message"),
    [
        ("head", "head", "reader graph: input 'ids' is missing"),
        ("model", "head", "reader graph: no input 'total' of a fixed width"),
        ("reader", "reader", "head graph: input 'input_ids' is missing"),
        ("reader", "model", "head graph: input 'highest' is missing"),
    ],
)
def test_graphs_that_are_no_reader_and_head_are_refused(
    manifest: Manifest, reader_role: str, head_role: str, message: str
) -> None:
    given = {"model": b"", "reader": graphs()[reader_role], "head": graphs()[head_role]}
    with pytest.raises(GraphMismatch, match=message):
        make_runner(manifest, given)  # type: ignore[arg-type]
