"""What can be typed after `slipway bench` and `slipway tune`."""

import pytest

from service.cli import main
from service.cli.parser import make_parser


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["bench", "--rate", "0"], "a number above 0"),
        (["bench", "--rate", "5,x"], "'x' is not a number"),
        (["bench", "--clients", "0"], "a whole number above 0"),
        (["bench", "--clients", "1.5"], "a whole number above 0"),
        (["bench", "--share", "99"], "a share above 0"),
        (["bench", "--warm-up", "-1"], "seconds"),
        (["bench", "--shape", "1,3"], "INPUT:1,3,32,32"),
        (["bench", "--header", "x"], "NAME:VALUE"),
        (["bench", "--rate", "1", "--clients", "1"], "not allowed with"),
        (["tune", "--knob", "threads"], "SETTING=1,2,4"),
        (["tune", "--slo-ms", "inf"], "a number above 0"),
    ],
)
def test_what_makes_no_sense_is_told(
    typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(typed)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_values_are_read() -> None:
    words = ["bench", "--rate", "1,2.5", "--shape", "a:b:1,3", "--header", "A: b:c"]
    options = make_parser().parse_args(words)
    assert options.rate == [1.0, 2.5]
    assert options.shape == [("a:b", [1, 3])]
    assert options.header == [("A", "b:c")]
    tuned = make_parser().parse_args(["tune", "--knob", "max-batch-size=1,8"])
    assert tuned.knob == [("max_batch_size", [1, 8])]


@pytest.mark.parametrize("command", ["bench", "tune"])
def test_the_help_tells_that_few_lines_flatter(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "few lines flatter a server that was not started with --no-share-identical" in told
    assert make_parser().parse_args(["serve", "--no-share-identical"]).share_identical is False


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["bench", "--plot", "latency.png"], "SVG"),
        (["bench", "--url", "https://localhost"], "http://HOST:PORT"),
        (["bench", "--url", "http://127.0.0.1:9"], "is the server up"),
        (["bench", "--protocol", "oip"], "needs --model"),
        (["bench", "--task", "translate", "--data", "/no/such/file"], "no such file"),
        (["tune", "--knob", "nothing=1"], "no such setting"),
        (["tune", "--knob", "models=1"], "whole numbers"),
        (["tune", "--config", "/no/such/file"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    typed: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.cli.tune.candidate", None)  # before a server is started for it
    assert main(typed) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("slipway: ")
