"""Two replicas behind a real proxy: one of them is restarted, and no client notices."""

from pathlib import Path

import pytest

from bench.proxy import find_nginx
from bench.proxy_restart import restart_under_load

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(find_nginx() is None, reason="needs nginx (apt-get install nginx-light)"),
]


@pytest.mark.parametrize("pre_drain_s", [0.0, 0.5])
def test_no_request_fails_while_one_of_two_replicas_is_restarted(
    tiny_models: Path, pre_drain_s: float
) -> None:
    report = restart_under_load(tiny_models, seconds=3.0, clients=8, pre_drain_s=pre_drain_s)
    assert report.restarts >= 1
    assert report.requests > 100
    assert (report.failed, report.statuses) == (0, {200: report.requests})
    assert set(report.exit_codes) == {0}
