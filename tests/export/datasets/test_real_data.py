"""The public data sets themselves, where a data folder is at hand."""

import hashlib

import pytest

from export.datasets import cifar10
from export.datasets.sentiment import load_imdb, load_sst2
from export.datasets.sources import data_root
from export.datasets.translation import load_chat, load_multi30k, load_tatoeba, load_wmt_news

ROOT = data_root()
pytestmark = pytest.mark.skipif(ROOT is None, reason="no data folder (SLIPWAY_DATA)")
PIXELS = {
    "train": "d550eaa203f0c17e8ea29b29df8190a82e94c20ebb20d5b6d99da2edd4081484",
    "test": "ed893735ff82c0178f2cd31343a1d5ab993eeae4f3b919d9c1436789336729f1",
}


def test_cifar10_is_whole() -> None:
    data = cifar10.load(ROOT)
    for part in (data.train, data.test):
        planes_NCHW = part.images.transpose(0, 3, 1, 2)
        assert hashlib.sha256(planes_NCHW.tobytes()).hexdigest() == PIXELS[part.source[0].split]


def test_reviews_are_whole() -> None:
    data = load_imdb(ROOT)
    assert (len(data.train), len(data.test)) == (25_000, 25_000)
    assert data.train.labels.sum() == data.test.labels.sum() == 12_500


def test_sentences_are_whole() -> None:
    data = load_sst2(ROOT)
    assert (len(data.train), len(data.dev)) in [(6_920, 872), (67_349, 872)]
    assert len(data.fullest_train) == 67_349


def test_sentence_pairs_are_whole() -> None:
    captions, everyday = load_multi30k(ROOT), load_tatoeba(ROOT)
    assert (len(captions["train"]), len(captions["test_2016_flickr"])) == (29_000, 1_000)
    assert len(everyday["train"]) > 100_000
    assert not set(everyday["train"].sources) & set(everyday["test"].sources)
    assert len(load_chat(ROOT)["train"]) == 13_845
    assert len(load_wmt_news(ROOT)["newstest2014"]) == 3_003
