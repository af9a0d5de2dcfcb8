"""The card of a translator, with its pictures."""

from collections.abc import Sequence

from export import plots
from export.candidate import Candidate
from export.recipes.card_tables import by_length, served, translation_examples
from export.recipes.foresight import TranslatedSplits
from export.recipes.translation_data import CAPTION_COPIES, CLOSING_COPIES, CLOSING_EPOCHS
from export.report import CARD_FILE, CardText, Plot, model_card
from export.scores import bleu, bleu_signature
from export.training import History

CAPTIONS = (
    f", captions seen {CAPTION_COPIES} times as often, and in the last {CLOSING_EPOCHS} epochs "
    f"{2 * CLOSING_COPIES} times"
)


def card(
    candidate: Candidate, test: TranslatedSplits, history: History, *, is_public: bool
) -> dict[str, bytes]:
    """README.md and its plots, by file name; `is_public` where it learnt from the public data."""
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
        _card_text(CAPTIONS if is_public else ""),
        pictures,
        [by_length(bins, "BLEU", "words", f"{told}.")],
        translation_examples(candidate),
    )
    return {CARD_FILE: page.encode(), **{plot.file: plot.png for plot in pictures}}


def _card_text(more: str) -> CardText:
    return CardText(
        intended_use=("Everyday sentences and picture captions, to get the gist.",),
        misuse=(
            "Contracts, medicine, news, or any text where a wrong word does harm.",
            "Publishing without a reader who knows both languages.",
        ),
        known_limits=(
            "Its vocabulary is that of everyday talk: names and technical words come out wrong.",
            "Sentences are translated one by one, without a look at their neighbours.",
        ),
        training=(
            "Muon for matrices and Adam for the rest, label smoothing 0.1, one vocabulary for both "
            f"languages{more}. BLEU: {bleu_signature()}."
        ),
        licence="Apache-2.0 for the weights; mind the terms of the data they were made from",
    )
