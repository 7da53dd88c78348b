"""The events of schedules: what clients, persons, workers and faults do, and what the model says about it."""

from __future__ import annotations

from jobs.creation.cancel import cancel, cancel_run
from jobs.creation.create import Creation, create
from jobs.creation.retry import resubmit
from jobs.queue import lanes
from jobs.queue.pausing import pause, resume
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from jobs.store.retention.pruning import prune as prune_rows
from jobs.store.tables import UNANSWERED, Batch, BatchKind, Job, Lane
from jobs.store.webhooks.webhook_table import Webhook
from tests.faults.simulation.event_table import COIN, WHICH, event, number, one_of
from tests.faults.simulation.simulation import FORGED, WORKERS, Simulation, pick

LANES = tuple(Lane)
ENDS = ("answer", "transient", "permanent")


def _has_batches(simulation: Simulation) -> bool:
    return bool(simulation.batches)


def _has_jobs(simulation: Simulation) -> bool:
    return bool(simulation.model.jobs)


def _has_workers(simulation: Simulation) -> bool:
    return bool(simulation.workers)


def _runs_jobs(simulation: Simulation) -> bool:
    return simulation.runs_jobs


# -- clients ------------------------------------------------------------------------------------------


@event(count=number(1, 5), lane=one_of(LANES), is_killed=COIN, notifies=COIN)
def submit(simulation: Simulation, count: int, lane: Lane, is_killed: bool, notifies: bool) -> None:
    """A client sends requests. Killed after the commit, the API brings no entry on its way."""
    store, settings = simulation.store, simulation.settings
    batch = Batch(description="a list", kind=BatchKind.LIST, model="demo")
    jobs = [_request_job(f"{batch.id} {number}", lane, batch) for number in range(count)]
    hooks = [Webhook(url="https://a.example/hook", batch_id=batch.id)] if notifies else []
    if is_killed:
        store.add_batch(batch)
        store.add(jobs)
        simulation.hooks.add(hooks)
    else:
        create(Creation(jobs, batch, hooks), store=store, connection=simulation.connection, settings=settings)
    simulation.acknowledge(batch, jobs)
    simulation.undelivered |= {hook.id: [job.id for job in jobs] for hook in hooks}


@event(_has_jobs, which=WHICH)
def cancel_one(simulation: Simulation, which: int) -> None:
    """A client cancels a job, perhaps one that has ended."""
    if job := simulation.chosen(which):
        was_open = job.is_open
        cancelled = cancel([job.id], store=simulation.store, connection=simulation.connection)
        assert cancelled == [job.id] * was_open
        simulation.model.cancel([job])


@event(_has_batches, which=WHICH)
def cancel_batch(simulation: Simulation, which: int) -> None:
    """A client cancels a run."""
    if batch_id := pick(simulation.batches, which):
        jobs = simulation.model.of_batch(batch_id)
        count = sum(job.is_open for job in jobs)
        assert cancel_run(batch_id, store=simulation.store, connection=simulation.connection) == count
        simulation.model.cancel(jobs)


@event(_has_batches, which=WHICH)
def retry_batch(simulation: Simulation, which: int) -> None:
    """A person asks the jobs of a run again that failed or were cancelled: these are new jobs."""
    if batch_id := pick(simulation.batches, which):
        store = simulation.store
        lost = [job for job in store.jobs(batch_id=batch_id) if job.status in UNANSWERED]
        again = Batch(description="again", kind=BatchKind.RUN, model="demo")
        resubmit(again, lost, store=store, connection=simulation.connection)
        simulation.acknowledge(again, store.jobs(batch_id=again.id))


@event(count=number(1, 4), lane=one_of(LANES), name=one_of(WORKERS))
def pause_and_work(simulation: Simulation, count: int, lane: Lane, name: str) -> None:
    """A run is paused whose entries wait in a lane, and a worker looks there."""
    submit(simulation, count, lane, is_killed=False, notifies=False)
    pause_or_resume(simulation, len(simulation.batches) - 1)
    simulation.turn(simulation.worker(name))


@event(_has_batches, which=WHICH)
def pause_or_resume(simulation: Simulation, which: int) -> None:
    """A person pauses a run, or lets it go on."""
    batch_id, store, connection = pick(simulation.batches, which), simulation.store, simulation.connection
    if batch_id in simulation.model.paused:
        resume(batch_id, store=store, connection=connection)
        simulation.model.paused.remove(batch_id)
    elif batch_id and any(job.is_open for job in simulation.model.of_batch(batch_id)):
        pause(batch_id, store=store, connection=connection)
        simulation.model.paused.add(batch_id)


@event(_has_batches)
def prune(simulation: Simulation) -> None:
    """A person removes all that has ended and has nothing to report."""
    model = simulation.model
    reporting = {job_id for ids in simulation.undelivered.values() for job_id in ids}
    old = [
        batch_id
        for batch_id in simulation.batches
        if not any(job.is_open or job.id in reporting for job in model.of_batch(batch_id))
    ]
    gone = [job.id for batch_id in old for job in model.of_batch(batch_id)]
    pruned = prune_rows(simulation.store.engine, before=2e10)
    assert (pruned.jobs, pruned.batches) == (len(gone), len(old))
    for job_id in gone:
        del model.jobs[job_id]
        simulation.ended.pop(job_id, None)
    simulation.batches = [batch_id for batch_id in simulation.batches if batch_id not in old]
    model.paused -= set(old)


@event(lambda simulation: any(not simulation.has_open(ids) for ids in simulation.undelivered.values()))
def deliver(simulation: Simulation) -> None:
    """The API sends the webhooks that are due."""
    for hook_id in simulation.due():
        claimed = simulation.hooks.claim(hook_id, now=2e10)
        assert claimed is not None
        simulation.hooks.delivered(claimed)
        del simulation.undelivered[hook_id]


# -- workers ------------------------------------------------------------------------------------------


@event(weight=3, name=one_of(WORKERS), rounds=number(1, 3), looks=COIN)
def work(simulation: Simulation, name: str, rounds: int, looks: bool) -> None:
    """A worker makes rounds of its loop, and takes jobs. One that is dead is started again."""
    worker = simulation.worker(name)
    for _ in range(rounds):
        simulation.turn(worker, looks=looks)


@event(_runs_jobs, weight=3, which=WHICH, end=one_of(("answer", *ENDS)))
def end_job(simulation: Simulation, which: int, end: str) -> None:
    """A job of a worker gets its answer, or an error."""
    worker, job_id = simulation.running(which)
    simulation.end(worker, job_id, end)
    simulation.turn(worker)


@event(_runs_jobs, which=WHICH)
def kill_after_the_commit(simulation: Simulation, which: int) -> None:
    """A worker is killed when a job has its answer, before rq hears of the end."""
    worker, job_id = simulation.running(which)
    simulation.end(worker, job_id, "answer")
    worker.step()
    del simulation.workers[worker.name]


@event(_runs_jobs, which=WHICH, end=one_of(ENDS))
def end_cancelled_job(simulation: Simulation, which: int, end: str) -> None:
    """A job ends on its worker just after a client has cancelled it."""
    worker, job_id = simulation.running(which)
    cancel([job_id], store=simulation.store, connection=simulation.connection)
    # Its row is gone if it was cancelled before, and removed.
    simulation.model.cancel([job for job in simulation.model.jobs.values() if job.id == job_id])
    simulation.end(worker, job_id, end)
    worker.step()


@event(_has_workers, name=one_of(WORKERS))
def kill(simulation: Simulation, name: str) -> None:
    """kill −9: all that it knew is gone, and its leases stay in Redis."""
    simulation.workers.pop(name, None)


@event(_runs_jobs, which=WHICH, end=one_of(ENDS), is_taken=COIN)
def take_for_lost(simulation: Simulation, which: int, end: str, is_taken: bool) -> None:
    """A worker that stood still is taken for lost. It goes on with jobs that are queued again, or run elsewhere by now."""
    worker, job_id = simulation.running(which)
    _take_back(simulation, worker.name)
    simulation.model.worker_ended(worker.name, died=True)
    if is_taken:
        simulation.turn(simulation.worker(next(name for name in WORKERS if name != worker.name)))
    simulation.end(worker, job_id, end)
    worker.step()


@event(_runs_jobs, which=WHICH, end=one_of(ENDS), rests=COIN)
def wake_up_while_taken_for_lost(simulation: Simulation, which: int, end: str, rests: bool) -> None:
    """A worker goes on just when its jobs, which were seen to run, are about to be taken back. It may run one again by then."""
    worker, job_id = simulation.running(which)
    seen = {job.id: job.attempts for job in simulation.model.of_worker(worker.name)}

    def wake_up() -> None:
        simulation.end(worker, job_id, end)
        simulation.turn(worker)
        if not rests:
            # The end is reported to the broker, the backoff is over, and the job's next attempt begins.
            simulation.turn(worker)
            simulation.world.pass_time()
            worker.beat()
            worker.maintain(cleans=False)
            simulation.turn(worker)

    with simulation.world.between_transactions(wake_up):
        _take_back(simulation, worker.name)
    simulation.model.worker_ended(worker.name, died=True, seen=seen)


@event(_has_workers, name=one_of(WORKERS), by_error=COIN)
def stop(simulation: Simulation, name: str, by_error: bool) -> None:
    """A worker ends in good order, or by an error of its engine."""
    if worker := simulation.workers.pop(name, None):
        if by_error:
            worker.crash()
        else:
            worker.stop()
            simulation.model.worker_ended(name, died=False)


@event(_has_workers, name=one_of(WORKERS), cleans=COIN)
def maintain(simulation: Simulation, name: str, cleans: bool) -> None:
    """A worker does its maintenance, with rq's or without."""
    if name in simulation.workers:
        simulation.workers[name].maintain(cleans=cleans)


# -- losses -------------------------------------------------------------------------------------------


@event(_has_batches)
def flush(simulation: Simulation) -> None:
    """The broker loses everything, and the live workers' own records with it."""
    simulation.connection.flushall()


@event(_has_batches, which=WHICH, lane=one_of(LANES), kind=one_of(("lose", "repeat", "lose its hash", "forge")))
def damage_entry(simulation: Simulation, which: int, lane: Lane, kind: str) -> None:
    """An entry is lost, comes twice, has no content, or names a job that there never was."""
    connection = simulation.connection
    queue = lanes.lane_queue(connection, lane)
    entry = pick(queue.get_job_ids(), which)
    if kind == "forge":
        lanes.push(connection, lane, [FORGED])
    elif entry and kind == "lose":
        connection.lrem(queue.key, 1, entry)
    elif entry and kind == "repeat":
        lanes.push(connection, lane, [entry])
    elif entry:
        connection.delete(lanes.Entry.key_for(entry))


@event(_has_batches, beats=COIN)
def time_passes(simulation: Simulation, beats: bool) -> None:
    """Leases of dead workers run out, backoffs are over. Without beats the live workers stood still, as in a sleeping Mac."""
    simulation.world.pass_time()
    if beats:
        for worker in simulation.workers.values():
            worker.beat()


def _take_back(simulation: Simulation, worker: str) -> None:
    lost = LostWorkers(simulation.store, simulation.connection, simulation.settings.lease, own=lambda: None)
    lost._missing[worker] = 0.0
    lost._take_back(worker)


def _request_job(asked: str, lane: Lane, batch: Batch) -> Job:
    request = Request(model="demo", messages=[Message(role="user", content=asked)], sampling=Sampling())
    return Job(lane=lane, batch_id=batch.id, model="demo", request=request.model_dump_json(), digest=request.digest)
