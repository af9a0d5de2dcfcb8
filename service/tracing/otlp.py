"""Everything behind `start_tracing`: samplers, the exporter, and their end."""

from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from service.metrics.model import ModelFamilies
from service.tracing.batches import TracedModelMetrics
from service.tracing.requests import OtelRequests

PATH = "/v1/traces"


class OtlpTracing:
    """Two sources of spans with one way out.

    Requests are sampled as OTEL_TRACES_SAMPLER says, by default all that their client samples. What
    belongs to a sampled request is always drawn: were a batch sampled by itself, most would lack.
    """

    def __init__(self, processor: SpanProcessor, version: str) -> None:
        named = Resource({"service.name": "slipway", "service.version": version})
        resource = named.merge(OTELResourceDetector().detect())
        requests = TracerProvider(resource=resource, shutdown_on_exit=False)
        inside = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        for provider in (requests, inside):
            provider.add_span_processor(processor)
        self._processor = processor
        self._inside = inside
        self.requests = OtelRequests(requests)

    def model_metrics(self, families: ModelFamilies, name: str, version: str) -> TracedModelMetrics:
        """What a model reports to, in the place of plain metrics."""
        return TracedModelMetrics(families, name, version, self._inside)

    def close(self, timeout_s: float) -> None:
        """Send what is left, for `timeout_s` at most; blocks."""
        ending = Thread(target=self._processor.shutdown, name="tracing-end", daemon=True)
        ending.start()
        ending.join(timeout_s)


def open_tracing(endpoint: str, version: str) -> OtlpTracing:
    """Send spans to the OTLP receiver at `endpoint`, over HTTP."""
    return OtlpTracing(BatchSpanProcessor(OTLPSpanExporter(endpoint=traces_url(endpoint))), version)


def traces_url(endpoint: str) -> str:
    """Where spans go at this receiver: http://host:4318 becomes http://host:4318/v1/traces."""
    bare = endpoint.rstrip("/")
    return bare if bare.endswith(PATH) else bare + PATH
