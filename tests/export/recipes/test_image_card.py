"""The page of an image model tells of the network and the settings that were really used."""

from dataclasses import replace
from pathlib import Path

from export.networks.mlp import Mlp, MlpConfig
from export.options import Options
from export.recipes.image_card import card_text
from export.recipes.image_network import QUICK, settings
from export.recipes.image_training import ImageTraining
from tests.export.tiny_networks import resnet

HERE = Path("nowhere")
FULL_LAYERS = Mlp(MlpConfig(3, 16, 16, widths=(8,)))


def test_the_usual_training_is_told_with_its_own_numbers() -> None:
    assert card_text(resnet(), ImageTraining()).training == (
        "Muon for the convolutions and SGD with Nesterov momentum for the rest, on a whitened "
        "first layer; label smoothing 0.1, alternating flips, shifts of up to 4 pixels, cutout of "
        "12, small pictures first, weights averaged over the last steps."
    )


def test_other_settings_are_told_as_they_are() -> None:
    told = card_text(resnet(), replace(QUICK, matrix_rate=0.0, label_smoothing=0.15)).training
    assert told == (
        "SGD with Nesterov momentum, on a whitened first layer; label smoothing 0.15, alternating "
        "flips, shifts of up to 2 pixels, cutout of 4, weights averaged over the last steps."
    )


def test_teachers_are_named() -> None:
    options = Options(HERE, HERE, teachers=("large/2", "/home/me/larger.pt"))
    told = card_text(resnet(), settings(options, resnet(), 100_000)).training
    assert "80% of each loss against the answers of large/2 and larger.pt, softened by 2," in told
    assert "smoothing" not in told


def test_full_layers_have_neither_muon_nor_a_whitened_layer() -> None:
    trained = settings(Options(HERE, HERE, image_network="mlp"), FULL_LAYERS, 100_000)
    told = card_text(FULL_LAYERS, trained).training
    assert told.startswith("SGD with Nesterov momentum; label smoothing 0.1, alternating flips")
    assert not {"Muon", "whitened", "convolutions", "small"} & set(told.replace(",", "").split())
