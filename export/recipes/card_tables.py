"""Tables of a model card: figures by class and by length, and examples of our own with the answers
that the model really gives."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from export.calibration import Labels
from export.candidate import Candidate
from export.golden import png
from export.plots import LengthBin
from export.report import Table
from model_zoo.manifest import Precision
from service.tasks.base import TranslationText

SIDE = 64
OPINIONS = (
    ("negative", "Not one of the jokes made me laugh, and there were hundreds."),
    ("negative", "Oh great, another three hours of my life that I will never get back."),
    ("positive", "I expected to hate it. I was wrong."),
    ("negative", "The actors are brilliant, the music is lovely, and yet I fell asleep twice."),
    ("positive", "No film this year was less boring."),
    ("negative", "It insists on being clever and never is."),
    ("positive", "My kettle arrived on time and boils water quickly."),
    ("negative", "If you like watching paint dry, this is your film of the year."),
    ("positive", "Bad? It is anything but bad."),
)
SENTENCES = (
    ("Good morning, how are you?", "Guten Morgen, wie geht es Ihnen?"),
    (
        "A man in a blue shirt is standing on a ladder.",
        "Ein Mann in einem blauen Hemd steht auf einer Leiter.",
    ),
    ("Where is the nearest railway station?", "Wo ist der nächste Bahnhof?"),
    ("It was raining cats and dogs.", "Es regnete in Strömen."),
    (
        "My doctor prescribed antibiotics for the infection.",
        "Mein Arzt hat gegen die Infektion Antibiotika verschrieben.",
    ),
    (
        "The committee postponed its decision on the budget.",
        "Der Ausschuss vertagte seine Entscheidung über den Haushalt.",
    ),
    (
        "Ms Okonkwo moved to Wuppertal on 14 March 2019.",
        "Frau Okonkwo zog am 14. März 2019 nach Wuppertal.",
    ),
    ("I never said that she had not paid.", "Ich habe nie gesagt, dass sie nicht bezahlt hat."),
    ("Mitochondria supply the cell with energy.", "Mitochondrien versorgen die Zelle mit Energie."),
)


def served(candidate: Candidate) -> Precision:
    """The variant that a CPU serves, whose answers the card shows."""
    return "int8" if "int8" in candidate.graphs else "fp32"


def by_class(names: Sequence[str], labels: Labels, chosen: Labels, note: str) -> Table:
    """How many of each class are found, how often its name is right, what it is taken for."""
    rows = []
    for place, name in enumerate(names):
        mine, named = labels == place, chosen == place
        wrong = np.bincount(chosen[mine & ~named], minlength=len(names))
        rows.append(
            (
                name,
                f"{mine.sum():,}",
                _percent(int((mine & named).sum()), int(mine.sum())),
                _percent(int((mine & named).sum()), int(named.sum())),
                f"{names[int(wrong.argmax())]} ({wrong.max():,})" if wrong.any() else "",
            )
        )
    heading = ("Class", "Items", "Found", "Right where named", "Most often taken for")
    return Table("By class", heading, rows, note)


def by_length(bins: Sequence[LengthBin], metric: str, unit: str, note: str) -> Table:
    """The same figures as in the plot."""
    rows = [(one.title, f"{one.items:,}", f"{one.score:.1f}") for one in bins]
    return Table("By length", (f"Length, {unit}", "Items", metric), rows, note)


def opinion_examples(candidate: Candidate) -> Table | None:
    """Texts written to mislead; None for a model with other labels."""
    if set(candidate.manifest.labels) != {"negative", "positive"}:
        return None
    found = candidate.open(served(candidate)).predict([text for _, text in OPINIONS])
    rows = [
        (
            text,
            truth,
            f"{one.label} ({one.score:.2f})",
            _doubt(one.uncertain),
            _mark(one.label, truth),
        )
        for (truth, text), one in zip(OPINIONS, found, strict=True)
    ]
    return Table(
        "Known failures",
        ("Text", "Meant", "Answer", "Uncertain", ""),
        rows,
        "Texts written for this card to mislead it: irony, negation, praise of something else.",
    )


def translation_examples(candidate: Candidate) -> Table | None:
    """Sentences from the middle of its field to far outside; None for other languages."""
    spec = candidate.manifest.preprocessing
    if spec.kind != "translation" or {spec.source, spec.target} != {"en", "de"}:
        return None
    pairs = (
        SENTENCES if spec.source == "en" else [(german, english) for english, german in SENTENCES]
    )
    found = candidate.open(served(candidate)).predict(
        [TranslationText(source) for source, _ in pairs]
    )
    rows = [
        (source, one.text, target, "" if one.quality is None else f"{one.quality:.2f}")
        for (source, target), one in zip(pairs, found, strict=True)
    ]
    return Table(
        "Known failures",
        ("Sentence", "Answer", "A right one", "Quality"),
        rows,
        "Sentences written for this card: idioms, names, technical words and double negation fail.",
    )


def drawing_examples(candidate: Candidate) -> Table:
    """Drawings that show nothing the model knows, and what it takes them for."""
    drawn = _drawings()
    found = candidate.open(served(candidate)).predict(
        [png(np.asarray(one)) for one in drawn.values()]
    )
    rows = [
        (name, f"{one.label} ({one.score:.2f})", _doubt(one.uncertain))
        for name, one in zip(drawn, found, strict=True)
    ]
    return Table(
        "Known failures",
        ("Drawing", "Answer", "Uncertain"),
        rows,
        "Drawn for this card; none shows one of its classes, and it names one all the same. "
        "Where it says that it is uncertain, it noticed.",
    )


def _drawings() -> dict[str, Image.Image]:
    generator = np.random.default_rng(5)
    grey = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    noise = Image.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    disc, grid, house = (
        Image.new("RGB", (SIDE, SIDE), colour) for colour in ("white", "white", "skyblue")
    )
    ImageDraw.Draw(disc).ellipse((12, 12, 52, 52), fill="red")
    for place in range(0, SIDE, 8):
        ImageDraw.Draw(grid).line((place, 0, place, SIDE), fill="black", width=2)
        ImageDraw.Draw(grid).line((0, place, SIDE, place), fill="black", width=2)
    pen = ImageDraw.Draw(house)
    pen.rectangle((14, 30, 50, 60), fill="firebrick")
    pen.polygon([(8, 30), (32, 8), (56, 30)], fill="saddlebrown")
    return {
        "plain grey": grey,
        "noise": noise,
        "red disc on white": disc,
        "black grid on white": grid,
        "a house under a blue sky": house,
    }


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _doubt(uncertain: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[uncertain]


def _mark(label: str, truth: str) -> str:
    return "right" if label == truth else "wrong"
