"""The text model from first to last: train, convert, quantize, examine, publish."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export import plots
from export.candidate import Candidate, answer_of, draft
from export.console import Story
from export.convert.half import half_variant
from export.convert.text_graph import text_graph
from export.datasets.rows import LabelledTexts
from export.gates import AccuracyGate, Answer, Floor, InvarianceGate, ParityGate
from export.golden import with_self_test
from export.networks.text import TextNetwork
from export.options import Options
from export.provenance import provenance
from export.quantize.text import quantize_text
from export.recipes.card_tables import by_class, by_length, opinion_examples, served
from export.recipes.honesty import LabelledItems, TestSplits, calibrated, tell_doubts
from export.recipes.judging import HALF_GATES, Examination, Gates, Reexamination, examine
from export.recipes.sentiment_data import SentimentData, load
from export.recipes.sentiment_network import begin, settings
from export.recipes.sentiment_training import encode_texts, train_sentiment
from export.recipes.strangers import strange_texts
from export.report import CARD_FILE, CardText, Plot, model_card
from export.tokens import PAD_ID, kept_tokenizer, train_review_tokenizer
from export.training import History
from export.transfer.source import open_source, open_vocabulary
from model_zoo.catalog import Catalog
from model_zoo.manifest import TextInput

NAME = "reviews-lstm"
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
PUBLIC_FLOORS = (
    Floor("IMDB", "accuracy", at_least=0.87, largest_loss=0.005),
    Floor("SST-2", "accuracy", at_least=0.82, largest_loss=0.005),
)


def make(options: Options) -> str:
    """Make and publish the model; returns its folder. Raises GateFailed or DatasetError."""
    name = options.name or NAME
    story = Story(name)
    options.start(name)
    data = load(options, story)
    options.claim(name, data.sources)
    network, tokenizer, history = _train(options, name, data, story)
    story.say("converting and quantizing")
    candidate = _candidate(options, name, data, network, tokenizer, history)
    candidate = with_self_test(calibrated(candidate, _validation(data), story))
    test = _test(data)
    examine(candidate, GATES, _examination(network, data, test), story)
    tell_doubts(candidate, test, strange_texts(_card_rows(data).texts), story)
    folder = candidate.publish(Catalog(options.models), _card(candidate, test, history))
    story.say(f"published as {folder}")
    return folder


def reexamine(options: Options, name: str, story: Story) -> Reexamination:
    """The same exam for a published model; trains nothing."""
    data = load(options, story)
    network = None
    if options.has_checkpoint(name):
        network, _, _ = _train(options, name, data, story)
    return Reexamination(
        _examination(network, data, _test(data)), GATES, data.sources, network is not None
    )


def _train(
    options: Options, name: str, data: SentimentData, story: Story
) -> tuple[TextNetwork, Tokenizer, History]:
    source = open_source(options.origin, "text-classification", options.models)
    size = QUICK_VOCABULARY if options.quick else VOCABULARY
    tokenizer = kept_tokenizer(
        options.folder(name),
        lambda: (
            open_vocabulary(source) if source else train_review_tokenizer(data.for_vocabulary, size)
        ),
    )
    train = encode_texts(tokenizer, data.train, MAX_TOKENS)
    network = begin(options, source, data.train.names, tokenizer.get_vocab_size(), train)
    story.say(f"training on {len(data.train)} texts")
    history = train_sentiment(
        network,
        train,
        {title: encode_texts(tokenizer, rows, MAX_TOKENS) for title, rows in data.validation},
        settings(options, len(data.train)),
        options.folder(name),
    )
    return network, tokenizer, history


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
        task="text-classification",
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
        Floor(
            title,
            "accuracy",
            at_least=1.05 * float(np.bincount(rows.labels).max() / len(rows)),
            largest_loss=0.05,
        )
        for title, rows in data.test
    )


def _card(candidate: Candidate, test: TestSplits, history: History) -> dict[str, bytes]:
    precision, names = served(candidate), test.names
    labels = np.concatenate([split.labels for split in test.splits])
    chosen = np.concatenate([answer.chosen for answer in test.answers[precision]])
    probabilities = np.concatenate([a.probabilities_NK for a in test.answers[precision]])
    bins = _by_length(candidate, test, chosen == labels)
    pictures = [
        Plot("curves.png", plots.training_curves(history.rows), "Training, epoch by epoch"),
        Plot(
            "confusion.png",
            plots.confusion_matrix(labels, chosen, names),
            f"Confusion on test texts, {precision}",
        ),
        Plot(
            "reliability.png",
            plots.reliability(probabilities, labels),
            f"Confidence against accuracy on test texts, {precision}",
        ),
        Plot(
            "length.png",
            plots.score_by_length(bins, "accuracy, %"),
            f"Accuracy by length of the text, {precision}",
        ),
    ]
    note = f"Test splits, {precision}."
    tables = [
        by_class(names, labels, chosen, note),
        by_length(bins, "accuracy, %", "tokens", note),
    ]
    page = model_card(
        candidate.with_evidence({}), CARD_TEXT, pictures, tables, opinion_examples(candidate)
    )
    return {CARD_FILE: page.encode(), **{plot.file: plot.png for plot in pictures}}


def _by_length(
    candidate: Candidate, test: TestSplits, right: NDArray[np.bool_]
) -> tuple[plots.LengthBin, ...]:
    texts = [text for split in test.splits for text in split.items]
    lengths = [len(one.ids) for one in candidate.open(served(candidate)).features(texts)]
    return plots.length_bins(
        lengths, (25, 50, 100, 200, 400, 600), lambda rows: 100 * float(right[list(rows)].mean())
    )


CARD_TEXT = CardText(
    intended_use=("Sorting opinions in English, from one sentence to a page, by their tone.",),
    misuse=(
        "Judging people, or anything that matters to their safety, rights or money.",
        "Languages other than English, irony, and texts that hold no opinion.",
    ),
    known_limits=(
        f"A text is read up to its {MAX_TOKENS}th token; the answer says when it was longer.",
        "It learnt from reviews of films: praise in other fields uses other words.",
    ),
    training="First word vectors from counts of neighbours; AdamW on windows of the long texts "
    "together with short phrases, dropout on words and embeddings, embeddings nudged their worst "
    "way, pooling by maximum and mean, averaged weights; joined by a linear model over runs of up "
    "to three tokens where validation gains by it.",
    licence="Apache-2.0",
)
