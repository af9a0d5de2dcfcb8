"""How one item becomes tensors: training, gates and service all read it from here."""

from typing import Annotated, Literal

from pydantic import Field

from model_zoo.fields import Count, FileName, Frozen, NonEmpty, Positive, PositiveFloat


class ImageInput(Frozen):
    """How pixels become numbers: x = (rgb / 255 - mean) / std, NCHW, float32."""

    kind: Literal["image"] = "image"
    height: Positive
    width: Positive
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    interpolation: Literal["bilinear", "bicubic", "lanczos", "box"]
    fit: Literal["squash", "crop"]


class TextInput(Frozen):
    """How a text becomes token ids; the tokenizer file does all normalisation."""

    kind: Literal["text"] = "text"
    tokenizer: FileName = "tokenizer.json"
    max_tokens: Positive
    pad_id: Count


class OptimumInput(Frozen):
    """The graphs are those that Hugging Face Optimum exports, and what they need besides.

    The tokenizer then adds the special tokens of a sentence by itself. `bos_id` begins a target.
    """

    prefix: str = ""
    first_id: Count | None = None
    banned_ids: tuple[Count, ...] = ()


class TranslationInput(Frozen):
    """How a sentence becomes token ids, and what the graphs' cache looks like."""

    kind: Literal["translation"] = "translation"
    tokenizer: FileName = "tokenizer.json"
    source: NonEmpty
    target: NonEmpty
    max_source_tokens: Positive
    max_target_tokens: Positive
    pad_id: Count
    bos_id: Count
    eos_id: Count
    layers: Positive
    heads: Positive
    head_size: Positive
    vocabulary: Positive
    optimum: OptimumInput | None = None


Preprocessing = Annotated[ImageInput | TextInput | TranslationInput, Field(discriminator="kind")]
