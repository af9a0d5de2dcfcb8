"""The card of a text model, with its pictures."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from export import plots
from export.candidate import Candidate
from export.networks.text import TextNetwork
from export.recipes.card_tables import by_class, by_length, opinion_examples, served
from export.recipes.honesty import TestSplits
from export.recipes.sentiment_training import SentimentTraining
from export.report import CARD_FILE, CardText, Plot, model_card
from export.training import History
from model_zoo.manifest import TextInput

PUBLIC = CardText(
    intended_use=("Sorting opinions in English, from one sentence to a page, by their tone.",),
    misuse=(
        "Judging people, or anything that matters to their safety, rights or money.",
        "Languages other than English, irony, and texts that hold no opinion.",
    ),
    known_limits=("It learnt from reviews of films: praise in other fields uses other words.",),
    training="",
    licence="Apache-2.0",
)
# of a user's own texts nothing is known, neither language nor what their labels mean
OWN = CardText(
    intended_use=("Sorting texts of the kind that it learnt from by the labels above.",),
    misuse=(
        "Judging people, or anything that matters to their safety, rights or money.",
        "Languages and kinds of text that it did not learn from: it names one of its labels all "
        "the same.",
    ),
    known_limits=("It knows the words of the texts that it learnt from, and few others.",),
    training="",
    licence="Apache-2.0",
)


def card(
    candidate: Candidate,
    test: TestSplits,
    history: History,
    network: TextNetwork,
    trained: SentimentTraining,
    *,
    is_public: bool,
    begun: bool,
) -> dict[str, bytes]:
    """README.md and its plots, by file name; `is_public` where it learnt from the public data,
    `begun` where it went on from what was learnt before."""
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
    spec = candidate.manifest.preprocessing
    assert isinstance(spec, TextInput)
    text = card_text(network, trained, spec.max_tokens, is_public=is_public, begun=begun)
    page = model_card(
        candidate.with_evidence({}), text, pictures, tables, opinion_examples(candidate)
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


def card_text(
    network: TextNetwork,
    trained: SentimentTraining,
    max_tokens: int,
    *,
    is_public: bool,
    begun: bool,
) -> CardText:
    """What is true of this network, trained in this way on such data."""
    said = PUBLIC if is_public else OWN
    limit = f"A text is read up to its {max_tokens}th token; the answer says when it was longer."
    return replace(
        said,
        known_limits=(limit, *said.known_limits),
        training=_training(network, trained, is_public=is_public, begun=begun),
    )


def _training(
    network: TextNetwork, trained: SentimentTraining, *, is_public: bool, begun: bool
) -> str:
    first = "" if begun else "First word vectors from counts of neighbours; "
    phrases = " together with short phrases" if is_public else ""
    nudged = ", embeddings nudged their worst way" if trained.adversary else ""
    votes = "; joined by a linear model over runs of up to three tokens, by which validation gained"
    return (
        f"{first}AdamW on windows of up to {trained.windows[-1][1]} tokens of the long texts"
        f"{phrases}, label smoothing {trained.label_smoothing:g}, dropout on words and embeddings"
        f"{nudged}, pooling by maximum and mean, averaged weights"
        f"{votes if network.votes is not None else ''}."
    )
