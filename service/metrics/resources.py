"""What the process may use, and how often it was held back: read when somebody asks."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from service.cgroup import CpuLimit, cpu_limit, memory_limit


class Resources(Collector):
    """The limits of our control groups; a limit that does not exist has no series."""

    def __init__(
        self,
        registry: CollectorRegistry,
        cpu: Callable[[], CpuLimit | None] = cpu_limit,
        memory: Callable[[], int | None] = memory_limit,
    ) -> None:
        self._cpu = cpu
        self._memory = memory
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing in advance: what there is may differ from scrape to scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of this moment."""
        cpu, memory = self._cpu(), self._memory()
        if memory is not None:
            yield GaugeMetricFamily(
                "slipway_memory_limit_bytes", "Memory at which the kernel ends us.", memory
            )
        if cpu is None:
            return
        throttling = cpu.throttling
        yield GaugeMetricFamily("slipway_cpu_quota_cores", "CPUs that the quota allows.", cpu.cpus)
        yield CounterMetricFamily(
            "slipway_cpu_periods", "Periods in which the quota was counted.", throttling.periods
        )
        yield CounterMetricFamily(
            "slipway_cpu_throttled_periods",
            "Periods in which the quota was used up.",
            throttling.throttled_periods,
        )
        yield CounterMetricFamily(
            "slipway_cpu_throttled_seconds",
            "Time that threads were held back, summed over CPUs.",
            throttling.throttled_s,
        )
