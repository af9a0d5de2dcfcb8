"""Texts by rule, so that a load needs no data set: the same for the same seed.

Lengths follow those of well-known sets: reviews as in IMDB (log-normal, 230 words on average),
sentences as in SST-2 (19 words), captions to translate (4 to 25 words).
"""

import random
from collections.abc import Callable

PLAIN_TEXT = (
    "the a of and to is in it that this with for but as was on film not be are have one an by at "
    "from who has movie its you more all so about like story than just out some what if good time "
    "when most can much no way they only even there too make does little character will up plot "
    "well first his her people acting scene never into made really very after them had other "
    "great bad watch actor director life best two work love old still action end comedy drama "
    "music think know thing man many moment show feel script young see get any part funny while "
    "how because through where over year world which point find look want right seem quite around "
    "worth almost enough nothing long before both series fact again minute audience performance "
    "beautiful boring dialogue ending original camera perfect slow strange surprise disappointing"
)

WHO_TEXT = (
    "A man|Two women|A young boy|An old lady|The little girl|Three children|A group of people|"
    "A dog|Two brown horses|My brother|The teacher|A player in a red shirt"
)
DOES_TEXT = (
    "is standing|are waiting|runs|is playing with a ball|looks at a map|is reading a book|jumps|"
    "are talking to each other|is sleeping|sits|is riding a bicycle|is cooking dinner|laughs"
)
WHERE_TEXT = (
    "in the street|on the beach|in front of a large house|near the river|at the train station|"
    "on a green field|under a tree|next to a parked car|in the kitchen|behind the old church"
)
WHEN_TEXT = (
    "|in the morning|while it is raining|after school|on a sunny day|because the bus is late|"
    "before the others arrive|and then walks home with a friend"
)

PLAIN = PLAIN_TEXT.split()
WHO, DOES, WHERE, WHEN = (text.split("|") for text in (WHO_TEXT, DOES_TEXT, WHERE_TEXT, WHEN_TEXT))


def review(draw: random.Random) -> str:
    """As long as those of IMDB."""
    return _prose(draw, _between(10, draw.lognormvariate(5.16, 0.73), 2400))


def sentence(draw: random.Random) -> str:
    """As long as those of SST-2."""
    return _prose(draw, _between(2, draw.gauss(19.3, 9.3), 52))


def caption(draw: random.Random) -> str:
    """Something to translate, of mixed length."""
    words = [draw.choice(WHO), draw.choice(DOES)]
    if draw.random() < 0.8:
        words += [draw.choice(WHERE)]
    for _ in range(draw.choice((0, 0, 1, 1, 2))):
        words += [draw.choice(WHEN), draw.choice(WHERE) if draw.random() < 0.4 else ""]
    return " ".join(" ".join(words).split()) + "."


def feelings(count: int, seed: int = 0) -> list[str]:
    """Reviews and sentences in turn, all different: lengths as in IMDB and SST-2 mixed."""
    draw = random.Random(seed)
    return _different(count, lambda place: review(draw) if place % 2 == 0 else sentence(draw))


def captions(count: int, seed: int = 0) -> list[str]:
    """Different English sentences to translate, the first as long as the last."""
    draw = random.Random(seed)
    found = _different(count, lambda _: caption(draw))
    draw.shuffle(found)  # there are fewer short ones, and those come early
    return found


def _different(count: int, make: Callable[[int], str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[make(len(found))] = None
    return list(found)


def _prose(draw: random.Random, words: int) -> str:
    chosen = [_zipf(draw) for _ in range(words)]
    for place in range(0, words, 17):
        chosen[place] = chosen[place].capitalize()
        if place:
            chosen[place - 1] += "."
    return " ".join(chosen) + "."


def _zipf(draw: random.Random) -> str:
    """The first words are the most frequent ones, as in any text."""
    return PLAIN[int(len(PLAIN) ** draw.random()) - 1]


def _between(least: int, value: float, most: int) -> int:
    return round(min(max(value, least), most))
