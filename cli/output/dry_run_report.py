"""The report of a dry run: numbers and reasons for a person, an object an image for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.filesize import decimal

from cli.output.left_out_lines import left_out_lines
from cli.output.plurals import counted
from cli.output.report import SHOWN_FAILURES, JsonReport, Report
from jobs.captions.outputs.job_record import path_for_programs, shown_path
from jobs.creation.existing_texts import AlreadyAdded, PendingImage, SkippedImage, WrittenByHand
from jobs.requests import address_of
from jobs.store.written.output_writers import TakenUp, Writer

HAS_TEXT = "has a text already"
HAS_FILES = "has these files already"
HAS_ADDITION = "its text has this addition already"
BY_HAND = "its text was written by hand"


def print_plan(
    wanted: Sequence[PendingImage],
    skipped: Sequence[SkippedImage],
    taken: TakenUp,
    *,
    model: str,
    missing: int,
    report: Report,
) -> None:
    """Print the plan of a dry run.

    Args:
        wanted: images that need a text.
        skipped: images that keep their text.
        taken: the jobs that would be queued, resumed, followed or refused.
        missing: bytes of the model that would be downloaded.
        report: of the run; it has the images that were left out.
    """
    if isinstance(report, JsonReport):
        for row in _rows(wanted, skipped, taken, writes_text=report.writes_text):
            report.object(row)
    for line in _lines(wanted, skipped, taken, writes_text=report.writes_text):
        report.line(line)
    for line in left_out_lines(report.left_out):
        report.line(line)
    if report.left_out.excluded:
        report.line(f"{counted(report.left_out.excluded, 'image')} or folders excluded by --exclude")
    here = f"to be downloaded first, {decimal(missing)}" if missing else "on this machine"
    report.line(f"Model: {model} ({here})")
    report.line("Dry run: nothing was written, queued or started.")


def _lines(
    wanted: Sequence[PendingImage], skipped: Sequence[SkippedImage], taken: TakenUp, *, writes_text: bool
) -> Iterator[str]:
    refused = [one for one in wanted if one.refusal is not None]
    to_caption = len(taken.queued) + len(taken.resumed)
    total = len(wanted) + len(skipped)
    yield f"{counted(total, 'image')}: {to_caption} to caption, {len(skipped)} to skip, {len(refused)} that will fail"
    if taken.resumed:
        yield f"{counted(len(taken.resumed), 'image')} of an interrupted run: resumed"
    by_hand = sum(isinstance(one, WrittenByHand) for one in skipped)
    added = sum(isinstance(one, AlreadyAdded) for one in skipped)
    if with_files := len(skipped) - by_hand - added:
        what = "a text" if writes_text else "these files"
        yield f"Skipped: {counted(with_files, 'image')} with {what} (--existing replace asks again)"
    if added:
        yield f"Skipped: {counted(added, 'image')} with this addition (to add another, ask another question)"
    if by_hand:
        yield f"Skipped: {counted(by_hand, 'image')} with a text that was written by hand (--force replaces it too)"
    for writers, fate in ((taken.followed, "followed"), (taken.refused, "left to others: they ask something else")):
        for maker, count in Counter(writer.maker for writer in writers).items():
            yield f"{counted(count, 'image')} queued by {maker} already: {fate}"
    for one in refused[:SHOWN_FAILURES]:
        yield f"  {shown_path(address_of(one.image))}: {one.refusal}"
    if (more := len(refused) - SHOWN_FAILURES) > 0:
        yield f"  and {more} more: --format json lists all"


def _rows(
    wanted: Sequence[PendingImage], skipped: Sequence[SkippedImage], taken: TakenUp, *, writes_text: bool
) -> Iterator[dict[str, object]]:
    followed, refused = _by_output(taken.followed), _by_output(taken.refused)
    for one in wanted:
        row: dict[str, object] = {
            "image": path_for_programs(address_of(one.image)),
            "output": path_for_programs(address_of(one.output)),
        }
        address = address_of(one.output)
        if one.refusal is not None:
            yield {**row, "action": "fail", "reason": str(one.refusal)}
        elif address in refused:
            yield {**row, "action": "leave", "reason": f"queued by {refused[address].maker}"}
        elif address in followed:
            yield {**row, "action": "follow", "reason": f"queued by {followed[address].maker}"}
        else:
            yield {**row, "action": "caption", "reason": None}
    for kept in skipped:
        yield {
            "image": path_for_programs(address_of(kept.image)),
            "output": path_for_programs(address_of(kept.output)),
            "action": "skip",
            "reason": _reason(kept, writes_text=writes_text),
        }


def _reason(kept: SkippedImage, *, writes_text: bool) -> str:
    match kept:
        case WrittenByHand():
            return BY_HAND
        case AlreadyAdded():
            return HAS_ADDITION
        case _:
            return HAS_TEXT if writes_text else HAS_FILES


def _by_output(writers: Sequence[Writer]) -> dict[str, Writer]:
    return {writer.output: writer for writer in writers}
