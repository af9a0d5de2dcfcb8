"""How good a translator is, and the card that says so with its pictures."""

from collections.abc import Sequence

from export import plots
from export.candidate import Candidate, OpenedVariant
from export.datasets.rows import SentencePairs
from export.recipes.translation_data import CAPTION_COPIES, TranslationData
from export.report import CARD_FILE, CardText, Plot, model_card
from export.scores import bleu, bleu_signature, chrf
from export.training import History
from service.tasks.base import TranslationText


def quality(opened: OpenedVariant, pairs: SentencePairs) -> dict[str, float]:
    """BLEU and chrF of greedy translations against one reference each."""
    translations = _translated(opened, pairs.sources)
    return {
        "bleu": bleu(translations, pairs.targets),
        "chrf": chrf(translations, pairs.targets),
    }


def _translated(opened: OpenedVariant, texts: Sequence[str]) -> list[str]:
    return [p.text for p in opened.predict([TranslationText(text) for text in texts])]


def card(candidate: Candidate, data: TranslationData, history: History) -> dict[str, bytes]:
    """README.md and its plots, by file name."""
    _, _, pairs = data.test[0]
    translations = _translated(candidate.open("int8"), pairs.sources)
    lengths = [len(text.split()) for text in pairs.sources]

    def score(rows: Sequence[int]) -> float:
        return bleu([translations[i] for i in rows], [pairs.targets[i] for i in rows])

    pictures = [
        Plot("curves.png", plots.training_curves(history.rows), "Training, epoch by epoch"),
        Plot(
            "length.png",
            plots.score_by_length(
                plots.length_bins(lengths, (8, 12, 16, 20), score), "BLEU", unit="words"
            ),
            f"BLEU by length of the sentence on {data.test[0][0]} {data.test[0][1]}, int8",
        ),
    ]
    page = model_card(candidate.with_evidence({}), _card_text(), pictures)
    return {CARD_FILE: page.encode(), **{plot.file: plot.png for plot in pictures}}


def _card_text() -> CardText:
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
            f"languages, captions seen {CAPTION_COPIES} times as often. BLEU: {bleu_signature()}."
        ),
        licence="Apache-2.0 for the weights; mind the terms of the data they were made from",
    )
