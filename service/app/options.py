"""What each room wants to know of the settings, in its own words."""

from model_zoo.catalog import Catalog
from service.http.application import CLASSIFY
from service.http.limits import Limits
from service.http.native import ItemLimits
from service.repository.options import LoadOptions
from service.settings import Settings
from service.tasks.images import ImageLimits


def catalog(settings: Settings) -> Catalog:
    """Where the models are."""
    return Catalog(settings.models) if settings.models is not None else Catalog()


def limits(settings: Settings) -> Limits:
    """How much of a request is read."""
    return Limits(
        body_bytes=settings.max_body_bytes,
        body_bytes_of={CLASSIFY: settings.max_image_bytes},
        body_s=settings.body_timeout_s,
    )


def item_limits(settings: Settings) -> ItemLimits:
    """How much one request may ask for."""
    return ItemLimits(max_items=settings.max_items, max_characters=settings.max_text_characters)


def load_options(settings: Settings) -> LoadOptions:
    """How models are opened and queued."""
    return LoadOptions(
        providers=",".join(settings.providers),
        strict_providers=settings.strict_providers,
        precision=None if settings.variant == "auto" else settings.variant,
        max_batch_size=settings.max_batch_size,
        decode_slots=settings.decode_slots,
        max_queue_delay_s=settings.max_queue_delay_ms / 1000,
        max_queue_size=settings.max_queue_size,
        max_queue_s=settings.max_queue_s,
        share_identical=settings.share_identical,
        cache_bytes=settings.cache_bytes,
        workers=settings.threads or None,
        image_limits=ImageLimits(
            max_pixels=settings.max_image_pixels, min_side=settings.min_image_side
        ),
    )
