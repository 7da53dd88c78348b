"""Lines of the summary about photos of a Photos library that a run left alone, and the way to have them captioned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cli.output.plurals import counted, counted_are
from jobs.images.walking.left_out import LeftOutPhotos


def left_out_photos_lines(photos: LeftOutPhotos) -> Iterator[str]:
    """Say how many photos were left out for each reason."""
    if names := photos.in_cloud:
        yield (
            f"{counted_are(len(names), 'photo')} in iCloud, not on this Mac ({_first(names)}): in the settings of Photos, "
            "under iCloud, choose Download Originals to this Mac, then run this again"
        )
    if names := photos.elsewhere:
        has, it = ("has", "it is") if len(names) == 1 else ("have", "they are")
        yield (
            f"{counted(len(names), 'photo')} {has} no file on this machine ({_first(names)}): connect the disk that {it} on, "
            "then run this again"
        )
    if names := photos.lost:
        lost = "has lost its file" if len(names) == 1 else "have lost their files"
        yield (
            f"{counted(len(names), 'photo')} {lost} ({_first(names)}): open Photos with Command and Option held down to repair "
            "the library, then run this again"
        )
    if photos.movies:
        yield f"{counted(photos.movies, 'movie')} left out"
    if photos.hidden:
        yield f"{counted(photos.hidden, 'hidden photo')} left out"
    if photos.of_others:
        them = "it" if photos.of_others == 1 else "them"
        yield f"{counted(photos.of_others, 'photo')} that others shared left out: save {them} in Photos to caption {them} too"


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}, …"
