"""The seconds that one worker needs for a batch, measured once and read from a file.

{"machine": …, "models": {name: LatencyTable}}}
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.batching.cost import LatencyModel


class LatencyTable(BaseModel):
    """t(batch, length) of one model on one worker while `workers` - 1 others run as well.

    `seconds[i][j]` is for items padded to `lengths[i]`, `batches[j]` of them. `shares[i]` is the
    share of items whose length is at most `lengths[i]` and more than the one before. `padded` says
    that a batch is as long as its longest item, so that the server looks for items alike; in
    one that is not, each item has its own share of the time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    workers: int = Field(ge=1)
    batches: tuple[int, ...] = Field(min_length=1)
    lengths: tuple[int, ...] = Field(min_length=1)
    seconds: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]
    padded: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("batches", "lengths"):
            if any(low >= high for low, high in pairwise(getattr(self, name))):
                raise ValueError(f"{name} must increase")
        if self.batches[0] != 1:
            raise ValueError("batches must begin with 1")
        rows_fit = all(len(row) == len(self.batches) for row in self.seconds)
        if not rows_fit or len(self.seconds) != len(self.lengths):
            raise ValueError("seconds must have a row a length and a column a batch size")
        if min(map(min, self.seconds)) <= 0.0:
            raise ValueError("every time must be more than 0")
        if len(self.shares) != len(self.lengths) or abs(sum(self.shares) - 1.0) > 1e-6:
            raise ValueError("shares must be one a length and add up to 1")
        return self

    def by_size(self, most: int) -> list[list[float]]:
        """[length index][batch size 0..most] in seconds; straight lines between measured sizes."""
        return [
            [0.0, *(self._at(row, size) for size in range(1, most + 1))] for row in self.seconds
        ]

    def model(self) -> LatencyModel:
        """What the server would have learnt from these batches."""
        learnt = LatencyModel()
        for length, row in zip(self.lengths, self.seconds, strict=True):
            for size, seconds in zip(self.batches, row, strict=True):
                learnt.measured(size, length, seconds)
        return learnt

    def capacity(self, workers: int, most: int) -> float:
        """Items a second of a pod whose batches have the best size, each of items alike."""
        rows = zip(self.shares, self.by_size(most), strict=True)
        mean_s = sum(
            share * min(row[size] / size for size in range(1, most + 1)) for share, row in rows
        )
        return workers / mean_s

    def _at(self, row: Sequence[float], size: int) -> float:
        if len(row) == 1:
            return row[0] * size
        after = min(max(1, bisect_left(self.batches, size)), len(row) - 1)
        low, high = self.batches[after - 1], self.batches[after]
        return row[after - 1] + (size - low) * (row[after] - row[after - 1]) / (high - low)


class LatencyFile(BaseModel):
    """All measured models, and where they were measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    created: str
    command: str
    models: dict[str, LatencyTable]


def read_latencies(path: Path) -> LatencyFile:
    """Raises SystemExit with what is wrong with the file."""
    try:
        return LatencyFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SystemExit(
            f"{path} is not there; make it with python -m bench.scaling measure"
        ) from None
    except ValidationError as error:
        raise SystemExit(f"{path} is no table of latencies: {error}") from None
