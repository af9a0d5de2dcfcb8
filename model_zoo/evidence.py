"""Why a model may be trusted: what was measured on it, and where it comes from."""

from typing import Annotated

from pydantic import Field

from model_zoo.fields import Count, Fraction, Frozen, NonEmpty, NonNegative, Positive, Sha256


class Parity(Frozen):
    """The published graph against the network in torch, on the same items."""

    max_abs_diff: NonNegative
    tolerance: NonNegative
    items: Positive
    agreement: Fraction


class Invariance(Frozen):
    """An item's answer alone against its answer in batches of `sizes` and under padding."""

    max_abs_diff: NonNegative
    tolerance: NonNegative
    items: Positive
    agreement: Fraction
    sizes: tuple[Positive, ...]


class Measurement(Frozen):
    """One figure of quality: what was measured, on what, on how many items."""

    dataset: NonEmpty
    split: NonEmpty
    metric: NonEmpty
    value: float
    items: Positive


class Evidence(Frozen):
    """Why a variant may be trusted."""

    parity: Parity | None = None
    accuracy: tuple[Measurement, ...] = ()
    invariance: Invariance | None = None


class DatasetSource(Frozen):
    """One data set (split) that the model was trained or measured on."""

    name: NonEmpty
    split: NonEmpty
    licence: NonEmpty
    source: NonEmpty
    sha256: Sha256
    rows: Count


class Provenance(Frozen):
    """Where the model comes from; `created` is an ISO 8601 time."""

    datasets: tuple[DatasetSource, ...]
    git_commit: str
    seed: int
    torch: str
    onnx: str
    onnxruntime: str
    opset: Positive
    created: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")]
    training_seconds: NonNegative
    machine: str
    command: str
