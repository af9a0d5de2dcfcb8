"""Why a model cannot be opened. These end a start, never a request, so HTTP does not know them.

EngineError
├── GraphMismatch         the graph is not what the manifest says, or is no graph at all
├── ProviderUnavailable   a provider is unknown, or was asked for strictly and does not run
├── VariantUnavailable    no variant of the model suits the providers
└── SelfTestFailed        a variant, or every one, gives other answers here than it should, or none
"""


class EngineError(Exception):
    """Root of the tree; the message names the graph, tensor, provider or variant at fault."""


class GraphMismatch(EngineError):
    """The graph's bytes are unreadable, or its tensors differ from what was promised."""


class ProviderUnavailable(EngineError):
    """The execution provider is not known here, or cannot run on this machine."""


class VariantUnavailable(EngineError):
    """The model has no variant of that precision, or none for these providers."""


class SelfTestFailed(EngineError):
    """The model's variants give other answers on this machine than when they were published, or
    none at all."""
