"""Writes the dashboards; a test tells when that is due."""

from pathlib import Path

from monitoring import model, overview
from monitoring.files import as_json

FOLDER = Path(__file__).parent / "grafana" / "dashboards"


def texts() -> dict[str, str]:
    """What belongs into each file."""
    return {
        "overview.json": as_json(overview.dashboard()),
        "model.json": as_json(model.dashboard()),
    }


def main() -> None:
    """Write the files."""
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
