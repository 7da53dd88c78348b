"""XMP packets with a caption (ISO 16684-1): a new one, or an existing one of which every other field stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from jobs.images.xmp import descriptions, parse_xml

if TYPE_CHECKING:
    from lxml.etree import _Element

_X = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_LR = "http://ns.adobe.com/lightroom/1.0/"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
#: The wrapper of a packet, with the id that the specification prescribes; `w` allows programs to write it.
_BEGIN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = b'\n<?xpacket end="w"?>\n'
#: The separator of the levels of a hierarchical keyword, as Lightroom and digiKam write it.
LEVELS = "|"


def with_caption(
    packet: bytes | None, description: str | None, keywords: Sequence[str] = (), removed: Sequence[str] = ()
) -> bytes:
    """Return a packet that holds the caption.

    Args:
        packet: the existing packet, of which other fields and other languages stay; None: a new one is made.
        description: sets `dc:description` in the default language; None: it stays as it is.
        keywords: are added to `dc:subject`. A keyword with levels (`animal|cat`) also goes to `lr:hierarchicalSubject`.
        removed: keywords that both lists lose.

    Raises ValueError for a packet that is not XMP.
    """
    from lxml import etree

    root = parse_xml(packet) if packet is not None else _new_root()
    rdf = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f"{{{_RDF}}}RDF")
    if rdf is None:
        raise ValueError("The file holds no XMP.")
    if description is not None:
        _set_description(rdf, _xml_text(description))
    _remove(rdf, {_xml_text(name) for keyword in removed for name in (keyword, keyword.rpartition(LEVELS)[2])})
    _add(rdf, f"{{{_DC}}}subject", [_xml_text(keyword.rpartition(LEVELS)[2]) for keyword in keywords])
    _add(rdf, f"{{{_LR}}}hierarchicalSubject", [_xml_text(keyword) for keyword in keywords if LEVELS in keyword])
    etree.indent(root, space=" ")
    return _BEGIN + etree.tostring(root, encoding="utf-8", with_tail=False) + _END


def description_of(packet: bytes) -> str:
    """Return `dc:description` in the default language; empty if there is none. Raises ValueError for a packet that is not XML."""
    name = f"{{{_DC}}}description"
    parents = descriptions(parse_xml(packet))
    # As an attribute of its parent, a property has a single value.
    if short := next((parent.get(name) for parent in parents if parent.get(name)), None):
        return short
    found = _property(parents, name)
    if found is None:
        return ""
    # Some programs write a plain value instead of a list.
    items = list(found.iter(f"{{{_RDF}}}li")) or [found]
    return next((item.text or "" for item in items if item.get(_LANG, "x-default") == "x-default"), "")


def _property(parents: Iterable[_Element], name: str) -> _Element | None:
    return next((found for parent in parents if (found := parent.find(name)) is not None), None)


def _new_root() -> _Element:
    from lxml import etree

    root = etree.Element(f"{{{_X}}}xmpmeta", nsmap={"x": _X})
    root.set(f"{{{_X}}}xmptk", "captionq")
    rdf = etree.SubElement(root, f"{{{_RDF}}}RDF", nsmap={"rdf": _RDF})
    etree.SubElement(rdf, f"{{{_RDF}}}Description").set(f"{{{_RDF}}}about", "")
    return root


def _set_description(rdf: _Element, text: str) -> None:
    alternatives = _list_in(rdf, f"{{{_DC}}}description", "Alt")
    for item in alternatives:
        if item.get(_LANG, "x-default") == "x-default":
            item.text = text
            item.set(_LANG, "x-default")
            return
    item = _append(alternatives, text)
    item.set(_LANG, "x-default")
    # The default language has to come first.
    alternatives.insert(0, item)


def _add(rdf: _Element, name: str, values: Sequence[str]) -> None:
    """Add values to a list without order. Values that it holds already are not added again."""
    if not values:
        return
    items = _list_in(rdf, name, "Bag")
    there = {(item.text or "").casefold() for item in items}
    for value in dict.fromkeys(values):
        if value.casefold() not in there:
            _append(items, value)


def _remove(rdf: _Element, values: Collection[str]) -> None:
    for name in (f"{{{_DC}}}subject", f"{{{_LR}}}hierarchicalSubject") if values else ():
        for found in rdf.findall(f"{{{_RDF}}}Description/{name}"):
            for item in [one for one in found.iter(f"{{{_RDF}}}li") if one.text in values]:
                parent = item.getparent()
                assert parent is not None
                parent.remove(item)


def _list_in(rdf: _Element, name: str, kind: str) -> _Element:
    """Return the list of a property, which is made if there is none."""
    from lxml import etree

    found = _property(descriptions(rdf), name)
    if found is None:
        description = rdf.find(f"{{{_RDF}}}Description")
        if description is None:
            description = etree.SubElement(rdf, f"{{{_RDF}}}Description")
            description.set(f"{{{_RDF}}}about", "")
        prefix = {_DC: "dc", _LR: "lr"}[etree.QName(name).namespace or ""]
        found = etree.SubElement(description, name, nsmap={prefix: etree.QName(name).namespace})
    for tag in ("Alt", "Bag", "Seq"):
        if (items := found.find(f"{{{_RDF}}}{tag}")) is not None:
            return items
    # A plain value, which some programs write: it becomes the first item.
    text, found.text = found.text, None
    items = etree.SubElement(found, f"{{{_RDF}}}{kind}")
    if text and text.strip():
        _append(items, text.strip())
    return items


def _append(items: _Element, text: str) -> _Element:
    from lxml import etree

    item = etree.SubElement(items, f"{{{_RDF}}}li")
    item.text = text
    return item


def _xml_text(text: str) -> str:
    """Replace the characters that XML 1.0 cannot hold."""
    return "".join(
        char if char in "\t\n\r" or (ord(char) >= 0x20 and ord(char) not in (0xFFFE, 0xFFFF)) else " " for char in text
    )
