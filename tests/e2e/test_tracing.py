"""The real process draws its spans for a real receiver of OTLP, in this test's own process."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.conftest import running

pytestmark = pytest.mark.e2e

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


class Receiver:
    """Takes OTLP over HTTP, and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        spans, services = self.spans, self.services

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                for found in ExportTraceServiceRequest.FromString(body).resource_spans:
                    services.update(
                        pair.value.string_value
                        for pair in found.resource.attributes
                        if pair.key == "service.name"
                    )
                    for scope in found.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


@pytest.mark.parametrize("processes", [(), ("--front-ends", "1")], ids=["one", "two"])
def test_a_request_can_be_followed_from_its_client_into_its_batch_and_back(
    tmp_path: Path, tiny_models: Path, processes: tuple[str, ...]
) -> None:
    options = ("--models", str(tiny_models), *processes)
    with (
        receiving() as receiver,
        running(tmp_path / "home", *options, "--tracing-endpoint", receiver.url) as server,
    ):
        answer = server.client.post("/v1/sentiment", json={"text": "What a film!"}, headers=SAMPLED)
        translated = server.client.post("/v1/translate", json={"text": "A dog. A cat."})
        listed = server.client.get("/v1/models", headers=SAMPLED)
        refused = server.client.post("/v1/sentiment", json={"text": 1}, headers=SAMPLED)
        page = server.client.get("/metrics", headers=OPENMETRICS).text
        assert server.stop() == 0
    assert [a.status_code for a in (answer, translated, listed, refused)] == [200, 200, 200, 422]
    assert receiver.services == {"slipway"}
    _check_sentiment(receiver, answer)
    _check_translation(receiver, translated)
    assert [span.parent_span_id.hex() for span in receiver.named("GET /v1/models")] == [PARENT]
    assert listed.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert f'trace_id="{TRACE}"' in page
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    served = {line["path"]: line["trace_id"] for line in lines if line["message"] == "request"}
    assert served["/v1/sentiment"] == served["/v1/models"] == TRACE
    assert served["/v1/translate"] == translated.headers["traceparent"].split("-")[1]


def _check_sentiment(receiver: Receiver, answer: httpx.Response) -> None:
    request, refused = receiver.named("POST /v1/sentiment")
    assert {request.trace_id.hex(), refused.trace_id.hex()} == {TRACE}
    assert request.parent_span_id.hex() == PARENT
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.span_id.hex()}-01"
    (queue,) = [span for span in receiver.named("queue") if span.parent_span_id == request.span_id]
    (batch,) = [span for span in receiver.named("batch") if span.span_id == queue.links[0].span_id]
    assert [link.span_id for link in batch.links] == [request.span_id]
    assert batch.trace_id != request.trace_id
    inside = [span.name for span in receiver.spans if span.parent_span_id == batch.span_id]
    assert inside == ["tokenize", "inference", "postprocess"]
    assert request.start_time_unix_nano <= queue.start_time_unix_nano
    assert queue.end_time_unix_nano <= batch.end_time_unix_nano <= request.end_time_unix_nano


def _check_translation(receiver: Receiver, answer: httpx.Response) -> None:
    (request,) = receiver.named("POST /v1/translate")
    assert answer.headers["traceparent"].split("-")[2] == request.span_id.hex()
    batches = [s for s in receiver.named("batch") if s.links[0].span_id == request.span_id]
    assert batches
    inside = {span.span_id for span in batches}
    decoded = [s for s in receiver.named("inference") if s.parent_span_id in inside]
    assert len(decoded) == 2, "one a sentence"


def test_a_receiver_that_is_gone_costs_no_answer_and_no_long_goodbye(
    tmp_path: Path, tiny_models: Path
) -> None:
    options = ("--models", str(tiny_models), "--tracing-endpoint", "http://127.0.0.1:9")
    with running(tmp_path / "home", *options) as server:
        for _ in range(3):
            assert server.client.post("/v1/sentiment", json={"text": "a"}).status_code == 200
        server.signal()
        assert server.process.wait(timeout=12.0) == 0
