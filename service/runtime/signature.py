"""What a graph promises to take and to give, and how a loaded one differs from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model_zoo.manifest import TensorSpec


@dataclass(frozen=True, slots=True)
class TensorType:
    """A name, an element type, and a shape in which a string is an axis of any size."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @classmethod
    def of(cls, spec: TensorSpec) -> "TensorType":
        return cls(spec.name, spec.dtype, tuple(spec.shape))

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def keeps(self, promised: "TensorType") -> bool:
        """Whether every value that is promised to fit does fit."""
        return (
            self.dtype == promised.dtype
            and len(self.shape) == len(promised.shape)
            and all(
                isinstance(own, str) or own == other
                for own, other in zip(self.shape, promised.shape, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """The promise about one graph of a model; `graph` says which, for the error."""

    graph: str
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]


def differences(
    promised: Signature, inputs: Sequence[TensorType], outputs: Sequence[TensorType]
) -> list[str]:
    """One phrase for each broken promise. Outputs beyond the promise are no break of it."""
    extra = {tensor.name for tensor in inputs} - {tensor.name for tensor in promised.inputs}
    return [
        *_broken("input", promised.inputs, inputs),
        *(f"input {name!r} is not promised, so nothing would feed it" for name in sorted(extra)),
        *_broken("output", promised.outputs, outputs),
    ]


def _broken(
    kind: str, promised: Sequence[TensorType], actual: Sequence[TensorType]
) -> Iterator[str]:
    by_name = {tensor.name: tensor for tensor in actual}
    for tensor in promised:
        own = by_name.get(tensor.name)
        if own is None:
            have = ", ".join(by_name) or "none"
            yield f"{kind} {tensor.name!r} is missing (the graph has {have})"
        elif not own.keeps(tensor):
            yield f"{kind} {tensor.name!r} is {own}, promised is {tensor}"
