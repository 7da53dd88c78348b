"""The process that decodes slow and large images: bounded, replaced after a death, and ended with its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, EngineError, ImageError, ImageTooLargeError, ImageTooSlowError
from tests.support.bad_images import write_bad_images
from tests.support.odd_pictures import scanned_jpeg, write_png
from tests.support.processes import has_ended, until
from tests.support.scenes import draw, save_scenes
from worker.pixels.decode import decode
from worker.pixels.decoder import Decoder, _told_by_ps, resident_bytes

#: An image that takes long enough to decode to be interrupted in the middle.
SLOW = scanned_jpeg((9000, 9000), 500)


@pytest.fixture
def decoder(settings: Settings) -> Iterator[Decoder]:
    """A decoder with the usual limits."""
    decoder = Decoder(settings)
    yield decoder
    decoder.close()


def process_of(decoder: Decoder) -> psutil.Process:
    """Return the process that decodes."""
    assert decoder._process is not None
    return psutil.Process(decoder._process.popen.pid)


def error_of(decoder: Decoder, source: bytes | Path, name: str | None = None) -> CaptionqError:
    """Return the error of an image that cannot be decoded."""
    with pytest.raises(CaptionqError) as raised:
        decoder.decode(source, name=name)
    return raised.value


def test_the_pixels_are_those_of_the_workers_own_decoding(tmp_path: Path, settings: Settings, decoder: Decoder) -> None:
    """The images come from files and from bytes, scaled and turned."""
    for path in save_scenes(tmp_path / "in", 3, ".jpg"):
        for source in (path, path.read_bytes()):
            for limits in (settings, settings.model_copy(update={"max_pixels": 1024})):
                expected = decode(source, limits)
                assert decoder.decode(source, max_pixels=limits.max_pixels).image.tobytes() == expected.tobytes()


def test_a_bad_image_has_the_same_error_and_ends_no_process(
    tmp_path: Path, settings: Settings, decoder: Decoder
) -> None:
    """The error's code and message are those of the worker's own decoding."""
    decoder.decode(next(iter(save_scenes(tmp_path / "in", 1))))
    process = process_of(decoder)
    for name in write_bad_images(tmp_path / "bad"):
        error = error_of(decoder, tmp_path / "bad" / name)
        with pytest.raises(ImageError) as expected:
            decode(tmp_path / "bad" / name, settings)
        assert (type(error), error.message) == (type(expected.value), expected.value.message)
    assert process_of(decoder) == process


def test_an_image_that_takes_too_long_fails_and_the_next_one_is_decoded(tmp_path: Path, settings: Settings) -> None:
    """The error names the figure and the setting; the process is killed."""
    decoder = Decoder(settings.model_copy(update={"decode_seconds": 0.2}))
    error = error_of(decoder, SLOW, "slow.jpg")
    assert isinstance(error, ImageTooSlowError)
    assert error.message == "slow.jpg takes longer than 0.2 s to decode (CAPTIONQ_DECODE_SECONDS)."
    assert decoder._process is None
    # The next image gets the usual time: on a loaded machine the smallest takes longer than 0.2 s.
    decoder._settings = settings
    (path,) = save_scenes(tmp_path, 1)
    assert decoder.decode(path).image.tobytes() == decode(path, settings).tobytes()
    decoder.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not bound a process's memory")
def test_an_image_that_takes_too_much_memory_fails(tmp_path: Path, settings: Settings) -> None:
    """The header promised less: each layer of a TIFF's strips is as large as the whole image."""
    path = tmp_path / "large.tiff"
    draw(3, (6000, 4000)).image.save(path, compression="tiff_lzw", tiffinfo={278: 4000})
    # The estimate is 96 MB.
    decoder = Decoder(settings.model_copy(update={"decode_memory": 100_000_000}))
    error = error_of(decoder, path)
    assert isinstance(error, ImageTooLargeError)
    assert "CAPTIONQ_DECODE_MEMORY" in error.message
    decoder.close()


def test_large_pictures_take_little_more_than_their_own_pixels(tmp_path: Path, decoder: Decoder) -> None:
    """Sixteen bits become eight, and alpha white, in bands instead of copies of the whole image."""
    write_png(tmp_path / "grey.png", (7000, 7000), depth=16, colour=0, pixel=b"\x80\x10")
    write_png(tmp_path / "alpha.png", (7000, 7000), depth=8, colour=6, pixel=b"\x80\x10\x20\x80")
    peaks = {}
    for name in ("grey.png", "alpha.png"):
        code = (
            "import resource, sys; from pathlib import Path\n"
            "from jobs.configuration.settings import Settings\n"
            "from worker.pixels.decode import decode\n"
            "settings = Settings(data_dir=Path(sys.argv[1])); one = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "decode(Path(sys.argv[2]), settings); before = one()\n"
            "decode(Path(sys.argv[3]), settings); print(one() - before)\n"
        )
        write_png(tmp_path / "first.png", (64, 64), depth=16, colour=0, pixel=b"\x80\x10")
        arguments = [str(tmp_path / entry) for entry in ("data", "first.png", name)]
        ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True)
        peaks[name] = int(ran.stdout) * (1 if sys.platform == "darwin" else 1024)
    # 98 MB and 196 MB of pixels; conversions of the whole images took 1,200 and 590.
    assert peaks["grey.png"] < 250_000_000
    assert peaks["alpha.png"] < 350_000_000


def test_a_decoder_that_is_killed_fails_its_image_and_no_other(tmp_path: Path, settings: Settings) -> None:
    """A native decoder may crash; the next image gets a new process."""
    decoder = Decoder(settings)
    (path,) = save_scenes(tmp_path, 1)
    decoder.decode(path)
    process = process_of(decoder)
    errors: list[CaptionqError] = []
    thread = threading.Thread(target=lambda: errors.append(error_of(decoder, SLOW, "slow.jpg")))
    thread.start()
    until(lambda: decoder._turn.locked(), "the slow image is being decoded")
    process.send_signal(signal.SIGKILL)
    thread.join()
    assert errors[0].code == "image_parse_error"
    assert decoder.decode(path).image.size == decode(path, settings).size
    assert process_of(decoder) != process
    decoder.close()


def test_closing_ends_the_decoding_of_an_image(tmp_path: Path, settings: Settings) -> None:
    """A worker that stops waits for no slow image, and starts no new process."""
    decoder = Decoder(settings)
    (path,) = save_scenes(tmp_path, 1)
    decoder.decode(path)
    process = process_of(decoder)
    errors: list[CaptionqError] = []
    thread = threading.Thread(target=lambda: errors.append(error_of(decoder, SLOW)))
    thread.start()
    until(lambda: decoder._turn.locked(), "the slow image is being decoded")
    decoder.close()
    thread.join()
    assert len(errors) == 1
    assert not process.is_running()
    assert isinstance(error_of(decoder, path), EngineError)


def test_the_process_ends_with_its_worker(tmp_path: Path) -> None:
    """The process ends also if its worker is killed while an image waits or is decoded."""
    (tmp_path / "slow.jpg").write_bytes(SLOW)
    # The worker is killed when the order is on its way, however slowly the process reads.
    code = (
        "import sys; from pathlib import Path\n"
        "from jobs.configuration.settings import Settings\n"
        "from worker.pixels.decoder import Decoder\n"
        "from worker.pixels.decoder_process import Order\n"
        "process = Decoder(Settings(data_dir=Path(sys.argv[1]), decode_seconds=0.1))._running()\n"
        "process.wait_until_ready()\n"
        "process.connection.send(Order(Path(sys.argv[2]), None, 'slow.jpg'))\n"
        "print(process.popen.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data"), str(tmp_path / "slow.jpg")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        process = psutil.Process(int(worker.stdout.readline()))
        worker.kill()
    until(lambda: has_ended(process), "it ends")


def test_the_memory_of_a_process_is_known() -> None:
    """The memory of a live process is its resident bytes, and 0 for a process that has ended."""
    assert 10_000_000 < resident_bytes(os.getpid()) < 100_000_000_000
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert resident_bytes(ended.pid) == 0


@pytest.mark.parametrize("suffix", ["bmp", "tiff", "lzw.tiff", "png", "jpg", "webp"])
def test_a_file_that_is_cut_short_while_it_is_decoded_fails_only_its_image(
    tmp_path: Path, settings: Settings, suffix: str
) -> None:
    """A file mapped into memory would kill the process that reads it (SIGBUS), so the test runs in a process of its own."""
    path = tmp_path / f"a.{suffix}"
    options = {"compression": "tiff_lzw"} if "lzw" in suffix else {}
    # Pillow maps grey pictures, and not those of three channels.
    draw(3, (1200, 900)).image.convert("L").save(path, **options)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from PIL import Image, ImageFile\n"
        "from jobs.errors import ImageError; from jobs.configuration.settings import Settings\n"
        "from worker.pixels.decode import decode\n"
        "load = ImageFile.ImageFile.load_prepare\n"
        "def cut(image):\n"
        "    load(image)\n"
        "    os.truncate(sys.argv[2], 500)\n"
        "ImageFile.ImageFile.load_prepare = cut\n"
        "try:\n"
        "    print(decode(Path(sys.argv[2]), Settings(data_dir=Path(sys.argv[1]))).size)\n"
        "except ImageError as error:\n"
        "    print(error.code)\n"
    )
    arguments = [str(settings.data_dir), str(path)]
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    # WebP and small files are read as a whole when they are opened.
    assert ran.stdout.strip() in ("image_parse_error", "(1182, 887)")


def test_a_mac_tells_the_memory_of_a_process_without_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker holds a model, and asks ten times a second while a slow image is decoded."""

    def forbidden(*_: object) -> int:
        raise AssertionError("the worker forked")

    monkeypatch.setattr("subprocess._fork_exec", forbidden)
    assert _told_by_ps(os.getpid()) == pytest.approx(resident_bytes(os.getpid()), rel=0.2)
