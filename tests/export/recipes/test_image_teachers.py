"""A student of other networks is given what they answer together, and learns more by it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from export.datasets.generated import shapes
from export.options import Options
from export.recipes.image_network import QUICK, begin, colours_of
from export.recipes.image_teachers import Teachers, open_teachers
from export.recipes.image_training import (
    Colours,
    ImageTraining,
    evaluate_images,
    image_loss,
    to_tensor,
    train_images,
)
from export.transfer.errors import TransferError
from tests.export.tiny_networks import CLASSES, images, mlp, resnet

BRIGHT, DARK = Colours((0.6, 0.5, 0.4), (0.2, 0.3, 0.1)), Colours((0.1, 0.2, 0.3), (0.3, 0.2, 0.4))
TAUGHT = ImageTraining(label_smoothing=0.0, taught_share=0.8, softness=2.0)


def test_the_answer_is_the_mean_over_teachers_and_both_ways_to_see_an_image() -> None:
    members, x_NCHW = (resnet(), mlp()), images(5, 1)
    views = [x_NCHW, x_NCHW.flip(3)]
    with torch.no_grad():
        each = [(m.eval()(view) / 3.0).softmax(1) for m in members for view in views]
    found = Teachers([(member, BRIGHT) for member in members], BRIGHT)(x_NCHW, 3.0)
    torch.testing.assert_close(found, sum(each) / 4)


def test_a_teacher_sees_the_colours_that_it_was_trained_with() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    network = begin(Options(Path(), Path(), quick=True), None, shapes(40), DARK)
    as_trained = Teachers([(network, DARK)], DARK)(to_tensor(pixels, DARK), 1.0)
    for_student = Teachers([(network, DARK)], BRIGHT)(to_tensor(pixels, BRIGHT), 1.0)
    torch.testing.assert_close(for_student, as_trained, rtol=1e-4, atol=1e-5)


def test_who_answers_as_the_teachers_do_learns_no_more_from_them() -> None:
    logits_NK = torch.randn(6, CLASSES).requires_grad_()
    labels_N = torch.zeros(6, dtype=torch.int64)
    taught_NK = (logits_NK.detach() / TAUGHT.softness).softmax(1)
    loss = image_loss(logits_NK, labels_N, taught_NK, replace(TAUGHT, taught_share=1.0))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    loss.backward()
    assert logits_NK.grad is not None
    assert logits_NK.grad.abs().max() < 1e-6


def test_labels_keep_their_share_of_the_loss() -> None:
    logits_NK, labels_N = torch.randn(6, CLASSES), torch.arange(6) % CLASSES
    taught_NK = torch.randn(6, CLASSES).softmax(1)
    own = functional.cross_entropy(logits_NK, labels_N)
    log_NK = (logits_NK / 2).log_softmax(1)
    divergence = (taught_NK * (taught_NK.log() - log_NK)).sum(1).mean()
    found = image_loss(logits_NK, labels_N, taught_NK, TAUGHT)
    torch.testing.assert_close(found, 0.2 * own + 0.8 * 4 * divergence)


def test_none_named_is_none() -> None:
    assert open_teachers(Options(Path(), Path()), "ab", BRIGHT) is None


def test_a_published_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    options = Options(tmp_path, tmp_path, teachers=("cifar10-resnet",))
    with pytest.raises(TransferError, match="cifar10-resnet tells other classes apart"):
        open_teachers(options, shapes(1).names, BRIGHT)


def test_a_student_without_right_labels_learns_from_its_teacher(tmp_path: Path) -> None:
    """Labels drawn by lot teach nothing; the teacher's answers to the same pictures do."""
    rows, options = shapes(900), Options(tmp_path, tmp_path, quick=True)
    train, test = rows.take(range(600)), rows.take(range(600, 900))
    colours = colours_of(None, [train])
    teacher = begin(options, None, train, colours)
    settings = replace(QUICK, epochs=4, batch=50)
    train_images(teacher, train, test, colours, settings, tmp_path / "teacher")
    torch.save(teacher.state_dict(), tmp_path / "teacher.pt")

    drawn = np.random.default_rng(0).integers(0, len(train.names), len(train))
    wrong, found = replace(train, labels=drawn), []
    for teachers in ((), (str(tmp_path / "teacher.pt"),)):
        student = begin(options, None, train, colours)
        teach = open_teachers(replace(options, teachers=teachers), train.names, colours)
        train_images(student, wrong, test, colours, settings, tmp_path / str(len(teachers)), teach)
        found.append(evaluate_images(student, test, colours)["accuracy"])
    assert found[0] < 0.5
    assert found[1] > 0.8
