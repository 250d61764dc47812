"""Tell file formats apart: supported images, known but unsupported images, and other files."""

from __future__ import annotations

import re

from octospoon.domain.errors import BadImage

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIC", "AVIF")
"""The supported formats."""
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif"),
    *(".heic", ".heif", ".hif", ".avif"),
)
"""The file name extensions of the supported formats."""
_EXTENSION = re.compile(r"\.(?=[0-9]*[a-z])[a-z0-9]{1,5}$", re.IGNORECASE)


def other_file(name: str) -> bool:
    """Return whether a name ends like that of another kind of file; one without an extension does not."""
    extension = _EXTENSION.search(name)
    return extension is not None and extension[0].lower() not in EXTENSIONS


_MAGIC = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_RAW = "a camera's raw photo"
_UNREAD: tuple[tuple[int, bytes, str], ...] = (
    (8, b"CR\x02", f"{_RAW} (Canon CR2)"),
    (6, b"HEAPCCDR", f"{_RAW} (Canon CRW)"),
    (0, b"FUJIFILMCCD-RAW", f"{_RAW} (Fujifilm RAF)"),
    (0, b"IIRO", f"{_RAW} (Olympus ORF)"),
    (0, b"IIRS", f"{_RAW} (Olympus ORF)"),
    (0, b"MMOR", f"{_RAW} (Olympus ORF)"),
    (0, b"IIU\0", f"{_RAW} (Panasonic RW2)"),
    (0, b"FOVb", f"{_RAW} (Sigma X3F)"),
    (0, b"\0MRM", f"{_RAW} (Minolta MRW)"),
    (0, b"ARRI", f"{_RAW} (ARRI)"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\0\0\2\0", "CUR"),
    (0, b"icns", "ICNS"),
    (0, b"v/1\1", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"#?RGBE", "Radiance HDR"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
    (0, b"\x8aMNG", "MNG"),
    (0, b"\x8bJNG", "JNG"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"\x97JB2", "JBIG2"),
    (0, b"\xab\x4b\x54\x58", "KTX"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"\x01\xda\x01", "SGI"),
    (0, b"\x01\xda\x00", "SGI"),
    (0, b"\x0a\x05\x01", "PCX"),
    (0, b"/* XPM */", "XPM"),
)
_OTHER: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (8, b"AVI ", "a video (AVI)"),
    (0, b"\0\0\1\xba", "a video (MPEG)"),
    (4, b"moov", "a video (QuickTime)"),
    (4, b"mdat", "a video (QuickTime)"),
)
_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
_AVIF = {b"avif", b"avis"}
_UNREAD_BRANDS = {
    b"crx ": f"{_RAW} (Canon CR3)",
    b"jxl ": "JPEG XL",
    b"jp2 ": "JPEG 2000",
    b"jpx ": "JPEG 2000",
    b"jph ": "JPEG 2000",
    b"j2ki": "JPEG 2000 in HEIF",
    b"j2is": "JPEG 2000 in HEIF",
    b"jpeg": "JPEG in HEIF",
    b"jpgs": "JPEG in HEIF",
    b"avci": "H.264 in HEIF",
    b"avcs": "H.264 in HEIF",
    b"vvic": "H.266 in HEIF",
    b"vvis": "H.266 in HEIF",
    b"evbi": "EVC in HEIF",
    b"evbs": "EVC in HEIF",
    b"unif": "uncompressed HEIF",
}


def format_of(data: bytes) -> str:
    """Return the format of a file, one of FORMATS.

    Raises:
        BadImage: reason ``not-an-image`` or ``unsupported``.
    """
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if (name := _first(_UNREAD, data)) or (name := _netpbm(data)):
        raise unread(name)
    for start, kind in _MAGIC.items():
        if data.startswith(start):
            return kind
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    what = _first(_OTHER, data)
    raise BadImage("not-an-image", what or f"not a {', '.join(FORMATS)} file")


def unread(name: str) -> BadImage:
    """Return the error for a valid file in an unsupported format."""
    return BadImage("unsupported", f"{name} is not read: convert it to one of {', '.join(FORMATS)}")


def _first(table: tuple[tuple[int, bytes, str], ...], data: bytes) -> str:
    return next((name for at, start, name in table if data.startswith(start, at)), "")


def _netpbm(data: bytes) -> str:
    return "Netpbm" if re.match(rb"P(?:[1-7]|[Ff])[ \t\r\n]+[#\d+WE]", data) else ""


def _by_brand(data: bytes) -> str:
    """Return the format of an ISO base media file, from its major brand and then its compatible brands."""
    size = min(int.from_bytes(data[:4], "big"), 1024)
    major = data[8:12]
    brands = [major] if major not in (b"mif1", b"mif2", b"msf1") else _compatible(data, size)
    if _AVIF.intersection(brands):
        return "AVIF"
    for brand in brands:
        if brand in _UNREAD_BRANDS:
            raise unread(_UNREAD_BRANDS[brand])
    if major in _HEIC:
        return "HEIC"
    raise BadImage("not-an-image", f"a video or another file of brand {major!r}, not an image")


def _compatible(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + 4] for at in range(16, min(size, len(data) - 3), 4)]
