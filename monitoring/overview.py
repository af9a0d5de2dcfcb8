"""Is the service well, and if not, where? From what users see to why."""

from monitoring.board import INSTANCE, WINDOW, Board, Json, quantile
from monitoring.files import dashboard as whole
from monitoring.files import instances
from monitoring.machine import models, resources

HERE, R = INSTANCE, WINDOW
ASKING = 'endpoint=~"/v1/(classify|sentiment|translate)"'
STAGE = "slipway_stage_duration_seconds"
TO_RATIO = "* on (slo) group_left () slipway:slo_budget:ratio"


def dashboard() -> Json:
    """All rows."""
    board = Board()
    _service_level(board)
    _requests(board)
    _queue_and_batches(board)
    _stages(board)
    resources(board)
    models(board)
    question = "Is the service well, and if not, where?"
    return whole(board, "slipway-overview", "Slipway", question, [instances()])


def _service_level(b: Board) -> None:
    availability, latency = 'slo="availability"', 'slo="latency"'
    b.row("Service level, 30 days")
    b.stat(
        "Availability",
        "Share of valid requests that were answered. Objective: 99.5 %.",
        [(f"1 - slipway:slo_burn:rate30d{{{availability}}} {TO_RATIO}", "availability")],
        "percentunit",
        steps=(("red", None), ("green", 0.995)),
        decimals=3,
    )
    b.stat(
        "Error budget left",
        "What is left of 0.5 % errors. Below 0 the objective is missed.",
        [(f"1 - slipway:slo_burn:rate30d{{{availability}}}", "availability")],
        "percentunit",
        steps=(("red", None), ("green", 0)),
        decimals=1,
    )
    b.stat(
        "In time",
        "Share of answers within 0.25 s, translations within 2.5 s. Objective: 99 %.",
        [(f"1 - slipway:slo_burn:rate30d{{{latency}}} {TO_RATIO}", "{{endpoint}}")],
        "percentunit",
        12,
        steps=(("red", None), ("green", 0.99)),
        decimals=3,
    )
    b.lines(
        "Burn of the availability budget",
        "1 spends the budget in exactly 30 days; at 14.4 over 1 h and 5 min somebody is called.",
        [(f"slipway:slo_burn:rate{w}{{{availability}}}", w) for w in ("5m", "1h", "6h", "3d")],
        width=12,
        threshold=14.4,
    )
    b.lines(
        "Burn of the latency budget",
        "1 h windows, by endpoint.",
        [(f"slipway:slo_burn:rate1h{{{latency}}}", "{{endpoint}}")],
        width=12,
        threshold=14.4,
    )


def _requests(b: Board) -> None:
    asked = f"slipway_requests_total{{{HERE}, {ASKING}"
    unanswered = f'{asked}, outcome=~"shed|expired|failed|not_ready"}}'
    duration = "slipway_request_duration_seconds"
    b.row("Requests")
    b.lines(
        "Requests by endpoint",
        "Probes are left out.",
        [
            (
                f"sum by (endpoint) (rate(slipway_requests_total{{{HERE}, "
                f'endpoint!~"/livez|/readyz|/metrics"}}[{R}]))',
                "{{endpoint}}",
            )
        ],
        "reqps",
        stack=True,
    )
    b.lines(
        "Requests by outcome",
        "Of the endpoints that ask a model.",
        [(f"sum by (outcome) (rate({asked}}}[{R}]))", "{{outcome}}")],
        "reqps",
        stack=True,
    )
    b.lines(
        "Not answered",
        "Share of all requests that ended as shed, expired, failed or not ready.",
        [
            (
                f"sum by (endpoint) (rate({unanswered}[{R}])) "
                f"/ sum by (endpoint) (rate({asked}}}[{R}]))",
                "{{endpoint}}",
            )
        ],
        "percentunit",
        most=1,
    )
    answered = f'{HERE}, {ASKING}, outcome="ok"'
    b.lines(
        "Duration",
        "First byte in to last byte out, of answers. Points are single requests with a trace.",
        [
            (quantile(q, duration, answered, "endpoint"), f"{{{{endpoint}}}} p{q * 100:.0f}")
            for q in (0.5, 0.95, 0.99)
        ],
        "s",
        12,
    )
    b.heat(
        "Duration, all of it",
        "Requests that ask a model, whatever they end in, by how long they took.",
        f"sum by (le) (increase({duration}_bucket{{{HERE}, {ASKING}}}[{R}]))",
        "s",
    )


def _queue_and_batches(b: Board) -> None:
    executions = f"sum by (model) (rate(slipway_executions_total{{{HERE}}}[{R}]))"
    inferences = f"sum by (model) (rate(slipway_inferences_total{{{HERE}}}[{R}]))"
    waits = f'{HERE}, stage="queue"'
    b.row("Queue and batches")
    b.lines(
        "Queue: level",
        "Share of the places and of the predicted time that is taken. At 1, more bulk is answered "
        "429; interactive items once they alone are so many.",
        [
            (
                f"slipway_queue_depth{{{HERE}}} / slipway_queue_limit{{{HERE}}}",
                "{{model}} {{instance}}",
            ),
            (
                f"slipway_estimated_queue_seconds{{{HERE}}} "
                f"/ slipway_queue_limit_seconds{{{HERE}}}",
                "{{model}} {{instance}} by time",
            ),
        ],
        "percentunit",
        most=2,
        threshold=0.8,
    )
    b.lines(
        "Queue: wait",
        "How long items waited for their batch, and how long the next one is predicted to.",
        [
            *(
                (quantile(q, STAGE, waits, "model"), f"{{{{model}}}} p{q * 100:.0f}")
                for q in (0.5, 0.95)
            ),
            (f"max by (model) (slipway_estimated_queue_seconds{{{HERE}}})", "{{model}} predicted"),
        ],
        "s",
    )
    b.lines(
        "In flight",
        "Requests that have no answer yet.",
        [(f"slipway_inflight_requests{{{HERE}}}", "{{instance}}")],
    )
    b.lines(
        "Items by outcome",
        "What a request is made of: a text has an item a sentence.",
        [(f"sum by (outcome) (rate(slipway_items_total{{{HERE}}}[{R}]))", "{{outcome}}")],
        "ops",
        stack=True,
    )
    b.lines(
        "Batch size, mean",
        "Items that ran together. 1 means that nobody had to wait.",
        [(f"{inferences} / {executions}", "{{model}}")],
    )
    b.lines(
        "Batches a second",
        "Runs of a model in a second.",
        [(executions, "{{model}}")],
        "ops",
    )


def _stages(b: Board) -> None:
    total = f"sum by (model, stage) (rate({STAGE}_sum{{{HERE}}}[{R}]))"
    count = f"sum by (model, stage) (rate({STAGE}_count{{{HERE}}}[{R}]))"
    working = f'{STAGE}_sum{{{HERE}, stage!="queue"}}'
    b.row("Stages")
    b.lines(
        "Time by stage",
        "Mean number of worker threads in each stage: what the CPU is spent on.",
        [(f"sum by (stage) (rate({working}[{R}]))", "{{stage}}")],
        stack=True,
    )
    b.lines(
        "Busy workers",
        "Worker threads that compute at the moment of the scrape.",
        [(f"sum by (model) (slipway_busy_workers{{{HERE}}})", "{{model}}")],
        stack=True,
    )
    b.lines(
        "Time in a stage, mean",
        "The queue by item, the other stages by batch.",
        [(f"{total} / ({count} > 0)", "{{model}} {{stage}}")],
        "s",
    )
