"""Translation as it runs in the service: rows of any age in one decoder, by real ONNX Runtime."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from service.errors import InferenceFailed, InvalidInput
from service.metrics import Metrics
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.options import LoadOptions
from service.repository.streaming import DecodeStream
from service.runtime.collate import GROUP_ROWS
from service.runtime.generate import Generator
from service.tasks.base import Sentence
from service.tasks.translation import Translation
from tests.repository.stepped_loop import Runner, SteppedLoop, Task, run
from tests.tiny_zoo import TRANSLATOR, build

FAR = 1e9
WORDS = "a dog runs over the long road while two men talk about bread and rain".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Any:
    catalog = build(tmp_path_factory.mktemp("zoo"))
    metrics = Metrics.create(CollectorRegistry())
    live = load(catalog.open(TRANSLATOR), LoadOptions(workers=2, max_queue_size=500), metrics)
    yield live
    live.close(5.0)


async def translate(live: LiveModel, parts: Sequence[Sentence]) -> list[str]:
    answers = await asyncio.gather(*(live.batcher.submit(part, deadline=FAR) for part in parts))
    return [answer.text for answer in answers]


@pytest.mark.anyio
async def test_a_sentence_has_the_same_words_alone_and_among_sentences_of_any_age(
    live: LiveModel,
) -> None:
    parts = [Sentence(" ".join(WORDS[i % 7 : i % 7 + 1 + i % 8])) for i in range(60)]
    parts += [Sentence(" ".join(WORDS[:5]), beam=3), Sentence(" ".join(WORDS), beam=8)]
    together = await translate(live, parts)
    alone = [(await translate(live, [part]))[0] for part in parts]
    assert together == alone
    assert len(set(alone)) > 10


class Decoder(SteppedLoop):
    """A sentence takes as many rows as its beam is wide."""

    def width(self, source: Any) -> int:
        return int(source.beam)

    def row(self, source: Any) -> Any:
        return [1], -0.5, True

    def written(self, ticket: int) -> list[int]:
        source, left = self.rows[ticket]
        return list(range(len(source.text) - left))


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(capacity=4)


@pytest.fixture
def stream(decoder: Decoder) -> DecodeStream:
    return opened(decoder)


def opened(decoder: Decoder) -> DecodeStream:
    of_model = Metrics.create(CollectorRegistry()).model("m", "1")
    return DecodeStream(cast("Translation", Task()), cast("Generator", Runner(decoder)), of_model)


def test_parts_that_cannot_be_read_are_refused_one_by_one(stream: DecodeStream) -> None:
    texts = ("a", "unreadable", "bb", "too long")
    answers = run(stream, *(Sentence(text) for text in texts))
    assert answers[0] == "a!"
    assert answers[2] == "bb!"
    assert [type(answers[1]), type(answers[3])] == [InvalidInput, InvalidInput]


def test_a_step_that_fails_is_tried_again_row_by_row(stream: DecodeStream) -> None:
    good, poison, other = run(stream, Sentence("abc"), Sentence("poison"), Sentence("de"))
    assert (good, other) == ("abc!", "de!")
    assert isinstance(poison, RuntimeError)
    assert run(stream, Sentence("next")) == ["next!"]


def test_a_row_that_means_nothing_is_an_error_of_that_sentence(stream: DecodeStream) -> None:
    broken, fine = run(stream, Sentence("no answer"), Sentence("fine"))
    assert isinstance(broken, InferenceFailed)
    assert fine == "fine!"


def test_a_wide_beam_waits_until_it_has_room_and_nobody_passes_it(
    stream: DecodeStream, decoder: Decoder
) -> None:
    tickets = stream.admit([Sentence("aaa", beam=2), Sentence("bb", beam=3), Sentence("c")])
    stream.step()
    assert [row[0].text for row in decoder.rows.values()] == ["aaa"]
    assert stream.free == 0
    found = dict(answer for _ in range(6) for answer in stream.step())
    assert [found[ticket] for ticket in tickets if isinstance(ticket, int)] == ["aaa!", "bb!", "c!"]


def test_a_part_is_evicted_wherever_it_is(stream: DecodeStream, decoder: Decoder) -> None:
    inside, waiting = stream.admit([Sentence("inside", beam=4), Sentence("waits", beam=1)])
    stream.step()
    assert isinstance(inside, int)
    assert isinstance(waiting, int)
    stream.evict(waiting)
    stream.evict(inside)
    assert stream.free == decoder.capacity
    assert stream.step() == []


def test_the_tokens_of_an_answer_are_counted(decoder: Decoder) -> None:
    registry = CollectorRegistry()
    of_model = Metrics.create(registry).model("m", "1")
    of_model.expects(labels=(), texts=True)
    stream = DecodeStream(cast("Translation", Task()), cast("Generator", Runner(decoder)), of_model)
    run(stream, Sentence("a"), Sentence("bcd"))
    assert registry.get_sample_value("slipway_generated_tokens_total", {"model": "m"}) == 2


def test_a_part_tells_what_was_written_so_far(stream: DecodeStream) -> None:
    first, wide = stream.admit([Sentence("abcd", beam=2), Sentence("waits", beam=3)])
    assert isinstance(first, int)
    assert isinstance(wide, int)
    assert stream.progress(first) is None, "it enters with the next step"
    told = []
    for _ in range(4):
        stream.step()
        told.append(stream.progress(first))
    assert told == [None, "a", "ab", "abc"]  # to come in is a step of its own
    assert stream.progress(wide) is None
    stream.evict(first)
    assert stream.progress(first) is None


def test_a_step_lets_parts_in_or_goes_on_but_never_both() -> None:
    decoder = Decoder(capacity=2 * GROUP_ROWS)
    stream = opened(decoder)
    stream.admit([Sentence("abc") for _ in range(GROUP_ROWS + 1)])
    inside = []
    for _ in range(5):
        stream.step()
        inside.append([left for _, left in decoder.rows.values()])
    first = [3] * GROUP_ROWS  # as many as are encoded at once
    assert inside[:4] == [first, [2] * GROUP_ROWS, [*[2] * GROUP_ROWS, 3], [*[1] * GROUP_ROWS, 2]]
    assert inside[4] == [1]
