"""Draws one of ten simple shapes in random shades, sizes and places, 32 x 32 pixels."""

from collections.abc import Callable
from colorsys import hsv_to_rgb

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from export.datasets.rows import Images

SIDE = 32
NOISE = 12.0  # standard deviation, in grey levels

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
Draw = ImageDraw.ImageDraw


def _disc(pen: Draw, box: Box, colour: Colour) -> None:
    pen.ellipse(box, fill=colour)


def _ring(pen: Draw, box: Box, colour: Colour) -> None:
    pen.ellipse(box, outline=colour, width=3)


def _square(pen: Draw, box: Box, colour: Colour) -> None:
    pen.rectangle(box, fill=colour)


def _frame(pen: Draw, box: Box, colour: Colour) -> None:
    pen.rectangle(box, outline=colour, width=3)


def _triangle(pen: Draw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    pen.polygon([((left + right) // 2, top), (right, bottom), (left, bottom)], fill=colour)


def _diamond(pen: Draw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    x, y = (left + right) // 2, (top + bottom) // 2
    pen.polygon([(x, top), (right, y), (x, bottom), (left, y)], fill=colour)


def _plus(pen: Draw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    x, y = (left + right) // 2, (top + bottom) // 2
    pen.line([(x, top), (x, bottom)], fill=colour, width=4)
    pen.line([(left, y), (right, y)], fill=colour, width=4)


def _saltire(pen: Draw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    pen.line([(left, top), (right, bottom)], fill=colour, width=4)
    pen.line([(left, bottom), (right, top)], fill=colour, width=4)


def _bars(pen: Draw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    for y in range(top, bottom, 5):
        pen.rectangle((left, y, right, min(y + 2, bottom)), fill=colour)


def _posts(pen: Draw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    for x in range(left, right, 5):
        pen.rectangle((x, top, min(x + 2, right), bottom), fill=colour)


PENS: dict[str, Callable[[Draw, Box, Colour], None]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "diamond": _diamond,
    "plus": _plus,
    "saltire": _saltire,
    "bars": _bars,
    "posts": _posts,
}
SHAPES = tuple(PENS)


def draw(shape: str, generator: Generator) -> Images:
    """One image, uint8 [32, 32, 3]."""
    ground, colour = _colours(shape, generator)
    image = Image.new("RGB", (SIDE, SIDE), ground)
    size = int(generator.integers(16, 25))
    left, top = (int(place) for place in generator.integers(2, SIDE - size - 2, size=2))
    PENS[shape](ImageDraw.Draw(image), (left, top, left + size, top + size), colour)
    noisy = np.asarray(image) + generator.normal(0, NOISE, (SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def _colours(shape: str, generator: Generator) -> tuple[Colour, Colour]:
    """A greyish ground, and a colour of the shape's own hue so that few rows teach it."""
    level = int(generator.integers(30, 200))
    red, green, blue = (level + int(tint) for tint in generator.integers(-20, 21, size=3))
    hue = (SHAPES.index(shape) + generator.uniform(-0.3, 0.3)) / len(SHAPES) % 1.0
    bright = hsv_to_rgb(hue, generator.uniform(0.7, 1.0), generator.uniform(0.7, 1.0))
    return (red, green, blue), (_level(bright[0]), _level(bright[1]), _level(bright[2]))


def _level(part: float) -> int:
    return round(255 * part)
