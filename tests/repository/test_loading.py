"""What is told of a model while it is loaded."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.metrics import Metrics
from service.repository import loading
from service.repository.loading import load
from service.repository.options import LoadOptions
from tests.tiny_zoo import IMAGES, build

PRODUCER = b"\x1a\x06faster"  # the version of it, in the format of a ModelProto


@pytest.mark.parametrize("faster", [True, False])
def test_the_log_tells_that_a_graph_runs_in_another_form(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    faster: bool,
) -> None:
    def as_opened(manifest: object, graphs: Mapping[str, bytes], *_: object) -> Mapping[str, bytes]:
        return {role: graph + PRODUCER for role, graph in graphs.items()} if faster else graphs

    monkeypatch.setattr(loading, "as_opened", as_opened)
    caplog.set_level(logging.INFO, "slipway.repository")
    metrics = Metrics.create(CollectorRegistry())
    live = load(build(tmp_path).open(IMAGES), LoadOptions(workers=1), metrics)
    live.close(5.0)
    assert live.written_anew is faster
    told = [vars(record)["model"] for record in caplog.records if "AMX" in record.message]
    assert told == [IMAGES] * faster
