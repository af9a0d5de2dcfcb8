"""The command as a user types it, on a table small enough for a second."""

import json
from pathlib import Path

import pytest

from bench.scaling.__main__ import main

TABLE = {
    "provider": "cpu",
    "workers": 2,
    "batches": [1, 32],
    "lengths": [1],
    "seconds": [[0.1, 1.6]],
    "shares": [1.0],
}


@pytest.fixture
def latencies(tmp_path: Path) -> Path:
    whole = {"machine": "m", "created": "now", "command": "c", "models": {"a": TABLE}}
    (tmp_path / "latency.json").write_text(json.dumps(whole))
    return tmp_path / "latency.json"


def test_more_replicas_are_dearer_and_refuse_less(
    latencies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    load = ["--trace", "steady", "--seconds", "60", "--json", str(out)]
    words = ["replicas", "--latencies", str(latencies), "--replicas", "1", "6", *load]
    assert main(words) == 0
    few, many = json.loads(out.read_text())["cases"]
    assert few["items"] == many["items"]
    assert few["unanswered"] > 0.1 > many["unanswered"] == 0.0
    assert few["p99_ms"] > many["p99_ms"]
    assert many["pod_hours"] == pytest.approx(6 * 60 / 3600, abs=0.006)
    assert "steady" in capsys.readouterr().out


def test_every_target_of_both_signals_is_tried_on_every_trace(
    latencies: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    words = ["targets", "--latencies", str(latencies), "--seconds", "30", "--json", str(out)]
    assert main([*words, "--targets", "0.5", "2"]) == 0
    found = json.loads(out.read_text())
    tried = {(case["signal"], case["trace"], case["value"]) for case in found["cases"]}
    assert len(tried) == len(found["cases"]) == 2 * 3 * 2
    assert found["settings"]["seed"] == 1


def test_a_peak_is_given_in_pods_or_in_items_a_second(latencies: Path, tmp_path: Path) -> None:
    counts = []
    for peak in (["--peak-pods", "2"], ["--rate", "60"]):
        out = tmp_path / "out.json"
        words = ["replicas", "--latencies", str(latencies), "--replicas", "2", "--seconds", "60"]
        main([*words, "--trace", "steady", "--json", str(out), *peak])
        counts.append(json.loads(out.read_text())["cases"][0]["items"])
    # 32 items in 1.6 s on each of two workers, of which 0.75 are reached: 30 a second and pod
    assert counts[0] == counts[1] == pytest.approx(60 * 60, rel=0.06)


def test_plots_are_drawn_of_many_cases_and_of_one(latencies: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ["replicas", "--latencies", str(latencies), "--seconds", "30", "--trace", "steady"]
    for replicas in (["1", "2"], ["2"]):
        picture = tmp_path / f"{len(replicas)}.svg"
        main([*words, "--replicas", *replicas, "--plot", str(picture)])
        assert picture.read_text().count("<path") > 10


def test_an_unknown_model_is_named_with_those_that_there_are(latencies: Path) -> None:
    with pytest.raises(SystemExit, match="has a, not b"):
        main(["replicas", "--latencies", str(latencies), "--model", "b"])


def test_help_teaches_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"bench.scaling {step}" in told for step in ("measure", "replicas", "targets"))
