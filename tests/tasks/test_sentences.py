import random
import time

import pytest

from service.tasks.sentences import Segment, cut, is_one_sentence, join_segments, split_sentences

WHITE_SPACE = [" ", "  ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u2028", "\v", "\x85", "\u3000"]


def sentences(text: str, language: str = "en") -> list[str]:
    """The non-empty sentences; that they join to the text again is checked on the way."""
    segments = split_sentences(text, language)
    assert join_segments(segments) == text
    return [segment.text for segment in segments if segment.text]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("A dog runs across the street.", True),
        ("Pi is 3.14, isn't it?", True),
        ("It rains. Take an umbrella!", False),
        ("It rains…» Why?", False),
        ("J. R. Tolkien wrote it", False),  # one, which only the rules can tell
        ("one\u2028two", False),
        ("- an item", False),
        ("3. an item", False),
        ("42 + 1 = 43", False),
        ("", False),
    ],
)
def test_what_surely_is_one_sentence(text: str, is_one: bool) -> None:
    assert is_one_sentence(text) == is_one
    if is_one:
        for language in ("en", "de"):
            assert sentences(text, language) == [text]


ENGLISH = [
    "One sentence without an end",
    "It rains.|Take an umbrella!|Why?|Because.",
    "Mr. Smith met Mrs. Jones, Dr. Who and Prof. Bean.|They left.",
    "J. R. R. Tolkien wrote it.|George W. Bush did not.",
    "He lives in the U.S. Army barracks.|She does not.",
    "He lives in the U.S.|The house is big.",
    "Use tools, e.g. Hammers or saws, i.e. Real ones.|Then stop.",
    "Pi is 3.14 and not 3.|Version 2.0.1 is out.",
    "It costs $5.50.|That is much.",
    "See fig. 3 and No. 5 on p. 12.|They help.",
    "No.|I will not.",
    "Wait... what is that?|I see...|Nothing.",
    "Well…|Then go.",
    "He said “Stop!”|She ran.",
    'He said "Stop."|She ran.',
    '"Really?" he asked.|"Yes!" she cried.',
    "(It was late.)|We slept.",
    "Is it?!|Yes!!!|No..|Good.",
    "Are you there?|i am not. really!|so what",
    "Acme Inc. makes it.|Acme Inc. Tools are good.|He works at Acme Inc.|But he is sad.",
    "Apples, pears, etc. are fruit.|We have tea, coffee, etc.|They are hot.",
    "At 5 p.m. Tom left.|It was 5 p.m.|We stayed.",
    "It was I.|You know me.",
    "Main St. is long.|St. Paul is old.",
    "He was born on Jan. 5 in Rome.|He died.",
    "Visit www.example.com.|It is free.|Mail a.b@c.org today.",
    "He holds a Ph.D. in physics.|Good.",
    "**Bold.**|Next.",
    "I have 2 dogs.|3 cats came.",
    "Hello!|😀 Bye.",
    "He is tall (approx.) Two metres.|She is not (I think.)|Two metres.",
    "Use one, e.g. The hammer.|Then stop.",
    "Smith et al. found it.|Others vs. Smith did not.",
]


@pytest.mark.parametrize("marked", ENGLISH)
def test_english_sentences(marked: str) -> None:
    assert sentences(marked.replace("|", " ")) == marked.split("|")


GERMAN = [
    "Es regnet.|Nimm einen Schirm!|Warum?|Darum.",
    "Hr. Dr. Müller und Fr. Prof. Schmidt kamen.|Sie blieben.",
    "Das gilt z.B. Autos, z. B. Fahrräder und d.h. Räder.|So ist es.",
    "Er kam am 3. Oktober 1990 im 2. Stock an.|Danach ging er.",
    "Am 3.10. Montag ist frei.|Vom 8.-10. August auch, im 236. Jahr.",
    "Äpfel, Birnen usw. Kisten stehen da.|Wir haben Tee usw.|Dann gehen wir.",
    "Im Jahr 44 v. Chr. Rom war groß.|Es war 44 v. Chr.|Die Stadt wuchs.",
    "Das kostet ca. 5 Mio. Euro bzw. Dollar.|Viel Geld.",
    "Siehe Nr. 5, Abs. 3 und S. 12.|Das hilft.",
    "Hauptstr. 5 ist weit.|Die Straße ist lang.",
    "„Was?“ fragte er.|„Ja.“|Sie nickte.",
    "»Halt!«|Er blieb.",
    "3. Oktober ist Feiertag.|Das gilt z.B. Die anderen nicht.",
    "Es waren 1990.|Danach 2000.",
    "Sie ist 25.|Er mag.|Ich mag.",
    "Ich komme.|Ärger gibt es nicht.",
    "u.a. Hunde und m.E. Katzen.|Ende.",
]


@pytest.mark.parametrize("marked", GERMAN)
@pytest.mark.parametrize("language", ["de", "de-AT", "DE"])
def test_german_sentences(marked: str, language: str) -> None:
    assert sentences(marked.replace("|", " "), language) == marked.split("|")


def test_a_line_break_always_ends_a_sentence() -> None:
    assert sentences("one\ntwo\r\n\r\n  three \n") == ["one", "two", "three"]
    assert split_sentences(" a \n\n b") == [
        Segment("", " "),
        Segment("a", " \n\n"),
        Segment("", " "),
        Segment("b", ""),
    ]


@pytest.mark.parametrize("mark", ["-", "*", "•", "–", "1.", "12.", "3)", ">", "##"])
def test_the_mark_of_a_list_is_not_part_of_the_sentence(mark: str) -> None:
    assert sentences(f"{mark} Buy milk.\n  {mark}  Sleep.") == [mark, "Buy milk.", mark, "Sleep."]


def test_a_negative_number_is_no_list() -> None:
    assert sentences("-5 is cold.") == ["-5 is cold."]
    assert sentences("3.5 is a number.") == ["3.5 is a number."]


@pytest.mark.parametrize("text", ["", " ", "\n", " \n\t\n "])
def test_a_text_of_white_space_has_no_sentence(text: str) -> None:
    assert sentences(text) == []


def test_what_has_no_letter_is_known() -> None:
    with_letters = [s.text for s in split_sentences("1. 2024. Hello! --- 5 > 3.") if s.has_letters]
    assert with_letters == ["Hello!"]


def random_text(rng: random.Random) -> str:
    pieces = [
        *WHITE_SPACE, *WHITE_SPACE, ".", "...", "!", "?!", "…", '"', "“", "”", "»", ")", "(", "*",
        "-", "•", "1.", "3)", "U.S.", "z.B.", "Mr.", "etc.", "usw.", "p.m.", "I.", "A.", "3.10.",
        "the", "The", "Das", "word", "ß", "Ä", "e\u0301", "😀", "日本。", "\u200b", "\x00", ",",
    ]  # fmt: skip
    return "".join(rng.choice(pieces) for _ in range(rng.randrange(40)))


@pytest.mark.parametrize("seed", range(20))
def test_any_text_comes_back_byte_for_byte(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        text = random_text(rng)
        for language in ("en", "de"):
            segments = split_sentences(text, language)
            assert join_segments(segments) == text
            for segment in segments:
                assert segment.text == segment.text.strip()
                assert not segment.gap.strip()
                pieces = cut(segment, lambda piece: len(piece) <= 3)
                assert join_segments(pieces) == segment.text + segment.gap
                assert all(len(piece.text) <= 3 or _is_one(piece.text) for piece in pieces)


def _is_one(text: str) -> bool:
    return len(text) < 2


def shorter_than(limit: int):  # type: ignore[no-untyped-def]
    return lambda text: len(text) <= limit


def test_a_sentence_that_fits_is_not_cut() -> None:
    segment = Segment("Short, as it is.", " ")
    assert cut(segment, shorter_than(16)) == [segment]


def test_a_long_sentence_is_cut_at_a_clause() -> None:
    pieces = cut(Segment("When it rains, we all stay in the house.", "\n"), shorter_than(30))
    assert pieces == [Segment("When it rains,", " "), Segment("we all stay in the house.", "\n")]


def test_without_clauses_it_is_cut_at_a_space_near_the_middle() -> None:
    pieces = cut(Segment("one two three four five six", ""), shorter_than(20))
    assert pieces == [Segment("one two three", " "), Segment("four five six", "")]


def test_a_comma_at_the_very_edge_does_not_make_a_tiny_piece() -> None:
    pieces = cut(Segment("Yes, one two three four five six seven eight", ""), shorter_than(40))
    assert [piece.text for piece in pieces] == ["Yes, one two three four", "five six seven eight"]


def test_a_long_word_is_set_apart_and_cut_anywhere() -> None:
    pieces = cut(Segment("see " + "x" * 40 + " now", ""), shorter_than(10))
    assert pieces[0] == Segment("see", " ")
    assert pieces[-1] == Segment("now", "")
    assert all(len(piece.text) <= 10 for piece in pieces)


def test_an_accent_stays_with_its_letter() -> None:
    accented = "e\u0301" * 8
    pieces = cut(Segment(accented, ""), shorter_than(5))
    assert join_segments(pieces) == accented
    assert all(piece.text.startswith("e") for piece in pieces)


def test_an_emoji_of_several_parts_stays_whole() -> None:
    family = "👩\u200d👧\u200d👦"
    pieces = cut(Segment(family * 3, ""), shorter_than(7))
    assert [piece.text for piece in pieces] == [family] * 3


def test_what_can_never_fit_ends_in_single_characters() -> None:
    pieces = cut(Segment("a b, cd", "!"), shorter_than(0))
    assert [piece.text for piece in pieces] == ["a", "b", ",", "c", "d"]


@pytest.mark.parametrize(
    "text",
    [
        "." * 200_000,
        ". " * 10_000,
        " " * 20_000 + "x",
        "x" + " " * 20_000 + ".",
        "a." * 10_000,
        ".\"" * 10_000,
        "." + "\"" * 20_000,
        "Mr. " * 5_000,
        "x" * 20_000 + ". Y",
        "\n" * 20_000,
        "\r \n" * 7_000,
        "-" * 20_000,
        "A\u00a0" * 10_000,
    ],
    ids=lambda text: repr(text[:4]),
)  # fmt: skip
def test_time_grows_with_the_length_only(text: str) -> None:
    started_s = time.process_time()
    segments = split_sentences(text)
    assert time.process_time() - started_s < 1.0  # a quadratic walk takes many seconds
    assert join_segments(segments) == text
