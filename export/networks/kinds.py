"""The kinds of network that a recipe can make; torch is not needed to name them."""

from typing import Literal, get_args

TextKind = Literal["lstm", "gru", "cnn"]
ImageKind = Literal["resnet", "mlp"]

TEXT_KINDS: tuple[TextKind, ...] = get_args(TextKind)
IMAGE_KINDS: tuple[ImageKind, ...] = get_args(ImageKind)
