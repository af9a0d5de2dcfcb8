"""What a person may choose about a run, whatever the model."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from export.networks.kinds import IMAGE_KINDS, TEXT_KINDS, ImageKind, TextKind
from model_zoo.manifest import DatasetSource, Task

RUN_FILE, CHECKPOINT_FILE = "run.json", "checkpoint.pt"

MOST_STRETCHED = 8
USUAL_NAMES: dict[Task, str] = {
    "image-classification": "cifar10-resnet",
    "text-classification": "reviews-lstm",
    "translation": "{}-{}-transformer",
}


class OtherRun(Exception):
    """The work folder holds a run on other data or with other options."""


@dataclass(frozen=True)
class Options:
    """`models` is the catalog to publish into, `work` holds checkpoints that resume.

    data: the user's own data, or None for the recipe's public data sets. quick: a tiny version on
    a few hundred rows, with lower gates. epochs: None for the recipe's own number. origin: the
    published model or checkpoint whose weights a network begins with. rate: share of the usual
    learning rates that those weights move at, None for the recipe's own. teachers: published models
    or checkpoints whose answers an image network learns from. vocabulary: tokens that a translator
    knows, None for the recipe's own number or the vocabulary of `origin`. *_network: the kind of
    network, None for the recipe's own or that of `origin`. half: publish a variant in half
    precision too.
    """

    models: Path
    work: Path
    data: Path | None = None
    name: str | None = None
    quick: bool = False
    epochs: int | None = None
    seed: int = 1
    threads: int = 0
    fresh: bool = False
    languages: tuple[str, str] = ("en", "de")
    targets: Path | None = None
    vocabulary: int | None = None
    origin: str | None = None
    rate: float | None = None
    teachers: tuple[str, ...] = ()
    image_network: ImageKind | None = None
    text_network: TextKind | None = None
    half: bool = False

    def name_for(self, task: Task) -> str:
        """The model's name: the one asked for, else that of Slipway's own model for this task."""
        return self.name or USUAL_NAMES[task].format(*self.languages)

    def epochs_for(self, rows: int, *, usual_rows: int, usual: int) -> int:
        """As many as were asked for, else the recipe's usual ones; more for few rows, so that a
        network still makes about as many steps."""
        return self.epochs or usual * min(MOST_STRETCHED, max(1, usual_rows // max(rows, 1)))

    def folder(self, name: str) -> Path:
        """Where this model's checkpoints live."""
        return self.work / name

    def has_checkpoint(self, name: str) -> bool:
        """Whether an earlier run left its network here."""
        return (self.folder(name) / CHECKPOINT_FILE).is_file()

    def start(self, name: str) -> None:
        """Forget an earlier run where that was asked for, before anything is read from it."""
        if self.fresh and self.folder(name).is_dir():
            shutil.rmtree(self.folder(name))

    def as_claimed(self, name: str) -> "Options":
        """With the beginning, rate and kind of network that the run in the work folder has."""
        note = self.folder(name) / RUN_FILE
        if not note.is_file():
            return self
        facts = json.loads(note.read_text())
        kind = facts["network"]
        return replace(
            self,
            origin=facts["origin"],
            rate=facts.get("rate"),
            vocabulary=facts.get("vocabulary"),
            teachers=tuple(facts.get("teachers", ())),
            image_network=next((known for known in IMAGE_KINDS if known == kind), None),
            text_network=next((known for known in TEXT_KINDS if known == kind), None),
        )

    def claim(self, name: str, sources: Sequence[DatasetSource]) -> None:
        """Note what this run learns from, so that no later one goes on from it by mistake.

        A network that has seen other rows may have seen those that would now test it. Raises
        OtherRun.
        """
        facts = {
            "data": [source.sha256 for source in sources],
            "languages": self.languages,
            "quick": self.quick,
            "seed": self.seed,
            "origin": self.origin,
            "rate": self.rate,
            "vocabulary": self.vocabulary,
            "teachers": self.teachers,
            "network": self.image_network or self.text_network,
        }
        note, text = self.folder(name) / RUN_FILE, json.dumps(facts, indent=2) + "\n"
        # older notes tell none of these
        untold: dict[str, object] = {"rate": None, "vocabulary": None, "teachers": []}
        if note.exists() and untold | json.loads(note.read_text()) != json.loads(text):
            raise OtherRun(
                f"{self.folder(name)} holds a run on other data or with other options: "
                f"start over with --fresh, or choose another --name or --work"
            )
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(text)
