"""Lines about images of a run that other runs and requests have queued already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cli.output.plurals import counted_are
from jobs.creation.folder_run import Submission


def shared_images_lines(submission: Submission) -> Iterator[str]:
    """Name the runs and requests that are followed, and those that ask another question, with the way out."""
    for maker, count in Counter(writer.maker for writer in submission.followed).items():
        yield f"{counted_are(count, 'image')} being captioned by {maker}: following."
    for (maker, batch_id), count in Counter((one.maker, one.batch_id) for one in submission.refused).items():
        yield (
            f"{counted_are(count, 'image')} being captioned by {maker} with another question; "
            f"run this again when it has ended, or cancel it: captionq jobs cancel {batch_id}"
        )
