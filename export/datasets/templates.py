"""Sentences put together by rule: opinions on films, and English sentences with their German."""

from dataclasses import dataclass

from numpy.random import Generator

OPINIONS = ("negative", "positive")
THINGS = (
    "film",
    "story",
    "plot",
    "acting",
    "music",
    "ending",
    "dialogue",
    "camera work",
    "first half",
    "lead actor",
)
JUDGEMENTS = {
    "negative": (
        "dull",
        "awful",
        "boring",
        "clumsy",
        "terrible",
        "weak",
        "a mess",
        "painful to watch",
        "far too long",
        "a waste of time",
    ),
    "positive": (
        "lovely",
        "superb",
        "moving",
        "clever",
        "wonderful",
        "strong",
        "a joy",
        "a pleasure to watch",
        "full of wit",
        "worth every minute",
    ),
}
CLOSINGS = {
    "negative": ("I left early.", "Avoid it.", "Not again.", "I want my money back."),
    "positive": ("I would see it again.", "Do not miss it.", "I loved it.", "Go and see it."),
}
FRAMES = (
    "The {thing} is {judgement}.",
    "The {thing} was {judgement}!",
    "I found the {thing} {judgement}.",
    "For me the {thing} was simply {judgement}.",
    "Everybody said that the {thing} is {judgement}, and it is.",
)


def opinion(kind: str, generator: Generator) -> str:
    """One to three sentences of the same opinion."""
    sentences = [
        _pick(FRAMES, generator).format(
            thing=_pick(THINGS, generator), judgement=_pick(JUDGEMENTS[kind], generator)
        )
        for _ in range(int(generator.integers(1, 3)))
    ]
    if generator.random() < 0.5:
        sentences.append(_pick(CLOSINGS[kind], generator))
    return " ".join(sentences)


@dataclass(frozen=True, slots=True)
class Noun:
    """An English noun, its German one and the latter's gender: m, f or n."""

    english: str
    german: str
    gender: str


NOUNS = (
    Noun("dog", "Hund", "m"),
    Noun("table", "Tisch", "m"),
    Noun("tree", "Baum", "m"),
    Noun("train", "Zug", "m"),
    Noun("cat", "Katze", "f"),
    Noun("door", "Tür", "f"),
    Noun("street", "Straße", "f"),
    Noun("bag", "Tasche", "f"),
    Noun("house", "Haus", "n"),
    Noun("car", "Auto", "n"),
    Noun("book", "Buch", "n"),
    Noun("window", "Fenster", "n"),
)
ADJECTIVES = (
    ("big", "groß"),
    ("small", "klein"),
    ("new", "neu"),
    ("old", "alt"),
    ("red", "rot"),
    ("green", "grün"),
    ("beautiful", "schön"),
    ("clean", "sauber"),
)
VERBS = (("sees", "sieht"), ("finds", "findet"), ("draws", "zeichnet"), ("buys", "kauft"))
PEOPLE = ("Anna", "Paul", "Maria", "Jonas", "Clara", "Felix")
NOMINATIVE = {"m": "der", "f": "die", "n": "das"}
ACCUSATIVE = {"m": "den", "f": "die", "n": "das"}


def translated_sentence(generator: Generator) -> tuple[str, str]:
    """An English sentence and its German translation."""
    noun = NOUNS[int(generator.integers(len(NOUNS)))]
    english, german = _pick_pair(ADJECTIVES, generator)
    kind = int(generator.integers(4))
    if kind == 0:
        article = NOMINATIVE[noun.gender].capitalize()
        return f"The {noun.english} is {english}.", f"{article} {noun.german} ist {german}."
    if kind == 1:
        article = NOMINATIVE[noun.gender]
        return f"Is the {noun.english} {english}?", f"Ist {article} {noun.german} {german}?"
    if kind == 2:
        second_english, second_german = _pick_pair(ADJECTIVES, generator)
        return (
            f"The {english} {noun.english} is not {second_english}.",
            f"{NOMINATIVE[noun.gender].capitalize()} {german}e {noun.german} "
            f"ist nicht {second_german}.",
        )
    person = _pick(PEOPLE, generator)
    english_verb, german_verb = _pick_pair(VERBS, generator)
    ending = "en" if noun.gender == "m" else "e"
    return (
        f"{person} {english_verb} the {english} {noun.english}.",
        f"{person} {german_verb} {ACCUSATIVE[noun.gender]} {german}{ending} {noun.german}.",
    )


def _pick(choices: tuple[str, ...], generator: Generator) -> str:
    return choices[int(generator.integers(len(choices)))]


def _pick_pair(choices: tuple[tuple[str, str], ...], generator: Generator) -> tuple[str, str]:
    return choices[int(generator.integers(len(choices)))]
