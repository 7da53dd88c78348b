"""JPEGs without their last bytes: decoded, with a flaw, if nearly all rows are there."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ImageError
from tests.support.scenes import draw
from worker.pixels.decode import decode_picture
from worker.pixels.decoder import Decoder
from worker.pixels.truncation import TRUNCATED

KINDS: dict[str, dict[str, object]] = {"baseline": {}, "progressive": {"progressive": True}, "full": {"subsampling": 0}}


def jpeg(image: Image.Image, **options: object) -> bytes:
    """Return the image as a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_pixels", [1_000_000, 30_000])
def test_the_last_bytes_may_be_missing(kind: str, max_pixels: int, settings: Settings) -> None:
    """1 to 64 missing bytes are a flaw, also if it is decoded small; a third of the file is refused."""
    settings = settings.model_copy(update={"max_pixels": max_pixels})
    content = jpeg(draw(7, (480, 360)).image, **KINDS[kind])
    for missing in (1, 2, 3, 16, 64):
        assert decode_picture(content[:-missing], settings).flaw == TRUNCATED
    assert decode_picture(content, settings).flaw is None
    assert decode_picture(content + b"garbage", settings).flaw is None
    for share in (0.1, 0.3):
        with pytest.raises(ImageError, match="is truncated"):
            decode_picture(content[: int(len(content) * share)], settings)


def test_rows_of_the_decoders_own_grey_are_counted(settings: Settings) -> None:
    """A grey picture without its end marker is whole; a picture of which the lower tenth is missing is refused."""
    grey = jpeg(Image.new("RGB", (256, 256), (128, 128, 128)))
    assert decode_picture(grey[:-2], settings).flaw == TRUNCATED
    noise = jpeg(Image.effect_noise((256, 1024), 80).convert("RGB"))
    assert decode_picture(noise[: int(len(noise) * 0.98)], settings).flaw == TRUNCATED
    with pytest.raises(ImageError, match="is truncated"):
        decode_picture(noise[: int(len(noise) * 0.9)], settings)


def test_the_decoder_process_reports_the_flaw(settings: Settings) -> None:
    """A slow picture's flaw comes back with its pixels."""
    decoder = Decoder(settings)
    assert decoder.decode(jpeg(draw(7, (128, 96)).image)[:-1]).flaw == TRUNCATED
    decoder.close()
