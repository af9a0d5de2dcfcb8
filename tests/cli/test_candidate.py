"""Settings files, as `slipway tune` writes and `slipway serve` reads them."""

from pathlib import Path

import pytest

from service.cli.candidate import read_settings, write_settings
from service.cli.errors import CommandFailed
from service.cli.tune import usual_knobs
from service.settings import Settings


def test_what_is_written_is_what_the_server_reads(tmp_path: Path) -> None:
    path = tmp_path / "slipway.toml"
    given = {
        "threads": 2,
        "max_queue_delay_ms": 1.5,
        "providers": ["cpu"],
        "strict": False,
        "models": str(tmp_path / 'a "quoted" folder'),
    }
    path.write_text(write_settings(given, "made by\ntune"))
    settings = Settings.load({"config": str(path)}, {})
    assert settings.threads == 2
    assert settings.max_queue_delay_ms == 1.5
    assert settings.providers == ("cpu",)
    assert not settings.strict
    assert settings.models == tmp_path / 'a "quoted" folder'
    assert read_settings(path) == given
    assert path.read_text().startswith("# made by\n# tune\n")


def test_a_folder_of_models_is_seen_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "slipway.toml"
    path.write_text('models = "zoo"\n')
    assert read_settings(path) == {"models": str(tmp_path / "zoo")}


def test_a_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "slipway.toml"
    path.write_text("threads 2")
    with pytest.raises(CommandFailed, match="cannot be read"):
        read_settings(path)


@pytest.mark.parametrize(("cores", "some"), [(1, [1]), (2, [1, 2]), (16, [1, 8, 16])])
def test_knobs_follow_the_cores(cores: int, some: list[int]) -> None:
    knobs = {knob.name: knob.values for knob in usual_knobs(cores, [])}
    assert knobs["threads"] == some
    assert knobs["workers"] == some


@pytest.mark.parametrize(
    ("task", "batching", "beyond"),
    [
        ("image-classification", "dynamic", ["max_batch_size"]),
        ("text-classification", "continuous", []),
        ("translation", "continuous", ["decode_slots"]),
    ],
)
def test_only_knobs_that_matter_to_the_models_are_turned(
    task: str, batching: str, beyond: list[str]
) -> None:
    knobs = usual_knobs(2, [{"task": task, "batching": batching}])
    assert [knob.name for knob in knobs] == ["workers", "threads", *beyond]
