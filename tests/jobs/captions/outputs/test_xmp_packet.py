"""XMP packets: a caption goes in, everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions.outputs.xmp_packet import description_of, with_caption
from jobs.images.xmp import parse_xmp

#: A sidecar in Lightroom's form: develop settings, a history, a title in two languages, keywords.
LIGHTROOM = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   crs:Exposure2012="+0.35"
   xmp:Rating="4">
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">old</rdf:li>
     <rdf:li xml:lang="de">alt</rdf:li>
    </rdf:Alt>
   </dc:description>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>lake</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <crs:ToneCurvePV2012>
    <rdf:Seq>
     <rdf:li>0, 0</rdf:li>
     <rdf:li>255, 255</rdf:li>
    </rdf:Seq>
   </crs:ToneCurvePV2012>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""


def test_other_fields_of_a_sidecar_stay_byte_by_byte() -> None:
    """Develop settings, ratings, other languages, and the keywords that are there."""
    content = with_caption(LIGHTROOM, "A boat on a lake.", ["Lake", "boat", "animal|cat"])
    assert b'<rdf:li xml:lang="x-default">A boat on a lake.</rdf:li>' in content
    for kept in (b'xml:lang="de">alt<', b'crs:Exposure2012="+0.35"', b'xmp:Rating="4"', b"<rdf:li>255, 255</rdf:li>"):
        assert kept in content
    assert parse_xmp(content)["keywords"] == "lake, boat, cat"
    assert b"<rdf:li>animal|cat</rdf:li>" in content
    assert b"Adobe XMP Core 7.0" in content


#: A face whose region has a text and keywords of its own (Guidelines for Handling Image Metadata, mwg-rs:Extensions).
REGION = (
    LIGHTROOM[: LIGHTROOM.index(b"   <dc:description>")]
    + b"""   <mwg-rs:Regions rdf:parseType="Resource"
     xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/">
    <mwg-rs:RegionList>
     <rdf:Bag>
      <rdf:li>
       <rdf:Description mwg-rs:Name="Ann" mwg-rs:Type="Face">
        <mwg-rs:Extensions rdf:parseType="Resource">
         <dc:description><rdf:Alt><rdf:li xml:lang="x-default">her hat</rdf:li></rdf:Alt></dc:description>
         <dc:subject><rdf:Bag><rdf:li>hat</rdf:li></rdf:Bag></dc:subject>
        </mwg-rs:Extensions>
       </rdf:Description>
      </rdf:li>
     </rdf:Bag>
    </mwg-rs:RegionList>
   </mwg-rs:Regions>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""
)


def test_the_text_and_the_keywords_of_a_region_are_not_those_of_the_picture() -> None:
    """They stay with their region."""
    assert description_of(REGION) == ""
    content = with_caption(REGION, "A boat.", ["boat"], ["hat"])
    assert description_of(content) == "A boat."
    assert (parse_xmp(content)["keywords"], parse_xmp(content)["people"]) == ("boat", "Ann")
    assert content.count(b"her hat") == content.count(b"<rdf:li>hat</rdf:li>") == 1


def test_a_sidecar_in_utf_16_is_one() -> None:
    """The specification allows it. What captionq writes is UTF-8."""
    packet = LIGHTROOM.replace(b"lake", b"B\xc3\xa4r").decode().encode("utf-16")
    assert description_of(packet) == "old"
    content = with_caption(packet, "A boat.", ["boat"])
    assert parse_xmp(content)["keywords"] == "B\u00e4r, boat"
    assert content.decode().count("A boat.") == 1


def test_a_second_caption_replaces_the_first() -> None:
    """Writing the same again changes nothing."""
    once = with_caption(LIGHTROOM, "A boat.", ["boat"])
    assert with_caption(once, "A boat.", ["boat"]) == once
    assert b"A boat." not in with_caption(once, "A ship.")


@given(st.text(min_size=1).filter(str.strip), st.lists(st.text(min_size=1).filter(str.strip), max_size=3))
def test_a_new_packet_holds_any_text(description: str, keywords: list[str]) -> None:
    """Also control characters, which XML cannot hold, and characters that are markup."""
    packet = with_caption(None, description, keywords)
    assert packet.startswith(b"<?xpacket begin=")
    assert with_caption(packet, description, keywords) == packet


@pytest.mark.parametrize(
    "body", [b"<dc:description>old</dc:description>", b"<dc:description><rdf:Alt/></dc:description>", b""]
)
def test_other_forms_of_a_description_are_understood(body: bytes) -> None:
    """A plain value, an empty list, no value."""
    start, end = LIGHTROOM.index(b"<dc:description>"), LIGHTROOM.index(b"</dc:description>") + len(b"</dc:description>")
    content = with_caption(LIGHTROOM[:start] + body + LIGHTROOM[end:], "A boat.")
    assert content.count(b"A boat.") == 1
    assert b'xml:lang="x-default">A boat.<' in content


@pytest.mark.parametrize("packet", [b"", b"<html/>", b"not xml"])
def test_a_file_that_is_not_xmp_is_refused(packet: bytes) -> None:
    """It may be a person's file of another kind."""
    with pytest.raises(ValueError, match="XMP"):
        with_caption(packet, "A boat.")
