"""Which models are live, and which of them a request means."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from model_zoo.manifest import Task
from service.errors import UnknownModel
from service.repository.lifecycle import Lifecycle
from service.repository.live import ServedModel


@dataclass(frozen=True, slots=True)
class BrokenModel:
    """A published model that could not be loaded, and why; the reason is safe to show."""

    name: str
    version: str
    reason: str


def precedence(name: str, version: int, defaults: Collection[str]) -> tuple[bool, str, int]:
    """Sorts models of one task: the first is asked where a request names none."""
    return name not in defaults, name, -version


class Models:
    """The live models. A task's default is the one in `defaults`, or else the first by name."""

    def __init__(self, lifecycle: Lifecycle, defaults: Collection[str] = ()) -> None:
        self.lifecycle = lifecycle
        self.live: tuple[ServedModel, ...] = ()
        self.broken: tuple[BrokenModel, ...] = ()
        self._defaults = frozenset(defaults)
        self._index: dict[tuple[Task, str | None, int | None], ServedModel] = {}
        self._only: dict[Task, ServedModel] = {}
        self._ranked: tuple[ServedModel, ...] = ()

    def serve(self, live: Iterable[ServedModel], broken: Iterable[BrokenModel] = ()) -> None:
        """From now on these models answer."""
        self.live = tuple(sorted(live, key=lambda model: (model.name, -int(model.version))))
        self.broken = tuple(broken)
        self._ranked = tuple(sorted(self.live, key=self._precedence))
        self._index = {}
        for model in self.live:
            task, version = model.manifest.task, int(model.version)
            self._index[task, model.name, version] = model
            # The newest version of a name comes first, and the first is kept.
            self._index.setdefault((task, model.name, None), model)
        for model in self._ranked:
            self._index.setdefault((model.manifest.task, None, None), model)
        self._only = {}
        for model in self.live:
            others = [other for other in self.live if other.manifest.task == model.manifest.task]
            if others == [model]:
                self._only[model.manifest.task] = model

    def only(self, task: Task) -> ServedModel | None:
        """The one live model for this task; None where a request can choose."""
        return self._only.get(task)

    def default(self, task: Task) -> ServedModel | None:
        """Who answers a request that names no model, no version and no language, if anybody."""
        return self._index.get((task, None, None))

    def find(self, task: Task, name: str | None = None, version: int | None = None) -> ServedModel:
        """The live model that is meant; UnknownModel says which there are."""
        found = self._index.get((task, name, version))
        if found is None and name is None and version is not None:
            default = self.find(task)
            found = self._index.get((task, default.name, version))
        if found is None:
            raise UnknownModel(self._explain(task, name, version))
        return found

    def find_translator(
        self, source: str | None, target: str | None, name: str | None, version: int | None
    ) -> ServedModel:
        """The live translator for this pair of languages; None leaves the choice to us."""

        def suits(model: ServedModel) -> bool:
            pair = model.manifest.preprocessing
            return (
                pair.kind == "translation"
                and source in (None, pair.source)
                and target in (None, pair.target)
            )

        able = [model for model in self._ranked if suits(model)]
        says_no_language = source is target is None
        if name is not None or (says_no_language and version is not None):
            found = self.find("translation", name, version)
            able = [found] if found in able else []
        if not able and not self._all("translation"):
            raise UnknownModel(self._explain("translation", name, version))
        if not able:
            raise UnknownModel(
                f"No live model translates {source or 'any language'} to "
                f"{target or 'any language'}; live are {self._pairs()}."
            )
        for model in able:
            if version in (None, int(model.version)):
                return model
        raise UnknownModel(self._explain("translation", name, version))

    def is_default(self, model: ServedModel) -> bool:
        """Whether a request that names no model is answered by this one."""
        return self.default(model.manifest.task) is model

    def names(self, wanted: Callable[[ServedModel], bool] = lambda model: True) -> str:
        """The live models as a list to read."""
        return (
            ", ".join(f"{m.name} (version {m.version})" for m in self.live if wanted(m)) or "none"
        )

    def _precedence(self, model: ServedModel) -> tuple[bool, str, int]:
        return precedence(model.name, int(model.version), self._defaults)

    def _pairs(self) -> str:
        pairs = (model.manifest.preprocessing for model in self.live)
        return ", ".join(f"{p.source} to {p.target}" for p in pairs if p.kind == "translation")

    def _all(self, task: Task) -> list[ServedModel]:
        return [model for model in self.live if model.manifest.task == task]

    def _explain(self, task: Task, name: str | None, version: int | None) -> str:
        candidates = self._all(task)
        if not candidates:
            return f"No model for {task} is live."
        live = self.names(lambda model: model in candidates)
        if name is not None:
            asked = name if version is None else f"{name} version {version}"
            return f"No live model for {task} is called {asked}; live are {live}."
        if any(int(model.version) == version for model in candidates):  # but another is asked
            return (
                f"No live model for {task} that is meant without a name has version {version}; "
                f"name one: live are {live}."
            )
        return f"No live model for {task} has version {version}; live are {live}."
