"""Everything that can be set, in one table; the only reader of the environment and the file.

A setting `max_queue_size` is the flag --max-queue-size, the variable SLIPWAY_MAX_QUEUE_SIZE and
the line `max_queue_size = …` of the TOML file; the earlier in this list, the stronger.
"""

from service.settings.model import SETTINGS, Settings
from service.settings.sources import SettingsError
from service.settings.table import Setting

__all__ = ["SETTINGS", "Setting", "Settings", "SettingsError"]
