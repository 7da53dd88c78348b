"""Reading XMP packets (ISO 16684-1) as Lightroom, digiKam, darktable and exiftool write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
}
#: Properties that may hold a value, the best first.
_PROPERTIES = {
    "date": ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate"),
    "lens": ("exifEX:LensModel", "aux:Lens"),
    "title": ("dc:title", "photoshop:Headline"),
    "keywords": ("dc:subject",),
}


def parse_xmp(packet: bytes) -> dict[str, str]:
    """Return the values of a packet by the names of `ImageMetadata`; values that it does not hold are empty or missing.

    Raises ValueError for a packet that is not XML.
    """
    root = parse_xml(packet)
    found = {name: next(filter(None, (_joined(root, one) for one in names)), "") for name, names in _PROPERTIES.items()}
    found["date"] = found["date"].replace("T", " ")[:19]
    found["camera"] = " ".join(filter(None, (_camera_make(root), _joined(root, "tiff:Model"))))
    found["place"] = _place(_joined(root, "exif:GPSLatitude"), _joined(root, "exif:GPSLongitude"))
    people = [
        *_values(descriptions(root), "Iptc4xmpExt:PersonInImage"),
        # Within the regions of the picture.
        *_values(root.iter("*"), "MPReg:PersonDisplayName"),
        *_faces(root),
    ]
    found["people"] = ", ".join(dict.fromkeys(people))
    return found


def parse_xml(packet: bytes) -> _Element:
    """Parse a packet. Entities are not expanded, and nothing is fetched. Raises ValueError."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    # Of UTF-16, whose signs hold NULs, half of the last one would be stripped.
    content = packet if packet.startswith((b"\xff\xfe", b"\xfe\xff")) else packet.strip(b"\0 \r\n\t")
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"The XMP cannot be read: {error}") from error


def _qualified(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def descriptions(root: _Element) -> list[_Element]:
    """Return the elements that hold the picture's own properties.

    Deeper ones describe other things: a region of the picture, or the pictures that it was made of (`xmpMM:Pantry`).
    """
    rdf = next(root.iter(f"{_RDF}RDF"), None)
    return [] if rdf is None else rdf.findall(f"{_RDF}Description")


def _values(parents: Iterable[_Element], name: str) -> Iterator[str]:
    """Yield the values of a property: attributes, elements, and items of lists. Of alternatives by language only the first."""
    wanted = _qualified(name)
    for parent in parents:
        if value := parent.get(wanted, "").strip():
            yield value
        for element in parent.findall(wanted):
            items = [item.text.strip() for item in element.iter(f"{_RDF}li") if item.text and item.text.strip()]
            if element.find(f"{_RDF}Alt") is not None:
                items = items[:1]
            yield from items or ([element.text.strip()] if element.text and element.text.strip() else [])


def _joined(root: _Element, name: str) -> str:
    return ", ".join(dict.fromkeys(_values(descriptions(root), name)))


def _camera_make(root: _Element) -> str:
    """Return the make, unless the model's name begins with it."""
    make, model = _joined(root, "tiff:Make"), _joined(root, "tiff:Model")
    return "" if model.casefold().startswith(make.casefold()) else make


def _faces(root: _Element) -> Iterator[str]:
    """Yield the names of face regions, as digiKam and Lightroom write them."""
    name, kind = _qualified("mwg-rs:Name"), _qualified("mwg-rs:Type")
    for element in root.iter("*"):
        found = element.get(name) or element.findtext(name)
        if found and (element.get(kind) or element.findtext(kind) or "Face") == "Face":
            yield found.strip()


def _place(latitude: str, longitude: str) -> str:
    """Return coordinates in degrees from XMP's `48,51.504N` or `48,51,30N` and its like."""
    try:
        return f"{_degrees(latitude):.4f}, {_degrees(longitude):.4f}"
    except ValueError:
        return ""


def _degrees(text: str) -> float:
    parts = [float(part) for part in text.rstrip("NSEWnsew").split(",")]
    value: float = sum(part / 60**place for place, part in enumerate(parts))
    return -value if text[-1:].upper() in ("S", "W") else value
