"""The rule of the HorizontalPodAutoscaler, with the behaviour that the manifests ask for.

KEDA makes the metric external: a total, divided by the target. prometheus-adapter makes it one of
pods: their average, in which pods that are not ready or not yet scraped count with care.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

TOLERANCE = 0.1  # of kube-controller-manager: a ratio this near to 1 changes nothing
SYNC_S = 15.0  # of kube-controller-manager: how often it looks

Kind = Literal["keda", "hpa"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How far a fleet may go and how fast; the defaults are those of k8s/components."""

    least: int = 2
    most: int = 10
    up_percent: int = 100
    up_pods: int = 2
    up_period_s: float = 15.0
    down_pods: int = 1
    down_period_s: float = 60.0
    down_window_s: float = 300.0


def wanted_of_total(total: float, target: float, current: int) -> int:
    """Of an external metric with an AverageValue; `current` is the number of replicas."""
    if current and abs(total / (target * current) - 1.0) <= TOLERANCE:
        return current
    return math.ceil(total / target)


def wanted_of_pods(
    values: Mapping[int, float], missing: int, unready: int, target: float, current: int
) -> int:
    """Of a metric of pods: `values` by pod, of those that are ready and were scraped.

    Pods without a value weigh against the change: as if at the target when the fleet would shrink,
    as if idle when it would grow; a change that this turns round is not made.
    """
    if not values:
        return current
    ratio = sum(values.values()) / (len(values) * target)
    unready = unready if ratio > 1.0 else 0
    if not missing and not unready:
        return current if abs(ratio - 1.0) <= TOLERANCE else math.ceil(ratio * len(values))
    total = sum(values.values()) + (missing * target if ratio < 1.0 else 0.0)
    count = len(values) + missing + unready
    careful = total / (count * target)
    if abs(careful - 1.0) <= TOLERANCE or (ratio - 1.0) * (careful - 1.0) < 0.0:
        return current
    wanted = math.ceil(careful * count)
    return current if (wanted - current) * (careful - 1.0) < 0.0 else wanted


@dataclass(slots=True)
class Autoscaler:
    """Turns what the metrics want into what the Deployment gets, one look at a time."""

    behaviour: Behaviour
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(self, now_s: float, current: int, wanted: Sequence[int]) -> int:
        """The number of replicas from now on; the largest of several metrics counts."""
        rule = self.behaviour
        if not self._wanted:
            self._wanted.append((now_s, current))  # so the controller begins
        self._wanted.append((now_s, max(wanted)))
        while self._wanted[0][0] < now_s - rule.down_window_s:
            self._wanted.popleft()
        settled = max(wanted)
        if settled < current:
            settled = min(current, max(number for _, number in self._wanted))
        bounded = max(self._floor(now_s, current), min(self._ceiling(now_s, current), settled))
        chosen = max(rule.least, min(rule.most, bounded))
        if chosen != current:
            self._changes.append((now_s, chosen - current))
        return chosen

    def _ceiling(self, now_s: float, current: int) -> int:
        rule = self.behaviour
        began = current - self._changed(now_s - rule.up_period_s, +1)
        return max(math.ceil(began * (1.0 + rule.up_percent / 100.0)), began + rule.up_pods)

    def _floor(self, now_s: float, current: int) -> int:
        rule = self.behaviour
        return current + self._changed(now_s - rule.down_period_s, -1) - rule.down_pods

    def _changed(self, since_s: float, sign: int) -> int:
        """Pods that came (or went) after a moment; never below 0."""
        return sum(abs(n) for at_s, n in self._changes if at_s > since_s and n * sign > 0)
