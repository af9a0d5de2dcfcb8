"""Runners of one call: features in, one row of numbers an item out. For images and for texts."""

from collections.abc import Mapping, Sequence

from model_zoo.manifest import Manifest, TensorSpec
from model_zoo.preprocessing import ImageInput, TextInput
from service.errors import InferenceFailed, InvalidInput
from service.runtime.collate import HasIds, check_ids, group_lengths, pad_ids, stack_images
from service.runtime.errors import GraphMismatch
from service.runtime.session import Abort, Session, Tensor
from service.runtime.signature import Signature, TensorType


class ImageForward:
    """Images [C, H, W] to rows of logits. Thread-safe."""

    def __init__(self, session: Session, manifest: Manifest, spec: ImageInput) -> None:
        session.expect(_signature(manifest))
        self._session = session
        self._input = _only(manifest.inputs).name
        self._output = manifest.outputs[0].name
        self._shape = (3, spec.height, spec.width)

    @property
    def placement(self) -> Mapping[str, int]:
        return self._session.placement

    def check(self, features: Tensor) -> None:
        """Raise InvalidInput for an item that would spoil a batch."""
        if features.shape != self._shape:
            raise InvalidInput(f"an image of shape {features.shape}; the model takes {self._shape}")

    def run(self, features: Sequence[Tensor], abort: Abort | None = None) -> list[Tensor]:
        """One float32 row an item, in order."""
        for image in features:
            self.check(image)
        x_NCHW = stack_images(features)
        found = self._session.run({self._input: x_NCHW}, [self._output], abort)
        return split_rows(found[self._output], len(features))

    def close(self) -> None:
        """Nothing to free before the session itself goes."""


class TextForward:
    """Token ids to rows of logits. Thread-safe."""

    def __init__(self, session: Session, manifest: Manifest, spec: TextInput) -> None:
        session.expect(_signature(manifest))
        names = {tensor.name for tensor in manifest.inputs}
        if names != {"input_ids", "attention_mask"}:
            raise GraphMismatch(
                f"a text model takes input_ids and attention_mask, not {sorted(names)}"
            )
        self._session = session
        self._output = manifest.outputs[0].name
        self._spec = spec

    @property
    def placement(self) -> Mapping[str, int]:
        return self._session.placement

    def check(self, features: HasIds) -> None:
        """Raise InvalidInput for an item that would spoil a batch."""
        check_ids(features.ids, self._spec.max_tokens)

    def run(self, features: Sequence[HasIds], abort: Abort | None = None) -> list[Tensor]:
        """One float32 row an item, in order; texts of like length run together."""
        for text in features:
            self.check(text)
        rows: dict[int, Tensor] = {}
        for group in group_lengths([len(text.ids) for text in features]):
            found = self._run_padded([features[place].ids for place in group], abort)
            rows.update(zip(group, found, strict=True))
        return [rows[place] for place in range(len(features))]

    def _run_padded(self, ids: Sequence[Tensor], abort: Abort | None) -> list[Tensor]:
        ids_NT, mask_NT = pad_ids(ids, self._spec.pad_id)
        feeds = {"input_ids": ids_NT, "attention_mask": mask_NT}
        found = self._session.run(feeds, [self._output], abort)
        return split_rows(found[self._output], len(ids))

    def close(self) -> None:
        """Nothing to free before the session itself goes."""


def split_rows(logits_NK: Tensor, rows: int) -> list[Tensor]:
    """The batch's rows; InferenceFailed if there are not as many as items."""
    if len(logits_NK) != rows:
        raise InferenceFailed(f"the model gave {len(logits_NK)} rows for {rows} items")
    return list(logits_NK)


def _signature(manifest: Manifest) -> Signature:
    return Signature(
        "model",
        tuple(TensorType.of(tensor) for tensor in manifest.inputs),
        tuple(TensorType.of(tensor) for tensor in manifest.outputs),
    )


def _only(inputs: Sequence[TensorSpec]) -> TensorSpec:
    if len(inputs) != 1:
        names = ", ".join(tensor.name for tensor in inputs)
        raise GraphMismatch(f"an image model takes one input, not {names}")
    return inputs[0]
