"""Spans for requests, their wait, their batches and what was done in them, sent by OTLP.

Optional and off by default. Only `otlp`, `requests` and `batches` import OpenTelemetry, and only
`start_tracing` imports those, so that a server without tracing pays nothing for it. What is not
told by a setting is told by OpenTelemetry's own variables: OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS and others.
"""
