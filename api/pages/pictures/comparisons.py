"""A comparison: pictures of a run are asked about again, with another prompt or model, and a person picks the better answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from api.pages.pictures.picture_changes import edit, question_of, undo_edit
from api.pages.run_changes import check_files
from api.runtime.resources import Resources
from jobs.captions.wording.composition import composed
from jobs.chunks import chunked
from jobs.creation.backpressure import check_room
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.large_batch import make_batch
from jobs.creation.review import asked_otherwise
from jobs.errors import ConflictError, InvalidRequestError
from jobs.models.model_info import check_sees, public_name
from jobs.store.pictures.follow_ups import Pair, add_comparison, add_follow_ups
from jobs.store.tables import Batch, Job, JobStatus, Lane

#: Pictures of a comparison. All are queued while the browser waits.
MOST_PICTURES = 10_000


def start_comparison(
    base: Batch, ids: Sequence[str], count: int, prompt: str, model: str, resources: Resources
) -> Batch:
    """Ask about pictures of a run again, in the bulk lane. Neither its answers nor its files change.

    Args:
        base: the run.
        ids: the jobs of the pictures to choose from.
        count: number of pictures; of more than that, some in equal distances are taken.
        prompt: the question; empty: the same one.
        model: public name; empty: the same one.

    Raises InvalidRequestError, ModelError, LaneFullError, ForbiddenError.
    """
    sample = spread(ids, min(count, MOST_PICTURES))
    if not sample:
        raise InvalidRequestError("There is no picture to compare. Choose other pictures of the run.")
    first = resources.store.job(sample[0])
    wanted = None if prompt in ("", question_of(first)) else prompt
    name = None if model in ("", public_name(first.model)) else _vision_model(model, resources)
    if wanted is None and name is None:
        raise InvalidRequestError("Change the prompt or the model: there is nothing to compare otherwise.")
    check_room(resources.store, resources.connection, Lane.BULK, len(sample), resources.settings)
    batch = Batch(description=f"{base.description} (compared)", model=name or first.model)
    chunks = _chunks(batch, base, sample, wanted, name, resources)
    make_batch(batch, chunks, (), store=resources.store, connection=resources.connection)
    return batch


def spread(ids: Sequence[str], count: int) -> list[str]:
    """Return so many of the ids, in equal distances."""
    count = min(count, len(ids))
    return [ids[place * len(ids) // count] for place in range(count)]


def second_caption(pair: Pair) -> str | None:
    """Return the second answer as the run would have written it to a file; None: there is none."""
    second = pair.second
    if second.status != JobStatus.SUCCEEDED or second.text is None:
        return None
    free_text = second.parsed_request().response_format is None
    return composed(second.text, second.parsed_delivery(), free_text=free_text)


def write_second(pair: Pair, resources: Resources) -> None:
    """Write the second answer into the files of the first job, as an edit. Raises as `edit`, and ConflictError."""
    text = second_caption(pair)
    if text is None:
        raise ConflictError("The second answer is not there yet.")
    edit(pair.first, text, pair.first.caption or "", resources)


def take_second_back(pair: Pair, resources: Resources) -> None:
    """Take that edit back. Raises as `undo_edit`."""
    undo_edit(pair.first, resources)


def _vision_model(model: str, resources: Resources) -> str:
    info = resources.catalogue.resolve(model)
    check_sees(info)
    return info.name


def _chunks(
    batch: Batch, base: Batch, ids: Sequence[str], prompt: str | None, model: str | None, resources: Resources
) -> Iterator[list[Job]]:
    """Yield the new jobs, and store of each which job it follows when its row is there."""
    store = resources.store
    add_comparison(store.engine, batch.id, base.id)
    for some in chunked(ids, JOBS_A_TRANSACTION):
        found = {job.id: job for job in store.those(some)}
        earlier = [found[job_id] for job_id in some if job_id in found]
        check_files(earlier, resources)
        new = [asked_otherwise(job, batch, prompt=prompt, model=model or job.model) for job in earlier]
        yield new
        add_follow_ups(store.engine, zip(new, earlier, strict=True))
