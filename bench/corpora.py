"""What the texts of the rows are: real ones where SLIPWAY_DATA has them, else made by rule."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

from service.load.words import captions, feelings


def feeling_texts(count: int) -> tuple[list[str], str]:
    """Reviews and sentences, as many of either, shuffled; and where they are from."""
    if not os.environ.get("SLIPWAY_DATA"):
        texts, source = feelings(count), "made by rule, lengths as in IMDB and SST-2"
    else:
        from export.datasets.sentiment import load_imdb, load_sst2
        from export.datasets.sources import data_root

        root = data_root()
        reviews, sentences = load_imdb(root).test.texts, load_sst2(root).dev.texts
        texts = [*_spread(reviews, count // 2), *_spread(sentences, count - count // 2)]
        source = "IMDB test and SST-2 dev"
    random.Random(0).shuffle(texts)
    return texts, source


def translation_texts(count: int) -> tuple[list[str], str]:
    """English sentences of mixed length, and where they are from."""
    if not os.environ.get("SLIPWAY_DATA"):
        return captions(count), "captions made by rule"
    from export.datasets.sources import data_root
    from export.datasets.translation import load_multi30k, load_tatoeba

    root = data_root()
    captions_of = load_multi30k(root)["test_2016_flickr"].sources
    everyday = load_tatoeba(root)["test"].sources
    texts = [*_spread(captions_of, count // 2), *_spread(everyday, count - count // 2)]
    random.Random(0).shuffle(texts)
    return texts, "Multi30k test_2016_flickr and Tatoeba test"


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """From all over the set: the splits are sorted."""
    step = max(1, len(texts) // count)
    return list(texts[::step][:count])
