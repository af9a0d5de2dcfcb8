"""Opens a model's graphs and gives the runner that its manifest calls for."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from model_zoo.manifest import Manifest, Provider, Role
from model_zoo.preprocessing import ImageInput, TextInput
from service.runtime.cohort_generator import CohortGenerator
from service.runtime.convolutions import for_tiles
from service.runtime.errors import EngineError
from service.runtime.forward import ImageForward, TextForward
from service.runtime.generate import Generator
from service.runtime.optimum import OptimumGraphs
from service.runtime.providers import cpu_features
from service.runtime.reading import TextReader
from service.runtime.session import Abort, Session, open_session
from service.runtime.slot_decoder import DEFAULT_SLOTS

# Runners with an `open_decoder`: their items come and go between steps.
Translator = Generator | CohortGenerator


class Runner(Protocol):
    """A batch of features in, as the model's task makes them; as many rows out, in order.

    Thread-safe. Rows are float32 logits [K], or (ids, score, finished) for a translation.
    """

    @property
    def placement(self) -> Mapping[str, int]:
        """Nodes of the graphs by the execution provider that really runs them."""
        ...

    def check(self, features: Any) -> None:
        """Raise InvalidInput for one item's features that would fail a whole batch."""
        ...

    def run(self, features: Sequence[Any], abort: Abort | None = None) -> Sequence[Any]:
        """Raises InvalidInput, InferenceFailed, or Cancelled once `abort` is set."""
        ...

    def close(self) -> None:
        """Free what the runner holds beyond its sessions."""
        ...


def make_runner(
    manifest: Manifest,
    graphs: Mapping[Role, bytes],
    *,
    providers: Sequence[Provider] = ("cpu",),
    threads: int = 1,
    strict: bool = False,
    slots: int = DEFAULT_SLOTS,
    features: Collection[str] | None = None,
) -> Runner:
    """Load the graphs, `threads` intra-op threads each, and check them against the manifest.

    `slots` is the number of rows that a translation decodes at once in each calling thread;
    `features` is what this CPU can do, by default as `cpu_features` finds.
    Raises an EngineError that names the model and the graph.
    """
    features = cpu_features() if features is None else features
    written = as_opened(manifest, graphs, providers[0], features)
    try:
        return _open(manifest, written, providers, threads, strict, slots)
    except EngineError as error:
        raise type(error)(f"{manifest.name}/{manifest.version}: {error}") from error


def as_opened(
    manifest: Manifest,
    graphs: Mapping[Role, bytes],
    provider: Provider,
    features: Collection[str],
) -> Mapping[Role, bytes]:
    """The graphs as `make_runner` opens them: other ones where that is faster on such a CPU."""
    if "amx" in features and provider == "cpu" and isinstance(manifest.preprocessing, ImageInput):
        return {role: for_tiles(graph) for role, graph in graphs.items()}
    return graphs


def _open(
    manifest: Manifest,
    graphs: Mapping[Role, bytes],
    providers: Sequence[Provider],
    threads: int,
    strict: bool,
    slots: int,
) -> Runner:
    sessions: dict[Role, Session] = {}
    for role, graph in graphs.items():
        if role == "model" and "reader" in graphs:
            continue  # the same network in one piece, for whoever runs it elsewhere
        try:
            sessions[role] = open_session(
                graph, providers=providers, threads=threads, strict=strict
            )
        except EngineError as error:
            raise type(error)(f"{role} graph: {error}") from error
    spec = manifest.preprocessing
    if isinstance(spec, ImageInput):
        return ImageForward(sessions["model"], manifest, spec)
    if isinstance(spec, TextInput):
        if "reader" in sessions:
            return TextReader(sessions["reader"], sessions["head"], manifest, spec)
        return TextForward(sessions["model"], manifest, spec)
    if spec.optimum is not None:
        return CohortGenerator(OptimumGraphs(sessions, spec), spec, slots)
    return Generator(
        sessions["encoder"], sessions["decoder"], spec, slots, sessions.get("shortlist")
    )
