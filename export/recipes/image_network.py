"""The image network that a run begins with, new or with what it learnt before, and its settings."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from export.datasets.rows import LabelledImages
from export.devices import fastest_device
from export.networks.cnn import ResNet, ResNetConfig
from export.networks.mlp import Mlp, MlpConfig
from export.options import Options
from export.recipes.image_data import QUICK_TRAIN, colour_statistics
from export.recipes.image_training import Colours, ImageTraining, to_tensor
from export.transfer.images import settle_norms, start_image_network
from export.transfer.source import Published, Source, title_of
from model_zoo.manifest import ImageInput, Task

TASK: Task = "image-classification"
SIDE = 32
QUICK = ImageTraining(
    epochs=8,
    batch=100,
    label_smoothing=0.2,
    shift=2,
    cut_out=4,
    warm_up=0.23,
    final_rate=0.07,
    average_decay=0.9,
    small_share=0.0,
)
ON_GPU = ImageTraining(epochs=64, batch=512)
QUICK_WIDTHS = (16, 32, 48)
WIDTHS = (64, 192, 288)
DEPTHS = (2, 2, 2)
FEW_ROWS = 10_000
SEEN_FIRST = 5000  # images that the first statistics of a network are taken from


def colours_of(source: Source | None, parts: Sequence[LabelledImages]) -> Colours:
    """Those that the source was trained with, else those of the pictures themselves."""
    return colours_known_to(source) or Colours(*colour_statistics(parts))


def colours_known_to(source: Source | None) -> Colours | None:
    """Those that a published model was trained with; a checkpoint does not tell."""
    if not isinstance(source, Published):
        return None
    spec = source.manifest.preprocessing
    assert isinstance(spec, ImageInput)
    return Colours(spec.mean, spec.std)


def begin(
    options: Options, source: Source | None, train: LabelledImages, colours: Colours
) -> ResNet | Mlp:
    """The network before its first step; raises TransferError where `source` does not fit."""
    kind, classes = options.image_network, len(train.names)
    torch.manual_seed(options.seed)
    few_NCHW = to_tensor(train.images[:SEEN_FIRST], colours)
    if source is not None:
        network = start_image_network(source, train.names, kind, SIDE)
        settle_norms(network, few_NCHW[:1000])
        return network
    if kind == "mlp":
        return Mlp(MlpConfig(classes, SIDE, SIDE, widths=(64, 32) if options.quick else (512, 256)))
    small, usual = ResNetConfig(classes, QUICK_WIDTHS), ResNetConfig(classes, WIDTHS, DEPTHS)
    network = ResNet(small if options.quick else usual)
    network.whiten(few_NCHW)
    return network


def settings(options: Options, network: ResNet | Mlp, rows: int) -> ImageTraining:
    """Small data get small batches and many epochs; what was learnt before moves slowly."""
    chosen = ON_GPU if fastest_device().type == "cuda" else ImageTraining()
    chosen = QUICK if options.quick else chosen
    if not options.quick and rows < FEW_ROWS:
        chosen = replace(
            chosen,
            batch=64,
            epochs=80,
            average_decay=0.98,
            patience=10,
            small_share=0.0,
        )
    if isinstance(network, Mlp):
        chosen = replace(
            chosen,
            rate=1.5,
            matrix_rate=0.0,
            bias_rate_factor=1.0,
            label_smoothing=0.1,
            small_share=0.0,
        )
    if options.origin is not None:
        # who knows whole images need not see small ones first
        chosen = replace(chosen, rate_factor=options.rate or 0.5, small_share=0.0)
    if options.teachers:
        # a teacher's doubt is what smoothing only imitates
        names = tuple(title_of(teacher) for teacher in options.teachers)
        chosen = replace(chosen, taught_by=names, label_smoothing=0.0)
    usual_rows = QUICK_TRAIN if options.quick else 0
    epochs = options.epochs_for(rows, usual_rows=usual_rows, usual=chosen.epochs)
    return replace(chosen, epochs=epochs, seed=options.seed)
