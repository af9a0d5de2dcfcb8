"""Prometheus' own judgement of the rules, and their behaviour over days of made-up series."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.tree import PROMETHEUS, RULES, alerts, read_yaml

CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (apt-get install prometheus)"
)


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@needs_promtool
def test_the_configuration_is_accepted_with_its_rules() -> None:
    said = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert f"SUCCESS: {len(RULES)} rule files found" in said


@needs_promtool
@pytest.mark.parametrize("path", RULES, ids=lambda path: str(path.stem))
def test_the_rules_have_no_doubles_and_no_mistakes(path: Path) -> None:
    assert "duplicate" not in promtool("check", "rules", path)


@needs_promtool
@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.stem))
def test_rules_do_what_their_cases_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_is_shown_to_fire_and_to_stay_silent() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for path in CASES:
        for case in read_yaml(path)["tests"]:
            for asked in case.get("alert_rule_test", []):
                (fires if asked.get("exp_alerts") else silent).add(asked["alertname"])
    names = {alert["alert"] for alert in alerts()}
    assert fires == names
    assert silent == names
