"""The door to tracing: closed by default, and then without a price."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.tracing.otlp import OtlpTracing, traces_url
from service.tracing.start import TracingUnavailable, start_tracing

ROOT = Path(__file__).parents[2]


def test_without_an_endpoint_there_is_no_tracing() -> None:
    assert start_tracing("", "1.2.3") is None


def test_with_one_there_is() -> None:
    tracing = start_tracing("http://127.0.0.1:9", "1.2.3")
    assert isinstance(tracing, OtlpTracing)
    tracing.close(5.0)


def test_a_server_without_tracing_loads_nothing_of_it() -> None:
    program = (
        "import sys, service.app, service.tracing.start as start; start.start_tracing('', '1'); "
        "print(*[name for name in sys.modules if name.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter', 'requests', 'service.tracing.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["service.tracing.current", "service.tracing.start"]


def test_where_it_is_asked_for_and_not_installed_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "service.tracing.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(TracingUnavailable, match=r"docs/compose\.md#tracing says how"):
        start_tracing("http://127.0.0.1:9", "1.2.3")
    _, _, section = (ROOT / "docs" / "compose.md").read_text("utf-8").partition("\n## Tracing\n")
    assert "pip install --require-hashes -r requirements-tracing.lock" in section
    assert (ROOT / "requirements-tracing.lock").is_file()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://host.example/otlp/v1/traces", "https://host.example/otlp/v1/traces"),
    ],
)
def test_an_endpoint_may_be_the_receiver_or_its_path_for_traces(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url
