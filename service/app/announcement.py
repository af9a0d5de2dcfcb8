"""What a person at the terminal is told when all is ready; logs go to stderr."""

from service.http.application import CLASSIFY, SENTIMENT, TRANSLATE
from service.repository.models import Models

CURLS = {
    "image-classification": (CLASSIFY, "-H 'Content-Type: image/jpeg' --data-binary @photo.jpg"),
    "text-classification": (SENTIMENT, """-d '{"text": "A film to remember."}'"""),
    "translation": (TRANSLATE, """-d '{"text": "A dog runs across the street."}'"""),
}


def announcement(models: Models, address: str) -> str:
    """Where we are and what to try."""
    lines = [f"Slipway answers at {address} and explains itself at {address}/docs"]
    for task, (path, arguments) in CURLS.items():
        live = [model for model in models.live if model.manifest.task == task]
        lines += [f"  {model.name}/{model.version} ({model.variant})" for model in live]
        lines += [f"    curl {arguments} {address}{path}"] if live else []
    lines += [f"  broken: {found.name}/{found.version}: {found.reason}" for found in models.broken]
    return "\n".join(lines) + "\n"
