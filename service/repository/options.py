"""How models are opened and queued; the names of the knobs are Triton's."""

from dataclasses import dataclass, field

from model_zoo.manifest import Precision
from service.batching.cores import Cores
from service.batching.policy import BatchPolicy
from service.runtime.slot_decoder import DEFAULT_SLOTS
from service.runtime.threads import available_cpus
from service.tasks.images import ImageLimits

# How many waiting items are compared by cost to fill a batch, in batches.
LOOK_AHEAD = 4
# What takes longer, such as unpacking photographs, must gain by company to wait for it.
SHORT_BATCH_S = 0.05


def _all_cores() -> Cores:
    return Cores(available_cpus())


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The same for every model. `cores` are shared by all models that are loaded with them.

    `max_queue_s` bounds a queue in predicted seconds; `cache_bytes` is the size of each model's
    cache of answers, 0 for none.
    """

    providers: str = "auto"
    strict_providers: bool = False
    precision: Precision | None = None
    max_batch_size: int = 32
    decode_slots: int = DEFAULT_SLOTS
    max_queue_delay_s: float = 0.0
    max_queue_size: int = 256
    max_queue_s: float = 10.0
    share_identical: bool = True
    cache_bytes: int = 0
    workers: int | None = None
    image_limits: ImageLimits = field(default_factory=ImageLimits)
    cores: Cores = field(default_factory=_all_cores)

    def policy(self, *, is_continuous: bool = False) -> BatchPolicy:
        """The rules of a model's queue.

        Items travel with others of their cost, unless they come and go one by one.
        """
        return BatchPolicy(
            max_batch_size=self.max_batch_size,
            max_queue_size=self.max_queue_size,
            max_queue_delay_s=self.max_queue_delay_s,
            max_queue_s=self.max_queue_s,
            short_run_s=SHORT_BATCH_S,
            look_ahead=0 if is_continuous else LOOK_AHEAD * self.max_batch_size,
            is_padded=not is_continuous,
        )
