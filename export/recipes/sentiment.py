"""The text model from first to last: train, convert, quantize, examine, publish."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export import plots
from export.candidate import Candidate, OpenedVariant, answer_of, draft
from export.console import Story
from export.convert.lstm_graph import lstm_graph
from export.datasets.rows import LabelledTexts
from export.gates import AccuracyGate, Answer, Floor, InvarianceGate, ParityGate
from export.networks.lstm import BiLstm, LstmConfig
from export.options import Options
from export.provenance import provenance
from export.quantize.lstm import quantize_lstm
from export.recipes.judging import Examination, Gates, examine
from export.recipes.sentiment_data import QUICK_TRAIN, SentimentData, load
from export.recipes.sentiment_training import (
    SentimentTraining,
    encode_texts,
    train_sentiment,
)
from export.report import CARD_FILE, CardText, Plot, model_card
from export.tokens import PAD_ID, kept_tokenizer, train_review_tokenizer
from export.training import History
from model_zoo.catalog import Catalog
from model_zoo.manifest import Measurement, TextInput

NAME = "reviews-lstm"
MAX_TOKENS = 512
VOCABULARY = 8192
CARD_ITEMS = 5000
GATES: dict[Any, Gates] = {
    "fp32": Gates(ParityGate(1e-4, 1.0), InvarianceGate(1e-4, 1.0)),
    "int8": Gates(ParityGate(0.1, 0.98), InvarianceGate(1e-4, 1.0)),
}
PUBLIC_FLOORS = (
    Floor("IMDB", "accuracy", at_least=0.87, largest_loss=0.005),
    Floor("SST-2", "accuracy", at_least=0.82, largest_loss=0.005),
)
QUICK = SentimentTraining(
    epochs=5, batch_tokens=1500, batch_rows=32, window=120, rate=4e-3, average_decay=0.9
)


def make(options: Options) -> str:
    """Make and publish the model; returns its folder. Raises GateFailed or DatasetError."""
    name = options.name or NAME
    story = Story(name)
    options.start(name)
    data = load(options, story)
    options.claim(name, data.sources)
    size = 2000 if options.quick else VOCABULARY
    tokenizer = kept_tokenizer(
        options.folder(name), lambda: train_review_tokenizer(data.for_vocabulary, size)
    )
    config = _config(options, tokenizer, len(data.train.names))
    story.say(f"training on {len(data.train)} texts")
    network, history = train_sentiment(
        encode_texts(tokenizer, data.train, 2 * MAX_TOKENS),
        {title: encode_texts(tokenizer, rows, MAX_TOKENS) for title, rows in data.validation},
        config,
        _settings(options, len(data.train)),
        options.folder(name),
    )
    story.say("converting and quantizing")
    candidate = _candidate(options, name, data, network, tokenizer, history)
    examine(candidate, GATES, _examination(network, data), story)
    folder = candidate.publish(Catalog(options.models), _card(candidate, data, history))
    story.say(f"published as {folder}")
    return folder


def _config(options: Options, tokenizer: Tokenizer, classes: int) -> LstmConfig:
    config = LstmConfig(vocabulary=tokenizer.get_vocab_size(), classes=classes)
    return replace(config, embedding=48, hidden=32) if options.quick else config


def _settings(options: Options, rows: int) -> SentimentTraining:
    settings = QUICK if options.quick else SentimentTraining()
    if not options.quick and rows < 20_000:
        settings = replace(settings, epochs=20, batch_rows=32, average_decay=0.99, patience=5)
    usual_rows = QUICK_TRAIN if options.quick else 0
    epochs = options.epochs_for(rows, usual_rows=usual_rows, usual=settings.epochs)
    return replace(settings, epochs=epochs, seed=options.seed)


def _candidate(
    options: Options,
    name: str,
    data: SentimentData,
    network: BiLstm,
    tokenizer: Tokenizer,
    history: History,
) -> Candidate:
    labels = data.train.names
    fp32 = lstm_graph(network)
    config = {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "max_position_embeddings": MAX_TOKENS,
        "pad_token_id": PAD_ID,
    }
    return draft(
        {"fp32": {"model": fp32}, "int8": {"model": quantize_lstm(fp32)}},
        {
            "config.json": (json.dumps(config, indent=2) + "\n").encode(),
            "tokenizer.json": tokenizer.to_str().encode(),
        },
        # OpenVINO's LSTM overlooks the true lengths and reads padding as text
        unfit=frozenset({"openvino"}),
        name=name,
        version=Catalog(options.models).next_version(name),
        task="text-classification",
        description=f"Bidirectional LSTM over subwords that says {' or '.join(labels)}.",
        labels=labels,
        preprocessing=TextInput(max_tokens=MAX_TOKENS, pad_id=PAD_ID),
        provenance=provenance(data.sources, seed=options.seed, seconds=history.seconds),
    )


def _examination(network: BiLstm, data: SentimentData) -> Examination:
    @torch.no_grad()
    def torch_answers(features: Sequence[Any]) -> Sequence[Answer]:
        return [answer_of(network(torch.from_numpy(f.ids)[None])[0].numpy()) for f in features]

    def measure(opened: OpenedVariant) -> tuple[Measurement, ...]:
        return tuple(
            Measurement(
                dataset=title,
                split="test",
                metric="accuracy",
                value=float(np.mean(_chosen(opened, rows) == rows.labels)),
                items=len(rows),
            )
            for title, rows in data.test
        )

    items = [text for _, rows in data.validation for text in rows.texts[:100]]
    return Examination(
        items=items,
        torch_answers=torch_answers,
        measure=measure,
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


def _card(candidate: Candidate, data: SentimentData, history: History) -> dict[str, bytes]:
    opened = candidate.open("int8")
    generator = np.random.default_rng(0)
    rows = LabelledTexts.joined([rows for _, rows in data.test])
    rows = rows.take(generator.permutation(len(rows))[:CARD_ITEMS])
    predictions = opened.predict(list(rows.texts))
    number = {label: i for i, label in enumerate(rows.names)}
    chosen = np.array([number[p.label] for p in predictions], np.int64)
    probabilities = np.array([[p.scores[label] for label in rows.names] for p in predictions])
    lengths = [len(feature.ids) for feature in opened.features(list(rows.texts))]
    right = (chosen == rows.labels).astype(float)
    pictures = [
        Plot("curves.png", plots.training_curves(history.rows), "Training, epoch by epoch"),
        Plot(
            "confusion.png",
            plots.confusion_matrix(rows.labels, chosen, rows.names),
            "Confusion on test texts, int8",
        ),
        Plot(
            "reliability.png",
            plots.reliability(probabilities, rows.labels),
            "Confidence against accuracy on test texts, int8",
        ),
        Plot("length.png", _by_length(lengths, right), "Accuracy by length of the text, int8"),
    ]
    card = model_card(candidate.with_evidence({}), CARD_TEXT, pictures)
    return {CARD_FILE: card.encode(), **{plot.file: plot.png for plot in pictures}}


def _by_length(lengths: list[int], right: NDArray[np.float64]) -> bytes:
    edges = (25, 50, 100, 200, 400)
    bins = plots.length_bins(lengths, edges, lambda rows: 100 * float(right[list(rows)].mean()))
    return plots.score_by_length(bins, "accuracy, %")


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
    training="AdamW, windows of 200 tokens of the long reviews together with short phrases, "
    "dropout on words and embeddings, maximum and mean pooling, averaged weights.",
    licence="Apache-2.0",
)


def _chosen(opened: OpenedVariant, rows: LabelledTexts) -> NDArray[np.int64]:
    number = {label: i for i, label in enumerate(rows.names)}
    return np.array([number[p.label] for p in opened.predict(list(rows.texts))], np.int64)
