"""What the JSON bodies may say."""

import orjson
import pytest

from service.errors import InvalidInput
from service.http.schemas import (
    ClassifyCall,
    ClassifyOptions,
    SentimentCall,
    TranslateCall,
    parse_fields,
    parse_json,
    text_alone,
)


def test_one_text_and_several_are_both_a_list() -> None:
    assert parse_json(SentimentCall, b'{"text": "a"}').texts() == ["a"]
    assert parse_json(SentimentCall, b'{"text": ["a", "b"]}').texts() == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"text": "A dog."}', "A dog."),
        (b' {\r\n\t"text" :"Gr\xc3\xbc\xc3\x9fe" } ', "Grüße"),
        (b'{"text": ""}', ""),
        (b'{"text": "a\\nb"}', None),
        (b'{"text": "a\nb"}', None),
        (b'{"text": "a", "beam": 4}', None),
        (b'{"text": ["a"]}', None),
        (b'{"text": "\xff"}', None),
        (b'{"text": "a"} x', None),
        (b'{\x0b"text": "a"}', None),
        (b'{"texts": "a"}', None),
    ],
)
def test_a_text_that_stands_alone_is_found_without_a_parser(body: bytes, text: str | None) -> None:
    assert text_alone(body) == text
    if text is not None:
        assert parse_json(TranslateCall, body).texts() == [text]


def test_a_version_may_be_a_number_or_its_digits() -> None:
    assert parse_json(SentimentCall, b'{"text": "a", "version": "2"}').version == 2
    assert parse_json(SentimentCall, b'{"text": "a", "version": 2}').version == 2
    assert parse_fields(ClassifyOptions, {"version": "2", "top_k": "3"}).top_k == 3


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", "Invalid JSON"),
        (b"[]", "body"),
        (b'{"text": 1}', "text"),
        (b'{"text": []}', "text"),
        (b'{"text": [1]}', "text.0"),
        (b'{"text": "%s"}' % (b"a" * 1_000_001), "text: String should have at most"),
        (b'{"text": [%s]}' % b",".join([b'"a"'] * 1025), "text"),
        (b'{"text": "a", "beam": 9}', "beam"),
        (b'{"text": "a", "beam": 0}', "beam"),
        (b'{"text": "a", "beam": 1e999}', "beam"),
        (b'{"text": "a", "beam": NaN}', "beam"),
        (b'{"text": "a", "colour": 1}', "colour"),
        (b'{"text": "a", "version": -1}', "version"),
        (b'{"text": "a", "model": "../../etc"}', "model"),
        (b'{"text": "\\ud800"}', "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b'{"text": ' + b"[" * 100_000, "Invalid JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_bad_body_is_refused_by_the_name_of_its_field(body: bytes, names: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_json(TranslateCall, body)
    assert names in refused.value.detail
    assert "\n" not in refused.value.detail
    assert len(refused.value.detail) < 500


@pytest.mark.parametrize("top_k", ["0", "101", "five", "1e3", ""])
def test_top_k_has_bounds(top_k: str) -> None:
    with pytest.raises(InvalidInput, match="top_k"):
        parse_fields(ClassifyOptions, {"top_k": top_k})


def test_images_come_in_bounded_number() -> None:
    with pytest.raises(InvalidInput, match="images"):
        parse_json(ClassifyCall, b'{"images": []}')


@pytest.mark.parametrize(
    "body",
    [b'{"text": "a", "text": "b"}', b'{"text": "a", "t\\u0065xt": "b"}', b'{"text":"","text" :""}'],
)
def test_a_field_that_is_named_twice_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^text: named 2 times"):
        parse_json(SentimentCall, body)


def test_a_text_may_look_like_json() -> None:
    quoted = 'He said "a": "b", and "a": "c".'
    call = parse_json(SentimentCall, orjson.dumps({"text": quoted}))
    assert call.text == quoted
