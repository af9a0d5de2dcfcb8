"""The life of models: attempts to load them, which are ready, what exactly serves."""

from collections.abc import Sequence

from service.metrics.series import Maker

LOAD_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class LifeFamilies:
    """The series, for all models."""

    def __init__(self, make: Maker) -> None:
        self._loads = make.counter("model_loads", "Attempts to load a model.", "result")
        self._load_seconds = make.histogram(
            "model_load_duration_seconds", "Verify, open and warm up.", buckets=LOAD_BUCKETS
        )
        self.ready = make.gauge("model_ready", "1 while it takes requests.", "model", "version")
        self.info = make.gauge(
            "model_info",
            "What serves; always 1.",
            *("model", "version", "variant", "providers", "sha256"),
        )
        self.self_tests = make.gauge(
            "self_test_passed",
            "1 if the variant answers here as where it was published, 0 if it was refused.",
            *("model", "version", "variant", "provider"),
        )
        for result in ("ok", "failed"):
            self._loads.labels(result)

    def load_ended(self, *, ok: bool, seconds: float) -> None:
        """A model was loaded, or was found broken, `seconds` after the attempt began."""
        self._loads.labels("ok" if ok else "failed").inc()
        self._load_seconds.observe(seconds)


class LifeMetrics:
    """Those of one version of one model."""

    def __init__(self, families: LifeFamilies, model: str, version: str) -> None:
        self._families = families
        self._labels = (model, version)
        self._info_labels: tuple[str, ...] = ()
        self._tested: set[tuple[str, ...]] = set()
        self._ready = families.ready.labels(model, version)

    def loaded(self, *, variant: str, providers: Sequence[str], sha256: str) -> None:
        """Tell what serves: the variant, the providers that really run, the graph's digest."""
        self._info_labels = (*self._labels, variant, ",".join(providers), sha256)
        self._families.info.labels(*self._info_labels).set(1)

    def ready(self, is_ready: bool) -> None:
        """Whether this version takes requests."""
        self._ready.set(is_ready)

    def self_tested(self, *, variant: str, provider: str, passed: bool) -> None:
        """A variant was put through its self-test."""
        labels = (*self._labels, variant, provider)
        self._families.self_tests.labels(*labels).set(passed)
        self._tested.add(labels)

    def retired(self) -> None:
        """This version is no longer live."""
        while self._tested:
            self._families.self_tests.remove(*self._tested.pop())
        self._ready.set(0)
        if self._info_labels:
            self._families.info.remove(*self._info_labels)
            self._info_labels = ()
