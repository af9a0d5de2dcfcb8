"""Translation quality by sacreBLEU, whose signature says exactly what was computed."""

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU, 0 to 100, one reference a sentence (Post 2018, arXiv:1804.08771)."""
    return float(BLEU().corpus_score(list(translations), [list(references)]).score)


def chrf(translations: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2, 0 to 100 (Popović 2015)."""
    return float(CHRF().corpus_score(list(translations), [list(references)]).score)


def sentence_chrf(translations: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF2 of each sentence, 0 to 100."""
    metric = CHRF()
    pairs = zip(translations, references, strict=True)
    return [float(metric.sentence_score(found, [wanted]).score) for found, wanted in pairs]


def bleu_signature() -> str:
    """What a BLEU figure must be quoted with."""
    metric = BLEU()
    metric.corpus_score(["a b c d"], [["a b c d"]])
    return str(metric.get_signature())
