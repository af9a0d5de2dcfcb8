"""The image model from first to last: train, convert, quantize, examine, publish."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from export.candidate import Candidate, answer_of, draft
from export.console import Story
from export.convert.half import half_variant
from export.convert.image_graph import image_graph
from export.gates import (
    AccuracyGate,
    Answer,
    Floor,
    InvarianceGate,
    ParityGate,
    better_than_guessing,
)
from export.golden import with_self_test
from export.networks.cnn import ResNet
from export.networks.mlp import Mlp
from export.options import Options
from export.provenance import provenance
from export.quantize.images import quantize_images
from export.recipes.honesty import LabelledItems, TestSplits, answered, calibrated, tell_doubts
from export.recipes.image_card import card
from export.recipes.image_data import ImageData, encoded, load
from export.recipes.image_network import SIDE, TASK, begin, colours_of, settings
from export.recipes.image_teachers import open_teachers
from export.recipes.image_training import ImageTraining, train_images
from export.recipes.judging import HALF_GATES, Examination, Gates, Reexamination, examine
from export.recipes.strangers import strange_images
from export.training import History
from export.transfer.source import open_source
from model_zoo.catalog import Catalog
from model_zoo.manifest import ImageInput

CALIBRATION_IMAGES = 500
CALIBRATIONS = ("minmax", "percentile")
GATES: dict[Any, Gates] = {
    "fp32": Gates(ParityGate(1e-4, 1.0), InvarianceGate(1e-4, 1.0)),
    "int8": Gates(ParityGate(0.6, 0.95), InvarianceGate(1e-4, 1.0)),
    "fp16": HALF_GATES,
}
QUICK_GATES: dict[Any, Gates] = {
    "fp32": GATES["fp32"],
    # a network that learnt little is often undecided between two classes
    "int8": Gates(ParityGate(0.6, 0.8), InvarianceGate(1e-4, 1.0)),
    "fp16": HALF_GATES,
}
PUBLIC_FLOOR = Floor("CIFAR-10", "accuracy", at_least=0.92, largest_loss=0.005)


def make(options: Options) -> str:
    """Make and publish the model; returns its folder. Raises GateFailed or DatasetError."""
    name = options.name_for(TASK)
    story = Story(name)
    options.start(name)
    data = load(options, _input((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), story)
    options.claim(name, _sources(data))
    network, spec, history, trained = _train(options, name, data, story)
    story.say("converting and quantizing")
    candidate = _candidate(options, name, data, network, spec, history)
    candidate = with_self_test(calibrated(candidate, _validation(data), story))
    test = _test(data)
    examine(candidate, _gates(data), _examination(network, data, test), story)
    tell_doubts(candidate, test, strange_images(data.test.images), story)
    page = card(candidate, test, history, network, trained)
    folder = candidate.publish(Catalog(options.models), page)
    story.say(f"published as {folder}")
    return folder


def reexamine(options: Options, name: str, story: Story) -> Reexamination:
    """The same exam for a published model; trains nothing."""
    data = load(options, _input((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), story)
    network = None
    if options.has_checkpoint(name):
        network, *_ = _train(options, name, data, story, only_load=True)
    exam = _examination(network, data, _test(data))
    return Reexamination(exam, _gates(data), _sources(data), network is not None)


def _gates(data: ImageData) -> dict[Any, Gates]:
    return GATES if data.is_public else QUICK_GATES


def _train(
    options: Options, name: str, data: ImageData, story: Story, *, only_load: bool = False
) -> tuple[ResNet | Mlp, ImageInput, History, ImageTraining]:
    source = open_source(options.origin, TASK, options.models)
    colours = colours_of(source, [data.train, data.validation])
    network = begin(options, source, data.train, colours)
    chosen = replace(settings(options, network, len(data.train)), only_load=only_load)
    if not only_load:
        story.say(f"training on {len(data.train)} images of {data.name}")
    teach = None if only_load else open_teachers(options, data.train.names, colours)
    history = train_images(
        network, data.train, data.validation, colours, chosen, options.folder(name), teach
    )
    return network, _input(colours.mean, colours.std), history, chosen


def _input(mean: tuple[float, float, float], std: tuple[float, float, float]) -> ImageInput:
    return ImageInput(
        height=SIDE, width=SIDE, mean=mean, std=std, interpolation="bilinear", fit="squash"
    )


def _candidate(
    options: Options,
    name: str,
    data: ImageData,
    network: ResNet | Mlp,
    spec: ImageInput,
    h: History,
) -> Candidate:
    labels = data.train.names
    fp32 = image_graph(network, SIDE, SIDE)
    files = {
        "config.json": _json(
            {
                "id2label": {str(i): label for i, label in enumerate(labels)},
                "label2id": {label: i for i, label in enumerate(labels)},
            }
        ),
        "preprocessor_config.json": _json(
            {
                "do_resize": True,
                "size": {"height": SIDE, "width": SIDE},
                "do_rescale": True,
                "rescale_factor": 1 / 255,
                "do_normalize": True,
                "image_mean": spec.mean,
                "image_std": spec.std,
            }
        ),
    }

    def with_int8(method: str) -> Candidate:
        pixels = data.train.images[:CALIBRATION_IMAGES].astype(np.float32) / 255
        images_NCHW = ((pixels - spec.mean) / spec.std).astype(np.float32).transpose(0, 3, 1, 2)
        int8 = quantize_images(fp32, images_NCHW, method)
        half = half_variant(fp32) if options.half else {}
        return draft(
            {"fp32": {"model": fp32}, "int8": {"model": int8}, **half},
            files,
            name=name,
            version=Catalog(options.models).next_version(name),
            task=TASK,
            description=f"{_kind(network)} that tells {len(labels)} kinds of picture apart.",
            labels=labels,
            preprocessing=spec,
            provenance=provenance(_sources(data), seed=options.seed, seconds=h.seconds),
        )

    # The better calibration is chosen on validation images; the test split stays unseen.
    return max(map(with_int8, CALIBRATIONS), key=lambda c: _validation_accuracy(c, data))


def _kind(network: ResNet | Mlp) -> str:
    return "Small residual network" if isinstance(network, ResNet) else "Network of full layers"


def _validation_accuracy(candidate: Candidate, data: ImageData) -> float:
    rows = data.validation
    found = answered(candidate.open("int8"), encoded(rows), rows.names)
    return float(np.mean(found.chosen == rows.labels))


def _validation(data: ImageData) -> list[LabelledItems]:
    rows = data.validation
    return [LabelledItems(data.name, "validation", encoded(rows), rows.labels)]


def _test(data: ImageData) -> TestSplits:
    items = LabelledItems(data.name, "test", encoded(data.test), data.test.labels)
    return TestSplits([items], data.test.names)


def _examination(network: ResNet | Mlp | None, data: ImageData, test: TestSplits) -> Examination:
    @torch.no_grad()
    def torch_answers(features: Sequence[Any]) -> Sequence[Answer]:
        assert network is not None
        return [answer_of(row) for row in network(torch.from_numpy(np.stack(features))).numpy()]

    return Examination(
        items=encoded(data.validation.take(range(min(200, len(data.validation))))),
        torch_answers=torch_answers,
        measure=test.measure,
        accuracy=AccuracyGate((_floor(data),)),
    )


def _floor(data: ImageData) -> Floor:
    """Own or few data: better than always naming the most frequent class."""
    if data.is_public:
        return PUBLIC_FLOOR
    at_least = better_than_guessing(data.test.labels, 1.3)
    return Floor(data.name, "accuracy", at_least=at_least, largest_loss=0.05)


def _sources(data: ImageData) -> tuple[Any, ...]:
    every = (*data.train.source, *data.validation.source, *data.test.source)
    return tuple(dict.fromkeys(every))


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
