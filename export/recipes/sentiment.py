"""The text model from first to last: train, convert, quantize, examine, publish."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer

from export.candidate import Candidate, answer_of, draft
from export.console import Story
from export.convert.half import half_variant
from export.convert.text_graph import text_graph
from export.datasets.rows import LabelledTexts
from export.gates import (
    AccuracyGate,
    Answer,
    Floor,
    InvarianceGate,
    ParityGate,
    better_than_guessing,
)
from export.golden import with_self_test
from export.networks.text import TextNetwork
from export.options import Options
from export.provenance import provenance
from export.quantize.text import quantize_text
from export.recipes.honesty import LabelledItems, TestSplits, calibrated, tell_doubts
from export.recipes.judging import HALF_GATES, Examination, Gates, Reexamination, examine
from export.recipes.pieces import in_pieces
from export.recipes.sentiment_card import card
from export.recipes.sentiment_data import SentimentData, load
from export.recipes.sentiment_network import begin, settings
from export.recipes.sentiment_training import SentimentTraining, encode_texts, train_sentiment
from export.recipes.strangers import strange_texts
from export.tokens import PAD_ID, kept_tokenizer, train_review_tokenizer
from export.training import History
from export.transfer.source import open_source, open_vocabulary
from model_zoo.catalog import Catalog
from model_zoo.manifest import Task, TextInput

TASK: Task = "text-classification"
MAX_TOKENS = 1024  # 2 % of the reviews in IMDB are longer, 14 % than half of it
VOCABULARY, QUICK_VOCABULARY = 16_384, 2000
READERS = {
    "lstm": "Bidirectional LSTM over subwords",
    "gru": "Bidirectional GRU over subwords",
    "cnn": "Convolutional network over subwords",
}
GATES: dict[Any, Gates] = {
    "fp32": Gates(ParityGate(1e-4, 1.0), InvarianceGate(1e-4, 1.0)),
    "int8": Gates(ParityGate(0.1, 0.98), InvarianceGate(1e-4, 1.0)),
    "fp16": HALF_GATES,
}
QUICK_GATES: dict[Any, Gates] = {
    **GATES,
    # a network that learnt little is often undecided
    "int8": Gates(ParityGate(0.1, 0.95), InvarianceGate(1e-4, 1.0)),
}
PUBLIC_FLOORS = (
    Floor("IMDB", "accuracy", at_least=0.87, largest_loss=0.005),
    Floor("SST-2", "accuracy", at_least=0.82, largest_loss=0.005),
)


def make(options: Options) -> str:
    """Make and publish the model; returns its folder. Raises GateFailed or DatasetError."""
    name = options.name_for(TASK)
    story = Story(name)
    options.start(name)
    data = load(options, story)
    options.claim(name, data.sources)
    network, tokenizer, history, trained = _train(options, name, data, story)
    story.say("converting and quantizing")
    candidate = _candidate(options, name, data, network, tokenizer, history)
    candidate = calibrated(candidate, _validation(data), story)
    test = _test(data)
    exam = _examination(network, data, test)
    candidate = with_self_test(in_pieces(candidate, exam.items, story))
    examine(candidate, _gates(data), exam, story)
    tell_doubts(candidate, test, strange_texts(_card_rows(data).texts), story)
    public, begun = data.is_public, options.origin is not None
    page = card(candidate, test, history, network, trained, is_public=public, begun=begun)
    folder = candidate.publish(Catalog(options.models), page)
    story.say(f"published as {folder}")
    return folder


def reexamine(options: Options, name: str, story: Story) -> Reexamination:
    """The same exam for a published model; trains nothing."""
    data = load(options, story)
    network = None
    if options.has_checkpoint(name):
        network, *_ = _train(options, name, data, story, only_load=True)
    return Reexamination(
        _examination(network, data, _test(data)), _gates(data), data.sources, network is not None
    )


def _gates(data: SentimentData) -> dict[Any, Gates]:
    return GATES if data.is_public else QUICK_GATES


def _train(
    options: Options, name: str, data: SentimentData, story: Story, *, only_load: bool = False
) -> tuple[TextNetwork, Tokenizer, History, SentimentTraining]:
    source = open_source(options.origin, TASK, options.models)
    size = QUICK_VOCABULARY if options.quick else VOCABULARY
    tokenizer = kept_tokenizer(
        options.folder(name),
        lambda: (
            open_vocabulary(source) if source else train_review_tokenizer(data.for_vocabulary, size)
        ),
        keep=not only_load,
    )
    train = encode_texts(tokenizer, data.train, MAX_TOKENS)
    network = begin(options, source, data.train.names, tokenizer.get_vocab_size(), train)
    chosen = replace(settings(options, len(data.train)), only_load=only_load)
    if not only_load:
        story.say(f"training on {len(data.train)} texts")
    history = train_sentiment(
        network,
        train,
        {title: encode_texts(tokenizer, rows, MAX_TOKENS) for title, rows in data.validation},
        chosen,
        options.folder(name),
    )
    return network, tokenizer, history, chosen


def _candidate(
    options: Options,
    name: str,
    data: SentimentData,
    network: TextNetwork,
    tokenizer: Tokenizer,
    history: History,
) -> Candidate:
    labels = data.train.names
    fp32 = text_graph(network)
    half = half_variant(fp32) if options.half else {}
    config = {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "max_position_embeddings": MAX_TOKENS,
        "pad_token_id": PAD_ID,
    }
    return draft(
        {"fp32": {"model": fp32}, "int8": {"model": quantize_text(fp32)}, **half},
        {
            "config.json": (json.dumps(config, indent=2) + "\n").encode(),
            "tokenizer.json": tokenizer.to_str().encode(),
        },
        # OpenVINO's LSTM overlooks the true lengths and reads padding as text
        unfit=frozenset({"openvino"}),
        name=name,
        version=Catalog(options.models).next_version(name),
        task=TASK,
        description=f"{READERS[network.config.kind]} that says {' or '.join(labels)}.",
        labels=labels,
        preprocessing=TextInput(max_tokens=MAX_TOKENS, pad_id=PAD_ID),
        provenance=provenance(data.sources, seed=options.seed, seconds=history.seconds),
    )


def _validation(data: SentimentData) -> list[LabelledItems]:
    return [
        LabelledItems(title, "validation", list(rows.texts), rows.labels)
        for title, rows in data.validation
    ]


def _test(data: SentimentData) -> TestSplits:
    splits = [
        LabelledItems(title, "test", list(rows.texts), rows.labels) for title, rows in data.test
    ]
    return TestSplits(splits, data.train.names)


def _card_rows(data: SentimentData) -> LabelledTexts:
    return LabelledTexts.joined([rows for _, rows in data.test])


def _examination(network: TextNetwork | None, data: SentimentData, test: TestSplits) -> Examination:
    @torch.no_grad()
    def torch_answers(features: Sequence[Any]) -> Sequence[Answer]:
        assert network is not None
        return [answer_of(network(torch.from_numpy(f.ids)[None])[0].numpy()) for f in features]

    items = [text for _, rows in data.validation for text in rows.texts[:100]]
    return Examination(
        items=items,
        torch_answers=torch_answers,
        measure=test.measure,
        accuracy=AccuracyGate(PUBLIC_FLOORS if data.is_public else _own_floors(data)),
    )


def _own_floors(data: SentimentData) -> tuple[Floor, ...]:
    """Own or few data: better than always naming the most frequent class."""
    return tuple(
        Floor(title, "accuracy", better_than_guessing(rows.labels, 1.05), largest_loss=0.05)
        for title, rows in data.test
    )
