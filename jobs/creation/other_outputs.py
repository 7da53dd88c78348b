"""The files that a run writes beside texts: which of them captionq has written already, and which are in the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobs.captions.outputs.side_files import foreign_json
from jobs.captions.outputs.side_names import json_path, xmp_path
from jobs.captions.text_files import fingerprint, read_output
from jobs.captions.text_places import TextPlace
from jobs.errors import OutputError
from jobs.options.delivery import DeliveryOptions
from jobs.requests import address_of
from jobs.store.store import Store
from jobs.store.written.written_files import WrittenFiles


class OtherOutputs:
    """The JSON files, sidecars and embedded captions of some hundreds of images."""

    def __init__(self, delivery: DeliveryOptions, store: Store) -> None:
        self.delivery = delivery
        self._files = WrittenFiles(store.engine)
        self._written: set[str] = set()

    def look_up(self, places: Sequence[TextPlace]) -> None:
        """Look up the images that `are_there` is asked about next."""
        if not self.delivery.writes_text:
            paths = (address_of(path) for one in places for path in self._paths(one.image, one.output))
            self._written = self._files.finished(paths)

    def are_there(self, image: Path, text: Path) -> bool:
        """Check whether captionq has written all files that the run would write for this image, and they still exist."""
        paths = self._paths(image, text)
        return all(address_of(path) in self._written and path.is_file() for path in paths)

    def refusal(self, place: TextPlace) -> OutputError | None:
        """Return the reason why an image's JSON file cannot be written; None: it can. XMP sidecars are added to."""
        if "json" not in self.delivery.output:
            return None
        path = json_path(place.output)
        try:
            there = read_output(path)
        except OutputError as error:
            return error
        if there is None or fingerprint(there) in self._files.hashes([address_of(path)]).get(address_of(path), ()):
            return None
        return foreign_json(path)

    def _paths(self, image: Path, text: Path) -> list[Path]:
        paths = [json_path(text)] if "json" in self.delivery.output else []
        paths += [xmp_path(image, text)] if "xmp" in self.delivery.output else []
        return paths + ([image] if self.delivery.embed else [])
