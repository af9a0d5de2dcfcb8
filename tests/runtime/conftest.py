"""The tiny translation model, opened once; sessions keep no state between runs."""

from collections.abc import Sequence

import pytest

from service.runtime.generate import Generator
from service.runtime.session import Session, open_session
from service.runtime.slots import Generated
from tests.runtime.reference_decoder import ReferenceDecoder
from tests.runtime.tiny_transformer import (
    SPEC,
    Sentence,
    Weights,
    decoder_graph,
    encoder_graph,
    sentences,
)

# answers of many lengths, two of them cut off at their limit
LENGTHS = (3, 5, 9, 20, 1, 14, 7, 40, 2, 12, 6, 30, 8, 10)


@pytest.fixture(scope="session")
def weights() -> Weights:
    return Weights()


@pytest.fixture(scope="session")
def encoder(weights: Weights) -> Session:
    return open_session(encoder_graph(weights))


@pytest.fixture(scope="session")
def decoder(weights: Weights) -> Session:
    return open_session(decoder_graph(weights))


@pytest.fixture
def generator(encoder: Session, decoder: Session) -> Generator:
    return Generator(encoder, decoder, SPEC)


@pytest.fixture(scope="session")
def sources() -> Sequence[Sentence]:
    return sentences(LENGTHS)


@pytest.fixture(scope="session")
def expected(weights: Weights, sources: Sequence[Sentence]) -> list[Generated]:
    """The oracle's greedy answers."""
    reference = ReferenceDecoder(weights)
    return [reference.greedy(source.ids) for source in sources]
