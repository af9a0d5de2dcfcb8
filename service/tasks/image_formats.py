"""Which files count as images: told apart by their first bytes, opened by their own reader only.

The readers are called directly, not through `Image.open`, which would try more formats than are
accepted and warn about sizes that are refused here anyway.
"""

import io
import warnings
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia
from service.tasks import jpeg
from service.tasks.image_headers import gif_is_sane, jpeg_is_sane, png_is_sane

# Set once at import: doing it around each call is not safe with threads.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

MAX_RUN_LENGTH_PIXELS = 4_000_000  # Pillow unpacks these in Python
_RUN_LENGTH = (1, 2)
_RUN_LENGTH_SPARE = 65_536  # bytes for headers and jumps
_KEY_SCALES = {"L;2": 85, "L;4": 17}  # what Pillow multiplies grey of few bits by


class Format(NamedTuple):
    """One kind of file: its name in messages, its signature, its reader, a check of its headers."""

    name: str
    matches: Callable[[bytes], bool]
    open: Callable[[io.BytesIO], ImageFile]
    is_sane: Callable[[bytes], bool] = bool


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Nobody asks for the DPI, and to look for it in long EXIF takes Pillow seconds."""


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_avif(head: bytes) -> bool:
    if head[4:8] != b"ftyp":
        return False
    # the brand may be a general one, with the coding among those it is compatible with
    return head[8:12] in (b"avif", b"avis") or b"avif" in head[16:]


_BUILT: tuple[tuple[Format, bool], ...] = (
    (Format("JPEG", _starts(b"\xff\xd8\xff"), _Jpeg, jpeg_is_sane), True),
    (Format("PNG", _starts(b"\x89PNG\r\n\x1a\n"), PngImageFile, png_is_sane), True),
    (Format("WebP", _is_webp, WebPImageFile), bool(features.check("webp"))),
    (Format("GIF", _starts(b"GIF87a", b"GIF89a"), GifImageFile, gif_is_sane), True),
    (Format("BMP", _starts(b"BM"), BmpImageFile), True),
    (Format("AVIF", _is_avif, AvifImageFile), bool(features.check("avif"))),
)
FORMATS: tuple[Format, ...] = tuple(entry for entry, built in _BUILT if built)
_NAMES = tuple(entry.name for entry in FORMATS)
ACCEPTED = ", ".join(_NAMES[:-1]) + " or " + _NAMES[-1]

_REFUSED: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("TIFF", _starts(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
    ("HEIC", lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1")),
    ("JPEG XL", _starts(b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", _starts(b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")),
    ("an icon", _starts(b"\x00\x00\x01\x00")),
    ("SVG or another XML file", lambda head: head.lstrip(b"\xef\xbb\xbf\r\n\t ")[:1] == b"<"),
    ("PDF", _starts(b"%PDF")),
    ("a Photoshop file", _starts(b"8BPS")),
    ("JSON", lambda head: head.lstrip()[:1] in (b"{", b"[")),
)


def recognise(data: bytes) -> Format:
    """The format of these bytes; UnsupportedMedia, naming what is accepted, for any other."""
    if not data:
        raise InvalidInput(f"The image is empty. Send the bytes of a {ACCEPTED} file.")
    head = data[:64]
    for entry in FORMATS:
        if entry.matches(head):
            return entry
    looks = next((f"looks like {name}, which" for name, matches in _REFUSED if matches(head)), None)
    subject = f"The file {looks} is not accepted" if looks else "The file is no image known here"
    raise UnsupportedMedia(f"{subject}. Send {ACCEPTED}.")


def open_image(data: bytes, entry: Format) -> ImageFile:
    """The image with its headers read and its pixels still packed.

    Whatever the reader raises on damaged headers passes through.
    """
    if not entry.is_sane(data):
        raise InvalidInput(
            f"The {entry.name} image has too many headers to be an ordinary one. "
            "Save it again without metadata, as JPEG or PNG."
        )
    if entry.name == "JPEG" and jpeg.has_too_many_scans(data):
        raise InvalidInput(
            f"The JPEG is stored in more than {jpeg.MAX_SCANS} passes. "
            "Save it again as an ordinary JPEG or as PNG."
        )
    image = entry.open(io.BytesIO(data))
    if entry.name == "BMP" and image.info.get("compression") in _RUN_LENGTH:
        width, height = image.size
        if width * height > MAX_RUN_LENGTH_PIXELS:
            raise PayloadTooLarge(
                f"A BMP with run-length compression may have {MAX_RUN_LENGTH_PIXELS:,} pixels at "
                f"most, this one has {width:,} x {height:,}. Send it as PNG or JPEG."
            )
        # two bytes a pixel and for the end of a row; pairs that add no pixel take time all the same
        if len(data) > 2 * (width + 1) * height + _RUN_LENGTH_SPARE:
            raise InvalidInput(
                "The BMP has far more run lengths than pixels, so it is damaged. "
                "Save it again as PNG or JPEG."
            )
    if entry.name == "PNG":
        _scale_key(image)
    return image


def _scale_key(image: ImageFile) -> None:
    """Bring the transparent grey to 8 bits; Pillow does so with the pixels only."""
    key = image.info.get("transparency")
    scale = _KEY_SCALES.get(str(image.tile[0].args)) if image.tile else None
    if scale and isinstance(key, int):
        image.info["transparency"] = (key & 255 // scale) * scale
