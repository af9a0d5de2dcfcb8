"""Standard output is for what the command made; all talk goes to standard error."""

import pytest

from export.console import Story
from export.datasets.progress import show_if_slow
from export.progress import TrainingProgress


def test_a_story_is_told_with_its_title_and_the_seconds_since_its_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Story("reviews").say("all is well")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "[    0.0 s] reviews: all is well\n"


def test_slow_reading_says_nothing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(show_if_slow(range(5), "Reading", 5, patience_s=-1.0)) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().out == ""


def test_training_reports_every_epoch_in_a_line_where_no_one_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with TrainingProgress("images", 10) as bar:
        bar.update(1, loss=2.0)
        bar.update(2, loss=1.0)
        bar.report({"epoch": 1.0, "accuracy": 0.75})
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "images: epoch 1  accuracy 0.75\n"
