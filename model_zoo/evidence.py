"""Why a model may be trusted: what was measured on it, and where it comes from."""

from typing import Annotated

from pydantic import Field

from model_zoo.fields import (
    Correlation,
    Count,
    Fraction,
    Frozen,
    NonEmpty,
    NonNegative,
    Positive,
    PositiveFloat,
    Sha256,
)

REFERENCE_TOKENS = 100  # length of a text for which `Evidence.temperature` is told


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
    """One figure of quality: what was measured, on what, on how many items.

    `below_fp32` is what the variant loses against fp32's figure; negative where it gains.
    """

    dataset: NonEmpty
    split: NonEmpty
    metric: NonEmpty
    value: float
    items: Positive
    below_fp32: float | None = None


class ConfidenceScores(Frozen):
    """How honest probabilities are: expected calibration error over 15 bins of confidence, mean
    negative log-likelihood of the truth, Brier score. Lower is better."""

    ece: Fraction
    nll: NonNegative
    brier: NonNegative


class Calibration(Frozen):
    """Probabilities with the network's own logits and with those divided by the temperature;
    `uncertain` is the share of the items that the energy threshold flags."""

    dataset: NonEmpty
    split: NonEmpty
    items: Positive
    before: ConfidenceScores
    after: ConfidenceScores
    uncertain: Fraction


class Strangers(Frozen):
    """How well items unlike the training data are told from the test split: the area under the
    ROC curve of the energy and of the highest probability, and the share flagged as uncertain."""

    name: NonEmpty
    items: Positive
    auroc_energy: Fraction
    auroc_confidence: Fraction
    uncertain: Fraction


class Foresight(Frozen):
    """How a translator's own estimate of quality goes with chrF, sentence by sentence."""

    dataset: NonEmpty
    split: NonEmpty
    items: Positive
    pearson: Correlation
    spearman: Correlation


class Latency(Frozen):
    """The fastest of several runs of `batch` items of `length` tokens each (images have none)."""

    batch: Positive
    length: Positive | None = None
    milliseconds: PositiveFloat


class Timing(Frozen):
    """How long the variant takes on one core of this class of machine."""

    machine: NonEmpty
    runs: Annotated[tuple[Latency, ...], Field(min_length=1)]


class Evidence(Frozen):
    """Why a variant may be trusted.

    The logits of a text of n tokens are divided by temperature x (n / 100) ^ length_exponent;
    without an exponent, the temperature is the same for all items. The share `smoothing` of every
    answer, spread over all classes by training, is taken off before.
    """

    parity: Parity | None = None
    accuracy: tuple[Measurement, ...] = ()
    invariance: Invariance | None = None
    temperature: PositiveFloat | None = None
    length_exponent: float | None = None
    smoothing: Annotated[float, Field(gt=0, lt=1)] | None = None
    calibration: tuple[Calibration, ...] = ()
    strangers: tuple[Strangers, ...] = ()
    foresight: tuple[Foresight, ...] = ()
    timing: Timing | None = None


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
