"""Metadata of images, as cameras and photo programs write it, and as hostile files hold it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin

from jobs.images.metadata import ImageMetadata, read_metadata
from jobs.images.xmp import parse_xmp

#: The form in which Lightroom writes a sidecar: simple values as attributes.
LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreateDate="2026-05-01T10:11:12.00" tiff:Make="Nikon" tiff:Model="Z 6" aux:Lens="NIKKOR 50mm"
    exif:GPSLatitude="48,51.504N" exif:GPSLongitude="2,17.67W">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">At the lake</rdf:li><rdf:li xml:lang="de">Am See</rdf:li></rdf:Alt></dc:title>
   <dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>boat</rdf:li></rdf:Bag></dc:subject>
   <Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Ada</rdf:li></rdf:Bag></Iptc4xmpExt:PersonInImage>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""
#: The form of digiKam's face regions.
FACES = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/">
  <mwg-rs:Regions><mwg-rs:RegionList><rdf:Bag>
   <rdf:li><rdf:Description mwg-rs:Name="Ada" mwg-rs:Type="Face"/></rdf:li>
   <rdf:li><rdf:Description><mwg-rs:Name>Grace</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type></rdf:Description></rdf:li>
   <rdf:li><rdf:Description mwg-rs:Name="Rex" mwg-rs:Type="Pet"/></rdf:li>
  </rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>
 </rdf:Description></rdf:RDF></x:xmpmeta>"""


def metadata_of(path: Path) -> ImageMetadata:
    """Read the metadata of an image file."""
    with Image.open(path) as image:
        return read_metadata(image, path)


def photo(
    path: Path, *, xmp: str | None = None, taken: str = "2026:11:28 14:03:59", saved: str = "", position: object = None
) -> Path:
    """Write a photo as a camera does."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS R5"
    exif.get_ifd(0x8769).update({0x9003: taken, 0xA434: "RF 35mm"})
    if saved:
        exif[0x0132] = saved
    position = position or tuple(TiffImagePlugin.IFDRational(part) for part in (48, 51, 30))
    exif.get_ifd(0x8825).update({1: "S", 2: position, 3: "E", 4: position})
    Image.new("RGB", (8, 8)).save(path, exif=exif, xmp=(xmp or "").encode())
    return path


def test_a_camera_s_exif_is_read(tmp_path: Path) -> None:
    """Dates get dashes, a make is not doubled, coordinates are decimal degrees."""
    found = metadata_of(photo(tmp_path / "photo.jpg"))
    assert (found.date, found.camera, found.lens) == ("2026-11-28 14:03:59", "Canon EOS R5", "RF 35mm")
    assert found.place == "-48.8583, 48.8583"


@pytest.mark.parametrize("unset", ["0000:00:00 00:00:00", "    :  :     :  :  "])
def test_a_clock_that_was_not_set_gives_no_date(tmp_path: Path, unset: str) -> None:
    """EXIF writes zeros or blanks then. The time at which a program saved the photo is taken, if it has one."""
    path = photo(tmp_path / "photo.jpg", taken=unset)
    assert metadata_of(path).date == ""
    assert metadata_of(photo(path, taken=unset, saved="2026:11:29 08:00:00")).date == "2026-11-29 08:00:00"


@pytest.mark.parametrize("position", [(48.0, 51.0), 48.5])
def test_damaged_coordinates_cost_no_other_value(tmp_path: Path, position: object) -> None:
    """The place alone is empty."""
    found = metadata_of(photo(tmp_path / "photo.jpg", position=position))
    assert (found.date, found.camera, found.place) == ("2026-11-28 14:03:59", "Canon EOS R5", "")


@pytest.mark.parametrize("name", ["photo.xmp", "photo.jpg.xmp"])
def test_a_sidecar_wins_over_the_file(tmp_path: Path, name: str) -> None:
    """Its values are a person's; values that it leaves out come from the file."""
    path = photo(tmp_path / "photo.jpg", xmp=FACES)
    assert metadata_of(path).people == "Ada, Grace"
    (tmp_path / name).write_text(LIGHTROOM.replace('aux:Lens="NIKKOR 50mm"', ""))
    found = metadata_of(path)
    assert found == ImageMetadata(
        date="2026-05-01 10:11:12",
        camera="Nikon Z 6",
        lens="RF 35mm",
        place="48.8584, -2.2945",
        title="At the lake",
        keywords="lake, boat",
        people="Ada",
    )


def test_iptc_s_keywords_are_read(tmp_path: Path) -> None:
    """In the form in which Photo Mechanic and older programs write them."""
    record = b"".join(
        b"\x1c\x02" + bytes([tag, 0, len(text)]) + text for tag, text in [(5, b"Lake"), (25, b"a"), (25, b"b")]
    )
    block = b"8BIM\x04\x04\0\0" + len(record).to_bytes(4) + record + b"\0" * (len(record) % 2)
    segment = b"Photoshop 3.0\0" + block
    with io.BytesIO() as buffer:
        Image.new("RGB", (8, 8)).save(buffer, "JPEG")
        data = buffer.getvalue()
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + data[2:])
    found = metadata_of(path)
    assert (found.title, found.keywords) == ("Lake", "a, b")


@pytest.mark.parametrize(
    "packet",
    [
        "<not xml",
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
        "\0" * 100,
        "",
    ],
    ids=["broken", "entities", "a file", "zeros", "empty"],
)
def test_a_hostile_sidecar_costs_only_its_own_values(tmp_path: Path, packet: str) -> None:
    """No entity is expanded, no file is read, and the image's own values stay."""
    path = photo(tmp_path / "photo.jpg")
    path.with_suffix(".xmp").write_text(packet)
    assert metadata_of(path).camera == "Canon EOS R5"


def test_values_are_one_line_without_control_characters(tmp_path: Path) -> None:
    """A title cannot move a terminal's cursor, nor fill a row."""
    path = photo(tmp_path / "photo.jpg")
    path.with_suffix(".xmp").write_text(
        LIGHTROOM.replace("At the lake", "At&#10;the\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 5000)
    )
    title = metadata_of(path).title
    assert title.startswith("At the x")
    assert len(title) == 1_000


def test_a_packet_may_leave_everything_out() -> None:
    """Every value is then empty."""
    assert not any(parse_xmp(b"<x/>").values())
