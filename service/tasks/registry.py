"""From a manifest to the task that gives its model meaning."""

from collections.abc import Callable
from typing import Any

from model_zoo.manifest import ImageInput, Manifest, TextInput
from service.tasks.base import Task
from service.tasks.image_classification import ImageClassification
from service.tasks.images import ImageLimits
from service.tasks.sentiment import Sentiment
from service.tasks.translation import Translation

AnyTask = Task[Any, Any, Any, Any, Any]


def make_task(
    manifest: Manifest, read: Callable[[str], bytes], image_limits: ImageLimits | None = None
) -> AnyTask:
    """The task of this model; `read` gives the bytes of a file that the manifest lists.

    Raises what `read` raises, and ValueError when a tokenizer file is none.
    """
    spec = manifest.preprocessing
    if isinstance(spec, ImageInput):
        return ImageClassification(manifest, spec, image_limits)
    if isinstance(spec, TextInput):
        return Sentiment(manifest, spec, read(spec.tokenizer))
    return Translation(manifest, spec, read(spec.tokenizer))
