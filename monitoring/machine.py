"""The rows about the machine and what is loaded on it."""

from monitoring.board import INSTANCE, WINDOW, Board, quantile

HERE, R = INSTANCE, WINDOW
SLIPWAY = f'job="slipway", {HERE}'


def resources(b: Board) -> None:
    """CPU, memory, the event loop and files."""
    throttled, periods = "slipway_cpu_throttled_periods_total", "slipway_cpu_periods_total"
    b.row("Resources")
    b.lines(
        "CPU",
        "Cores that the process keeps busy, and the quota where there is one.",
        [
            (f"rate(process_cpu_seconds_total{{{SLIPWAY}}}[{R}])", "{{instance}}"),
            (f"slipway_cpu_quota_cores{{{HERE}}}", "quota of {{instance}}"),
        ],
    )
    b.lines(
        "CPU: held back",
        "Share of the quota's periods in which it was used up. Empty without a quota.",
        [(f"rate({throttled}{{{HERE}}}[{R}]) / rate({periods}{{{HERE}}}[{R}])", "{{instance}}")],
        "percentunit",
        most=1,
        threshold=0.25,
    )
    b.lines(
        "Memory",
        "Resident memory, and the limit where there is one.",
        [
            (f"process_resident_memory_bytes{{{SLIPWAY}}}", "{{instance}}"),
            (f"slipway_memory_limit_bytes{{{HERE}}}", "limit of {{instance}}"),
        ],
        "bytes",
    )
    b.lines(
        "CPU: time held back",
        "Seconds that threads stood still in each second, summed over CPUs.",
        [(f"rate(slipway_cpu_throttled_seconds_total{{{HERE}}}[{R}])", "{{instance}}")],
        "s",
    )
    b.lines(
        "Event loop lag",
        "99 % of the time the loop wakes up its sleepers within this.",
        [(quantile(0.99, "slipway_event_loop_lag_seconds", HERE, "instance"), "{{instance}}")],
        "s",
        threshold=0.1,
    )
    b.lines(
        "Open files",
        "Sockets are files too.",
        [
            (f"process_open_fds{{{SLIPWAY}}}", "{{instance}}"),
            (f"process_max_fds{{{SLIPWAY}}}", "limit of {{instance}}"),
        ],
    )


def models(b: Board) -> None:
    """Models, versions and builds."""
    seconds = "slipway_model_load_duration_seconds"
    b.row("Models and versions")
    b.stat(
        "Models ready",
        "Versions of models that take requests.",
        [(f"sum(slipway_model_ready{{{HERE}}})", "ready")],
        "none",
    )
    b.stat(
        "Loads that failed",
        "Since the process started.",
        [(f'sum(slipway_model_loads_total{{{HERE}, result="failed"}})', "failed")],
        "none",
        steps=(("green", None), ("red", 1)),
    )
    b.stat(
        "Mean load time",
        "Verify, open and warm up.",
        [(f"sum({seconds}_sum{{{HERE}}}) / sum({seconds}_count{{{HERE}}})", "load")],
        "s",
    )
    b.stat(
        "Running for",
        "Since the start of the process.",
        [(f"time() - process_start_time_seconds{{{SLIPWAY}}}", "{{instance}}")],
        "s",
    )
    b.table("What serves", "Every live version of a model.", f"slipway_model_info{{{HERE}}}", 16)
    b.table("Builds", "Which Slipway runs where.", f"slipway_build_info{{{HERE}}}", 8)
