"""The file of a model's self-test: items made by rule, and the answers that each variant gave."""

from base64 import b64decode
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from model_zoo.errors import ManifestInvalid
from model_zoo.fields import Count, Frozen, NonEmpty
from model_zoo.manifest import Precision

GOLDEN_FILE = "golden.json"


class GoldenRow(Frozen):
    """The answer to one item: logits, or a translation's token ids and score."""

    logits: tuple[float, ...] = ()
    ids: tuple[Count, ...] = ()
    score: float | None = None


class Golden(Frozen):
    """Texts as they are, images as base64 of a PNG file; one row an item for every variant."""

    schema_version: Literal[1] = 1
    kind: Literal["image", "text"]
    items: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]
    rows: dict[Precision, tuple[GoldenRow, ...]]

    def raw_items(self) -> list[bytes] | list[str]:
        """The items as a client would send them. ValueError if one is not base64."""
        if self.kind == "text":
            return list(self.items)
        return [b64decode(item, validate=True) for item in self.items]


def parse_golden(data: bytes, where: str) -> Golden:
    """The golden file in these bytes; raises ManifestInvalid, naming `where` and the field."""
    try:
        golden = Golden.model_validate_json(data, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or "file"
        raise ManifestInvalid(f"{where}: {field}: {problem['msg']}") from error
    for precision, rows in golden.rows.items():
        if len(rows) != len(golden.items):
            raise ManifestInvalid(
                f"{where}: rows.{precision}: {len(rows)} rows for {len(golden.items)} items"
            )
    return golden
