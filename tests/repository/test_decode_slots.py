"""The number of decoder slots, from the setting to the decoder."""

from pathlib import Path

from model_zoo.catalog import Catalog
from service.app.options import load_options
from service.repository.loading import open_runner, possible_choices
from service.runtime.generate import Generator
from service.settings import Settings
from tests import tiny_zoo


def test_a_worker_translates_as_many_sentences_together_as_the_setting_says(
    tmp_path: Path,
) -> None:
    catalog = Catalog(tmp_path)
    tiny_zoo.publish_translator(catalog)
    published = catalog.open(tiny_zoo.TRANSLATOR)
    options = load_options(Settings.load({"decode_slots": "9"}, {}))
    (choice, *_) = possible_choices(published.manifest, options)
    runner = open_runner(published, choice, strict=False, slots=options.decode_slots)
    assert isinstance(runner, Generator)
    assert runner.open_decoder().free == 9
