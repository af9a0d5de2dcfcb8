"""What each recipe begins with, and how that follows from what the user and the machine say."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from export.datasets.generated import shapes
from export.networks.cnn import ResNet, ResNetConfig
from export.networks.mlp import Mlp, MlpConfig
from export.networks.text import TextNetwork
from export.options import Options
from export.recipes import image_network, sentiment_network, translation_network
from export.recipes.image_training import Colours
from export.recipes.sentiment_training import EncodedTexts
from tests.export.tiny_networks import ids

HERE = Path("nowhere")
COLOURS = Colours((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
ROWS = 100_000
MLP, RESNET = MlpConfig(10), ResNetConfig(10)


def texts() -> EncodedTexts:
    rows = ids([5, 9, 4], 60)
    return EncodedTexts(rows, torch.zeros(3, dtype=torch.int64).numpy())


def test_pictures_get_the_network_asked_for() -> None:
    train = shapes(40)
    plain = image_network.begin(Options(HERE, HERE, quick=True), None, train, COLOURS)
    assert isinstance(plain, ResNet)
    assert plain.whitening.weight.abs().sum() > 0
    full = Options(HERE, HERE, quick=True, image_network="mlp")
    assert isinstance(image_network.begin(full, None, train, COLOURS), Mlp)


def test_texts_get_the_network_asked_for_and_counted_word_vectors() -> None:
    options = Options(HERE, HERE, quick=True, text_network="gru")
    first, again = (
        sentiment_network.begin(options, None, ("a", "b"), 60, texts()) for _ in range(2)
    )
    assert first.config.kind == "gru"
    assert first.config.vocabulary == 60
    assert torch.equal(first.embedding.weight, again.embedding.weight)
    torch.manual_seed(options.seed)
    assert not torch.equal(first.embedding.weight, TextNetwork(first.config).embedding.weight)


def test_the_vocabulary_of_a_translator_is_filled_up_to_whole_blocks() -> None:
    options = Options(HERE, HERE, quick=True)
    assert translation_network.begin(options, None, 300).config.vocabulary == 384
    assert translation_network.begin(options, None, 384).config.vocabulary == 384


def test_what_was_learnt_before_moves_slower() -> None:
    fresh, started = Options(HERE, HERE), Options(HERE, HERE, origin="reviews-lstm")
    resnet = ResNet(RESNET)
    for afresh, after in (
        (sentiment_network.settings(o, ROWS).rate_factor for o in (fresh, started)),
        (translation_network.settings(o, ROWS).rate_factor for o in (fresh, started)),
        (image_network.settings(o, resnet, ROWS).rate_factor for o in (fresh, started)),
    ):
        assert afresh == 1.0
        assert 0 < after < 1


def test_who_knows_whole_pictures_sees_no_small_ones_first() -> None:
    fresh, started = Options(HERE, HERE), Options(HERE, HERE, origin="cifar10-resnet")
    shares = [image_network.settings(o, ResNet(RESNET), ROWS).small_share for o in (fresh, started)]
    assert shares[0] > 0
    assert shares[1] == 0


def test_the_user_may_say_how_fast_it_moves_on() -> None:
    started = Options(HERE, HERE, origin="reviews-lstm", rate=0.7)
    resnet = ResNet(RESNET)
    assert sentiment_network.settings(started, ROWS).rate_factor == 0.7
    assert translation_network.settings(started, ROWS).rate_factor == 0.7
    assert image_network.settings(started, resnet, ROWS).rate_factor == 0.7


def test_a_translator_turned_round_moves_as_fast_as_a_new_one() -> None:
    started = Options(HERE, HERE, origin="en-de-transformer", languages=("de", "en"))
    turned = translation_network.settings(started, ROWS, turned=True)
    afresh = translation_network.settings(Options(HERE, HERE), ROWS)
    assert turned.rate_factor == 1.0
    assert turned == replace(afresh, epochs=afresh.epochs + 1)


def test_few_rows_are_seen_in_smaller_batches_and_more_often() -> None:
    options, resnet = Options(HERE, HERE), ResNet(RESNET)
    few, many = (image_network.settings(options, resnet, n) for n in (500, ROWS))
    assert few.batch < many.batch
    assert few.epochs > many.epochs
    small, large = (sentiment_network.settings(options, n) for n in (500, ROWS))
    assert small.batch_rows < large.batch_rows
    assert small.epochs > large.epochs
    assert small.buckets < large.buckets


def test_full_layers_learn_at_a_rate_of_their_own() -> None:
    options = Options(HERE, HERE)
    rates = [
        image_network.settings(options, made, ROWS).rate for made in (ResNet(RESNET), Mlp(MLP))
    ]
    assert rates[1] < rates[0]


@pytest.mark.parametrize("room", [image_network, translation_network])
def test_a_gpu_trains_for_more_epochs_but_not_for_a_trial(
    monkeypatch: pytest.MonkeyPatch, room: ModuleType
) -> None:
    def epochs(quick: bool) -> int:
        options = Options(HERE, HERE, quick=quick)
        if room is image_network:
            return image_network.settings(options, ResNet(RESNET), ROWS).epochs
        return translation_network.settings(options, ROWS).epochs

    def found(kind: str) -> tuple[int, int]:
        monkeypatch.setattr(room, "fastest_device", lambda: torch.device(kind))
        return epochs(quick=True), epochs(quick=False)

    on_cpu, on_gpu = found("cpu"), found("cuda")
    assert on_gpu[0] == on_cpu[0]
    assert on_gpu[1] > on_cpu[1]
