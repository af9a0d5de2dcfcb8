"""The JSON of the native API. Every field that a client fills has an upper bound."""

import json
import re
from collections import Counter
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from model_zoo.fields import NAME_PATTERN
from service.errors import InvalidInput
from service.http.errors import explain

# The most that any setting can allow; the settings' own limits are checked by the routes.
MAX_ITEMS = 1024
MAX_CHARACTERS = 1_000_000
MAX_TOP_K = 100
MAX_BEAM = 8
DEFAULT_TOP_K = 5

# Longer bodies are parsed in a thread, so that nobody else waits for it.
ON_LOOP_BYTES = 16 << 10

ModelName = Annotated[
    str, Field(pattern=NAME_PATTERN, description="Default: the default model of the task.")
]
Version = Annotated[int, Field(ge=1, le=2**31, description="Default: the newest live version.")]
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, description="How many labels to list.")]
Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_ITEMS)]
# The tag keeps an error about one form from being drowned by errors about the other.
TextOrTexts = Annotated[
    Annotated[Text, Tag("one")] | Annotated[Texts, Tag("many")],
    Discriminator(lambda value: "many" if isinstance(value, list) else "one"),
]


class Call(BaseModel):
    """What every request body may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName | None = None
    version: Version | None = None


class ClassifyCall(Call):
    """Images in base64, for clients that can send nothing but JSON."""

    images: Annotated[list[str], Field(min_length=1, max_length=MAX_ITEMS)]
    top_k: TopK = DEFAULT_TOP_K


class ClassifyOptions(Call):
    """What the query or the form fields say about raw images."""

    top_k: TopK = DEFAULT_TOP_K


class SentimentCall(Call):
    """One text or several."""

    text: TextOrTexts

    def texts(self) -> list[str]:
        """The texts as a list, however many were sent."""
        return self.text if isinstance(self.text, list) else [self.text]


class TranslateCall(SentimentCall):
    """One text or several, and the pair of languages; the defaults are the model's."""

    source: Annotated[str, Field(max_length=16)] | None = None
    target: Annotated[str, Field(max_length=16)] | None = None
    beam: Annotated[int, Field(ge=1, le=MAX_BEAM, description="1 is greedy, and fastest.")] = 1
    stream: Annotated[bool, Field(description="Answer in events, as the text grows.")] = False


class LabelScore(BaseModel):
    """A label and its probability."""

    label: str
    score: float


Uncertain = Annotated[
    bool | None,
    Field(
        description="True where the model has seen too little like this to be relied on. "
        "Missing for a model whose manifest has no energy threshold."
    ),
]


class ImageResult(LabelScore):
    """The most probable label, and the `top_k` most probable ones in order."""

    top: list[LabelScore]
    uncertain: Uncertain = None


class SentimentResult(LabelScore):
    """`truncated` tells that the text was longer than the model reads."""

    scores: dict[str, float]
    truncated: bool
    uncertain: Uncertain = None


class TranslateResult(BaseModel):
    """`score` is the mean log-probability of a token, `quality` an estimate of the translation."""

    text: str
    source: str
    target: str
    score: float
    truncated: bool
    quality: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="How good the translation probably is; the model card says how well this "
            "estimate goes with chrF. Missing for a model whose manifest has no estimate.",
        ),
    ] = None


class Answer(BaseModel):
    """Which model answered, and one result per item in order."""

    model: str
    version: str
    variant: str


class ClassifyAnswer(Answer):
    """The answer of /v1/classify."""

    results: list[ImageResult]


class SentimentAnswer(Answer):
    """The answer of /v1/sentiment."""

    results: list[SentimentResult]


class TranslateAnswer(Answer):
    """The answer of /v1/translate."""

    results: list[TranslateResult]


class ProblemAnswer(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


AnyCall = TypeVar("AnyCall", bound=Call)

# A body that says nothing but one text, in which nothing is escaped.
_TEXT_ALONE = re.compile(
    rb'\s*\{\s*"text"\s*:\s*"([^"\\\x00-\x1f]*)"\s*\}\s*'.replace(rb"\s", rb"[ \t\n\r]")
)
_END_OF_NAME = re.compile(rb'"\s*:')


def parse_json(schema: type[AnyCall], body: bytes) -> AnyCall:
    """The body as this schema; raises InvalidInput that names the field."""
    try:
        call = schema.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput(explain(error.errors(include_url=False, include_input=False))) from None
    # Our objects have no others inside: more ends of names than fields means a look is worth it.
    if len(_END_OF_NAME.findall(body)) > len(call.model_fields_set):
        json.loads(body, object_pairs_hook=_refuse_repetition)
    return call


def text_alone(body: bytes) -> str | None:
    """The text of a body that is as simple as can be; None where it must be parsed to be known."""
    found = _TEXT_ALONE.fullmatch(body)
    try:
        return found[1].decode() if found else None
    except UnicodeDecodeError:
        return None


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> None:
    """Two servers that read one body may each believe another of two values."""
    names = Counter(name for name, _ in pairs)
    name, count = names.most_common(1)[0]
    if count > 1:
        raise InvalidInput(f"{name}: named {count} times; say it once.")


def parse_fields(schema: type[AnyCall], fields: dict[str, Any]) -> AnyCall:
    """Query or form fields, all strings, as this schema; raises InvalidInput."""
    try:
        return schema.model_validate_strings(fields)
    except ValidationError as error:
        raise InvalidInput(explain(error.errors(include_url=False, include_input=False))) from None
