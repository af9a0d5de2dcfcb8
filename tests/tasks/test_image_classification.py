import numpy as np
import pytest

from model_zoo.manifest import Limits
from service.errors import InferenceFailed, InvalidInput, PayloadTooLarge, UnsupportedMedia
from service.tasks.base import Pixels
from service.tasks.image_classification import FEW_LABELS, ImageClassification
from service.tasks.images import ImageLimits
from tests.tasks.samples import file_of, image_input, manifest, normalised, picture

LABELS = ("cat", "dog", "frog")


def task(limits: Limits | None = None, of_server: ImageLimits | None = None) -> ImageClassification:
    spec = image_input()
    return ImageClassification(manifest(spec, LABELS, limits), spec, of_server)


def test_an_image_is_one_part_of_cost_one() -> None:
    data = file_of(picture())
    assert task().split(data) == [data]
    assert task().cost(data) == 1


def test_only_a_plain_jpeg_of_the_wanted_size_is_quick() -> None:
    height, width = picture().size[::-1]
    big = file_of(picture(width * 9, height * 9), "JPEG")
    spec = image_input(height=height, width=width)
    wanted = ImageClassification(manifest(spec, LABELS), spec)
    assert wanted.is_quick(file_of(picture(), "JPEG"))
    for data in (big, file_of(picture(), "PNG"), b"no image"):
        assert not wanted.is_quick(data)


def test_features_are_the_normalised_picture() -> None:
    features = task().preprocess(file_of(picture()))
    assert np.abs(features - normalised(picture())).max() < 1e-6


def test_a_prepared_image_has_the_same_features_and_costs_nothing_more() -> None:
    for data in (file_of(picture()), file_of(picture(2000, 1000), "JPEG")):
        prepared = task().prepare(data)
        assert isinstance(prepared, Pixels)
        assert (task().preprocess(prepared) == task().preprocess(data)).all()
        assert task().prepare(prepared) is prepared
        assert task().cost(prepared) == 1 <= task().cost(data)
        assert task().is_quick(prepared)


def test_what_cannot_be_read_cannot_be_prepared() -> None:
    with pytest.raises(UnsupportedMedia):
        task().prepare(b"no image")


def test_pixels_of_another_size_are_refused() -> None:
    with pytest.raises(InvalidInput, match="bytes of pixels"):
        task().preprocess(Pixels(bytes(3 * 32 * 31)))


def test_a_row_becomes_labels_by_probability() -> None:
    features = np.zeros((3, 32, 32), np.float32)
    logits = np.log(np.array([0.2, 0.1, 0.7], np.float32))
    prediction = task().postprocess(features, logits)
    assert prediction.label == "frog"
    assert prediction.score == pytest.approx(0.7)
    assert [label for label, _ in prediction.top(5)] == ["frog", "cat", "dog"]
    assert [score for _, score in prediction.top(2)] == pytest.approx([0.7, 0.2])
    assert prediction.top(1) == ((prediction.label, prediction.score),)
    assert task().join(b"", [prediction]) is prediction


@pytest.mark.parametrize("count", [FEW_LABELS, FEW_LABELS + 2])
def test_equal_labels_stand_in_the_models_order(count: int) -> None:
    labels = tuple(f"label {n}" for n in range(count))
    spec = image_input()
    many = ImageClassification(manifest(spec, labels), spec)
    logits = np.tile(np.array([0, 1], np.float32), count // 2)
    prediction = many.postprocess(np.zeros((3, 32, 32), np.float32), logits)
    assert [label for label, _ in prediction.top(100)] == list(labels[1:201:2])
    assert prediction.label == "label 1"


def test_a_broken_row_is_the_models_fault() -> None:
    with pytest.raises(InferenceFailed):
        task().postprocess(np.zeros((3, 32, 32), np.float32), np.zeros(4, np.float32))


def test_the_models_limits_narrow_those_of_the_server() -> None:
    narrow = task(Limits(min_image_side=16, max_image_side=64))
    narrow.preprocess(file_of(picture(64, 16)))
    with pytest.raises(PayloadTooLarge):
        narrow.preprocess(file_of(picture(65, 16)))
    with pytest.raises(InvalidInput):
        narrow.preprocess(file_of(picture(64, 15)))
    with pytest.raises(PayloadTooLarge):
        task(Limits(max_image_side=64), ImageLimits(max_side=20)).preprocess(
            file_of(picture(21, 5))
        )


def test_an_image_costs_what_it_takes_to_unpack_and_no_more_than_may_be() -> None:
    found = task(of_server=ImageLimits(max_pixels=2_000_000))
    costs = {side: found.cost(file_of(picture(side, side))) for side in (32, 1000, 1500)}
    assert costs == {32: 1, 1000: 63, 1500: 3}
    assert found.cost(b"\xff\xd8" + bytes(1 << 20)) == 33
