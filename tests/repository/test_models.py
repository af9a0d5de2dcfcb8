"""Which model a request means; and the states of the process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from service.errors import NotReady, UnknownModel
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle, State
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.models import Models
from service.repository.options import LoadOptions
from tests import tiny_zoo

Make = Callable[[str, int], LiveModel]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Load the tiny image model under any name and version."""
    catalog = Catalog(tmp_path)
    metrics = Metrics.create(CollectorRegistry())
    made: list[LiveModel] = []

    def publish_and_load(name: str, version: int) -> LiveModel:
        tiny_zoo.publish_images(catalog, name, version)
        made.append(load(catalog.open(name, version), LoadOptions(workers=1), metrics))
        return made[-1]

    yield publish_and_load
    for live in made:
        live.close(timeout_s=5.0)


def test_the_default_is_the_newest_version_of_the_first_name(make: Make) -> None:
    models = Models(Lifecycle())
    models.serve([make("beta", 1), make("alpha", 9), make("alpha", 10)])
    found = models.find("image-classification")
    assert (found.name, found.version) == ("alpha", "10")
    assert models.is_default(found)


def test_the_default_may_be_named(make: Make) -> None:
    models = Models(Lifecycle(), ["other", "beta"])
    assert models.default("image-classification") is None
    models.serve([make("alpha", 1), make("beta", 1), make("beta", 2)])
    found = models.find("image-classification")
    assert (found.name, found.version) == ("beta", "2")
    assert models.default("image-classification") is found
    assert models.default("translation") is None


def test_only_one_model_of_a_task_leaves_a_request_no_choice(make: Make) -> None:
    models = Models(Lifecycle())
    assert models.only("image-classification") is None
    alpha = make("alpha", 1)
    models.serve([alpha])
    assert models.only("image-classification") is alpha
    models.serve([alpha, make("beta", 1)])
    assert models.only("image-classification") is None


def test_a_version_alone_means_the_default_model(make: Make) -> None:
    models = Models(Lifecycle())
    models.serve([make("alpha", 1), make("alpha", 2), make("beta", 3)])
    assert models.find("image-classification", version=1).name == "alpha"
    for version, begins in (
        (7, "No live model for image-classification has version 7; live are alpha "),
        # beta has it, and is not the default
        (3, "No live model for image-classification that is meant without a name has version 3; "),
    ):
        with pytest.raises(UnknownModel, match=f"^{begins}.*, beta .version 3.") as error:
            models.find("image-classification", version=version)
        assert "default" not in str(error.value)


def test_a_model_of_another_task_is_not_found(make: Make) -> None:
    models = Models(Lifecycle())
    models.serve([make("alpha", 1)])
    with pytest.raises(UnknownModel, match=r"^No model for text-classification is live\.$"):
        models.find("text-classification", "alpha")
    with pytest.raises(UnknownModel, match=r"^No model for translation is live\.$"):
        models.find_translator("en", "de", None, None)


def translator(name: str, version: int) -> LiveModel:
    """As much of one as the choice looks at; its name begins with its languages."""
    source, target = name.split("-")[:2]
    pair = SimpleNamespace(kind="translation", source=source, target=target)
    manifest = SimpleNamespace(task="translation", preprocessing=pair)
    return cast("LiveModel", SimpleNamespace(name=name, version=str(version), manifest=manifest))


@pytest.mark.parametrize(
    ("source", "name", "version", "found"),
    [
        (None, None, None, ("en-de-main", "2")),
        ("en", None, None, ("en-de-main", "2")),
        ("de", None, None, ("de-en-main", "3")),
        ("de", None, 3, ("de-en-main", "3")),
        ("en", None, 1, ("en-de-main", "1")),
        ("en", None, 7, ("en-de-other", "7")),
        (None, None, 1, ("en-de-main", "1")),
        ("en", "en-de-other", None, ("en-de-other", "7")),
    ],
)
def test_languages_and_version_choose_a_translator(
    source: str | None, name: str | None, version: int | None, found: tuple[str, str]
) -> None:
    names = (("de-en-main", 3), ("en-de-main", 1), ("en-de-main", 2), ("en-de-other", 7))
    models = Models(Lifecycle(), ["en-de-main"])
    models.serve([translator(*one) for one in names])
    chosen = models.find_translator(source, None, name, version)
    assert (chosen.name, chosen.version) == found


@pytest.mark.parametrize(
    ("source", "name", "version", "words"),
    [
        ("fr", None, None, "translates fr to any language; live are de to en, en to de"),
        ("fr", None, 3, "translates fr to any language"),
        ("de", "en-de-main", None, "translates de to any language"),
        ("de", None, 2, r"version 2; name one: live are de-en-main \(version 3\), en-de-main"),
        # of the default, whoever else has such a version
        (None, None, 3, "that is meant without a name has version 3; name one: live are de-en"),
        (None, None, 9, "^No live model for translation has version 9; live are de-en-main"),
        (None, "en-de-main", 9, "is called en-de-main version 9; live are de-en-main"),
    ],
)
def test_who_asks_for_a_translator_that_is_not_live_is_told_which_are(
    source: str | None, name: str | None, version: int | None, words: str
) -> None:
    models = Models(Lifecycle(), ["en-de-main"])
    models.serve([translator("de-en-main", 3), translator("en-de-main", 2)])
    with pytest.raises(UnknownModel, match=words):
        models.find_translator(source, None, name, version)


def test_the_states_go_only_forward() -> None:
    lifecycle = Lifecycle()
    assert lifecycle.state is State.STARTING
    with pytest.raises(NotReady):
        lifecycle.require_started()
    lifecycle.become_ready()
    lifecycle.require_ready()
    lifecycle.begin_drain()
    lifecycle.require_started()
    with pytest.raises(NotReady):
        lifecycle.require_ready()


def test_what_was_ready_cannot_become_so_again() -> None:
    lifecycle = Lifecycle()
    lifecycle.become_ready()
    lifecycle.begin_drain()
    lifecycle.become_ready()
    assert lifecycle.state is State.DRAINING


def test_a_signal_during_the_start_leaves_nothing_to_be_asked() -> None:
    lifecycle = Lifecycle()
    lifecycle.begin_drain()
    lifecycle.become_ready()
    assert lifecycle.state is State.DRAINING
    with pytest.raises(NotReady):
        lifecycle.require_started()
