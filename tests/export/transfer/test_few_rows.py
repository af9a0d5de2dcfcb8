"""With few rows of a new kind, a network that learnt before beats one that starts afresh."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.datasets import cifar10
from export.datasets.generated import opinions, sentence_pairs, shapes
from export.datasets.rows import LabelledImages
from export.networks.text import TextConfig, TextNetwork
from export.networks.transformer import Transformer, TransformerConfig
from export.options import Options
from export.recipes.image_network import QUICK, begin, colours_of
from export.recipes.image_training import Colours, evaluate_images, to_tensor, train_images
from export.recipes.sentiment_network import QUICK as QUICK_TEXT
from export.recipes.sentiment_training import encode_texts, train_sentiment
from export.recipes.translation_network import QUICK as QUICK_TRANSLATION
from export.recipes.translation_training import encode_pairs, train_translation
from export.transfer.images import settle_norms, start_image_network
from export.transfer.source import Checkpoint, open_source, open_vocabulary
from export.transfer.texts import start_text_network
from export.transfer.translations import start_translator
from model_zoo.catalog import DEFAULT_ROOT

pytestmark = pytest.mark.timeout(300)  # two trainings each, which a busy machine stretches

KNOWN, NEW = (0, 2, 4, 6, 8), (1, 3, 5, 7, 9)
A_CLASS = 20  # rows


def of_classes(rows: LabelledImages, numbers: tuple[int, ...], most: int = 10**9) -> LabelledImages:
    """At most so many pictures of each of these classes, which are numbered anew."""
    in_order = np.concatenate([np.flatnonzero(rows.labels == n)[:most] for n in numbers])
    chosen = np.random.default_rng(0).permutation(in_order)
    labels = np.array([numbers.index(int(label)) for label in rows.labels[chosen]])
    names = tuple(rows.names[number] for number in numbers)
    return replace(rows.take(chosen), labels=labels, names=names)


def grey_shapes(count: int) -> LabelledImages:
    """Without their colours, which would give the classes away."""
    rows = shapes(count)
    return replace(rows, images=rows.images.mean(3, keepdims=True).astype(np.uint8).repeat(3, 3))


def accuracies(
    known: LabelledImages,
    new: LabelledImages,
    test: LabelledImages,
    folder: Path,
    *,
    epochs: int = 4,
) -> tuple[float, float]:
    """On the test pictures of the new classes: afresh, and from a network of the known ones."""
    options = Options(folder, folder, quick=True)
    colours = colours_of(None, [known])
    source = begin(options, None, known, colours)
    seen, held = known.take(range(100, len(known))), known.take(range(100))
    train_images(source, seen, held, colours, replace(QUICK, epochs=5, batch=A_CLASS), folder / "a")
    learnt = start_image_network(Checkpoint("a.pt", source.state_dict(), None), new.names, None, 32)
    settle_norms(learnt, to_tensor(new.images, colours))
    fresh = begin(options, None, new, colours)
    settings = replace(QUICK, epochs=epochs, batch=A_CLASS // 2)
    train_images(fresh, new, test, colours, settings, folder / "b")
    train_images(learnt, new, test, colours, replace(settings, rate_factor=0.5), folder / "c")
    return score(fresh, test, colours), score(learnt, test, colours)


def score(network: torch.nn.Module, test: LabelledImages, colours: Colours) -> float:
    return evaluate_images(network, test, colours)["accuracy"]


def test_twenty_drawn_pictures_a_class(tmp_path: Path) -> None:
    rows = grey_shapes(1600)
    known = of_classes(rows, KNOWN)
    new = of_classes(rows.take(range(800)), NEW, A_CLASS)
    test = of_classes(rows.take(range(800, 1600)), NEW)
    assert len(new) == 5 * A_CLASS
    # drawings are easy: with twice the epochs a fresh network catches up
    fresh, learnt = accuracies(known, new, test, tmp_path, epochs=2)
    assert learnt > fresh + 0.03


@pytest.mark.skipif("SLIPWAY_DATA" not in os.environ, reason="needs CIFAR-10")
def test_twenty_photos_a_class(tmp_path: Path) -> None:
    rows = cifar10.load(Path(os.environ["SLIPWAY_DATA"])).train
    known = of_classes(rows.take(range(4000)), KNOWN, 300)
    new = of_classes(rows.take(range(4000, 6000)), NEW, A_CLASS)
    test = of_classes(rows.take(range(6000, 7000)), NEW)
    fresh, learnt = accuracies(known, new, test, tmp_path)
    assert learnt > fresh + 0.02


def test_twenty_texts_a_class(tmp_path: Path) -> None:
    """From the published reviews to opinions whose labels have other names."""
    rows = opinions(340)
    train, test = rows.take(range(2 * A_CLASS)), rows.take(range(2 * A_CLASS, 340))
    source = open_source("reviews-lstm", "text-classification", DEFAULT_ROOT)
    assert source is not None
    tokenizer = open_vocabulary(source)
    plain = TextConfig(tokenizer.get_vocab_size(), 2)
    torch.manual_seed(0)
    networks = TextNetwork(plain), start_text_network(source, ("sour", "sweet"), None, plain)
    found = []
    for place, (network, factor) in enumerate(zip(networks, (1.0, 0.25), strict=True)):
        settings = replace(QUICK_TEXT, epochs=2, rate_factor=factor, buckets=0, batch_rows=8)
        encoded = [encode_texts(tokenizer, part, 100) for part in (train, test)]
        history = train_sentiment(
            network, encoded[0], {"test": encoded[1]}, settings, tmp_path / str(place)
        )
        found.append(max(history.column("accuracy")))
    fresh, learnt = found
    assert learnt > fresh + 0.1


def test_a_hundred_pairs_of_sentences(tmp_path: Path) -> None:
    """From the published translator to sentences made by rule."""
    rows = sentence_pairs(160)
    source = open_source("en-de-transformer", "translation", DEFAULT_ROOT)
    assert source is not None
    train, test = (
        encode_pairs(open_vocabulary(source), rows.take(range(*part)), 60)
        for part in ((0, 100), (100, 160))
    )
    learnt = start_translator(source, ("en", "de"), TransformerConfig(128))
    torch.manual_seed(0)
    fresh = Transformer(replace(learnt.config))
    found = []
    for place, (network, factor) in enumerate(((fresh, 1.0), (learnt, 0.2))):
        settings = replace(QUICK_TRANSLATION, epochs=1, rate_factor=factor)
        history = train_translation(network, train, test, settings, tmp_path / str(place))
        found.append(history.column("token_accuracy")[-1])
    assert found[1] > found[0] + 0.2
