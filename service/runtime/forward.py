"""Runners of one call: features in, one row of numbers an item out. For images and for texts."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from model_zoo.manifest import Manifest, TensorSpec
from model_zoo.preprocessing import ImageInput, TextInput
from service.errors import InferenceFailed, InvalidInput
from service.runtime.collate import HasIds, check_ids, group_lengths, pad_ids, stack_images
from service.runtime.errors import GraphMismatch
from service.runtime.per_thread import PerThread
from service.runtime.session import Abort, DeviceRun, Session, Tensor
from service.runtime.signature import Signature, TensorType

log = logging.getLogger("slipway.runtime")


class ImageForward:
    """Images [C, H, W] to rows of logits. Thread-safe.

    On a device with memory of its own each thread keeps tensors there for a few batch sizes, and a
    batch takes the next larger one.
    """

    def __init__(self, session: Session, manifest: Manifest, spec: ImageInput) -> None:
        session.expect(_signature(manifest))
        self._session = session
        self._input = _only(manifest.inputs).name
        self._output = manifest.outputs[0].name
        self._shape = (3, spec.height, spec.width)
        self._device = session.device
        self._on_device: PerThread[dict[int, DeviceRun | None]] = PerThread()

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
        kept = self._device_run(len(features)) if self._device is not None else None
        if kept is not None:
            return split_rows(_run_kept(kept, features, abort), len(features))
        x_NCHW = stack_images(features)
        found = self._session.run({self._input: x_NCHW}, [self._output], abort)
        return split_rows(found[self._output], len(features))

    def close(self) -> None:
        """Free what is kept on the device."""
        self._on_device.forget()

    def _device_run(self, count: int) -> DeviceRun | None:
        """This thread's memory for so many images or more; None where there can be none."""
        kept = self._on_device.get(dict)
        size = rounded_up(count)
        if size not in kept:
            kept[size] = self._open_device_run(size)
        return kept[size]

    def _open_device_run(self, size: int) -> DeviceRun | None:
        ((given,), (wanted, *_)) = self._session.inputs, self._session.outputs
        assert self._device is not None
        try:
            return self._session.device_run(
                self._device,
                replace(given, shape=(size, *self._shape)),
                replace(wanted, shape=(size, *wanted.shape[1:])),
            )
        except Exception as error:  # ORT's have no common type; without it runs are slower, no more
            extra = {"batch": size, "reason": str(error)}
            log.warning("no memory can be kept on the device", extra=extra)
            return None


def rounded_up(count: int) -> int:
    """The batch size that so many images take on a device: a power of two, so that there are few
    shapes, for each of which a GPU's kernels are chosen anew."""
    return 1 << (count - 1).bit_length()


def _run_kept(kept: DeviceRun, features: Sequence[Tensor], abort: Abort | None) -> Tensor:
    staged, count = kept.staged, len(features)
    for place, image in enumerate(features):
        staged[place] = image
    staged[count:] = 0  # of another batch
    return kept.run(abort)[:count].copy()


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
