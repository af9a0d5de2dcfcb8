"""The card of a translator, with its pictures."""

from collections.abc import Sequence
from dataclasses import replace

from export import plots
from export.candidate import Candidate
from export.recipes.card_tables import by_length, served, translation_examples
from export.recipes.foresight import TranslatedSplits
from export.recipes.translation_data import (
    CAPTION_COPIES,
    CLOSING_COPIES,
    CLOSING_EPOCHS,
    LAST_EPOCHS,
)
from export.recipes.translation_training import TranslationTraining
from export.report import CARD_FILE, CardText, Plot, model_card
from export.scores import bleu, bleu_signature
from export.training import History

CAPTIONS = f", captions seen {CAPTION_COPIES} times as often"
CLOSING = (
    f", then for {CLOSING_EPOCHS} epochs {2 * CLOSING_COPIES} times, and for the last "
    f"{LAST_EPOCHS} as often as all others"
)
AGREEING = ", two passes with different dropout made to agree (R-Drop)"
MISUSE = (
    "Contracts, medicine, news, or any text where a wrong word does harm.",
    "Publishing without a reader who knows both languages.",
)
ALONE = "Sentences are translated one by one, without a look at their neighbours."
LICENCE = "Apache-2.0 for the weights; mind the terms of the data they were made from"
PUBLIC = CardText(
    intended_use=("Everyday sentences and picture captions, to get the gist.",),
    misuse=MISUSE,
    known_limits=(
        "Its vocabulary is that of everyday talk: names and technical words come out wrong.",
        ALONE,
    ),
    training="",
    licence=LICENCE,
)
# of a user's own pairs nothing is known but their languages
OWN = CardText(
    intended_use=("Sentences of the kind that it learnt from, to get the gist.",),
    misuse=MISUSE,
    known_limits=(
        "Its vocabulary is that of the pairs it learnt from: other words come out wrong.",
        ALONE,
    ),
    training="",
    licence=LICENCE,
)


def card(
    candidate: Candidate,
    test: TranslatedSplits,
    history: History,
    trained: TranslationTraining,
    *,
    is_public: bool,
    closes: bool,
) -> dict[str, bytes]:
    """README.md and its plots, by file name; `is_public` where it learnt from the public data,
    `closes` where closing rounds followed the usual epochs."""
    precision = served(candidate)
    dataset, split, pairs = test.splits[0]
    translations = test.texts[precision][0]
    lengths = [len(text.split()) for text in pairs.sources]

    def score(rows: Sequence[int]) -> float:
        return bleu([translations[i] for i in rows], [pairs.targets[i] for i in rows])

    bins = plots.length_bins(lengths, (8, 12, 16, 20), score)
    told = f"{dataset} {split}, {precision}"
    pictures = [
        Plot("curves.png", plots.training_curves(history.rows), "Training, epoch by epoch"),
        Plot(
            "length.png",
            plots.score_by_length(bins, "BLEU", unit="words"),
            f"BLEU by length of the sentence on {told}",
        ),
    ]
    page = model_card(
        candidate.with_evidence({}),
        card_text(trained, is_public=is_public, closes=closes),
        pictures,
        [by_length(bins, "BLEU", "words", f"{told}.")],
        translation_examples(candidate),
    )
    return {CARD_FILE: page.encode(), **{plot.file: plot.png for plot in pictures}}


def card_text(trained: TranslationTraining, *, is_public: bool, closes: bool) -> CardText:
    """What is true of a translator, trained in this way on such data."""
    captions = (CAPTIONS if is_public else "") + (CLOSING if closes else "")
    agreeing = AGREEING if trained.r_drop else ""
    return replace(
        PUBLIC if is_public else OWN,
        training=(
            f"Muon for matrices and Adam for the rest, label smoothing "
            f"{trained.label_smoothing:g}{agreeing}, one vocabulary for both languages{captions}. "
            f"BLEU: {bleu_signature()}."
        ),
    )
