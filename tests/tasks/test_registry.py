import pytest

from model_zoo.manifest import TextInput
from service.errors import PayloadTooLarge
from service.tasks.image_classification import ImageClassification
from service.tasks.images import ImageLimits
from service.tasks.registry import make_task
from service.tasks.sentiment import Sentiment
from service.tasks.translation import Translation
from tests.tasks.samples import (
    byte_level_tokenizer,
    file_of,
    image_input,
    manifest,
    picture,
    translation_input,
)


def test_each_kind_of_model_gets_its_task() -> None:
    def read(file: str) -> bytes:
        assert file == "tokenizer.json"
        return byte_level_tokenizer()

    labels = ("a", "b")
    assert isinstance(make_task(manifest(image_input(), labels), read), ImageClassification)
    text = TextInput(max_tokens=9, pad_id=0)
    assert isinstance(make_task(manifest(text, labels), read), Sentiment)
    assert isinstance(make_task(manifest(translation_input()), read), Translation)


def test_the_servers_limits_on_images_are_passed_on() -> None:
    task = make_task(manifest(image_input(), ("a", "b")), bytes.fromhex, ImageLimits(max_pixels=99))
    with pytest.raises(PayloadTooLarge):
        task.preprocess(file_of(picture(10, 10)))


def test_a_broken_tokenizer_is_named() -> None:
    with pytest.raises(ValueError, match="not a tokenizer"):
        make_task(manifest(translation_input()), lambda file: b"broken")
