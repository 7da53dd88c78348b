"""Adapters on models: they change the answers of their own jobs only, and one that does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import mlx.core as mx
import pytest
from redis import Redis

from jobs.answer_format.response_format import RegexFormat
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.errors import AdapterError, ModelNotFoundError
from jobs.models.adapters import adapter_folder, split_name, with_adapter
from jobs.models.batching_verdicts import key_of, read_verdicts
from jobs.models.model_info import built_in_models, describe, is_here, public_name
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.adapters import save_adapter
from tests.support.scenes import save_scenes
from worker import service
from worker.models.loader import load

#: A format that holds also the answers of a disturbed model, so that none is flawed.
COLOURS = RegexFormat(regex="(red|blue|green|cyan|pink|orange)( (red|blue|green|cyan|pink|orange)){7}")


def test_a_name_holds_the_names_of_the_model_and_its_adapter(tmp_path: Path) -> None:
    """Clients see no path; another adapter takes the place of the first."""
    name = with_adapter("owner/model", "owner/lora")
    assert name == "owner/model+adapter=owner/lora"
    assert split_name(name) == ("owner/model", "owner/lora")
    assert split_name("owner/model") == ("owner/model", None)
    assert with_adapter(name, "other/lora") == "owner/model+adapter=other/lora"
    assert (with_adapter(name, None), public_name(name)) == (name, name)
    folder = save_adapter(tmp_path / "mine")
    assert public_name(with_adapter("demo", str(folder))) == "demo+adapter=mine"
    info = describe(with_adapter("demo", str(folder)))
    assert (info.folders, info.modality) == ([built_in_models()["demo"], folder], "vision")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda folder: (folder / "adapter_config.json").unlink(),
            "'lora' is not an adapter: it has no adapter_config.json",
        ),
        (lambda folder: (folder / "adapters.safetensors").unlink(), "'lora' has no weights"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "its adapter_config.json cannot be read"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), "is not a JSON object"),
        (lambda folder: (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}'), "has PEFT's format"),
    ],
)
def test_a_folder_that_is_no_adapter_is_named(damage: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    """Before anything is queued or loaded."""
    folder = save_adapter(tmp_path / "lora")
    damage(folder)
    with pytest.raises(AdapterError, match=reason):
        describe(with_adapter("demo", str(folder)))
    with pytest.raises(ModelNotFoundError, match="There is no adapter 'missing'"):
        adapter_folder(str(tmp_path / "missing"))
    assert not is_here(with_adapter("demo", "owner/not-downloaded"))


@pytest.mark.parametrize("model", ["demo", "demo-text"])
def test_an_adapter_that_does_not_fit_is_refused(model: str, tmp_path: Path) -> None:
    """Weights without a place, and weights of another shape, which mlx-vlm would take."""
    other = save_adapter(tmp_path / "other", "demo-text" if model == "demo" else "demo")
    with pytest.raises(AdapterError, match=f"'other' does not fit '{model}': .*Use the model that it was trained on"):
        load(with_adapter(model, str(other)))
    wide = save_adapter(tmp_path / "wide", model)
    weights = mx.load(str(wide / "adapters.safetensors"))
    assert isinstance(weights, dict)
    mx.save_safetensors(
        str(wide / "adapters.safetensors"), {name: mx.concatenate([one, one]) for name, one in weights.items()}
    )
    with pytest.raises(AdapterError, match=f"'wide' does not fit '{model}'"):
        load(with_adapter(model, str(wide)))


def test_jobs_with_adapters_and_without_are_never_mixed(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """Side by side in a lane, from the result cache, and generated again each by itself: each model has its own answers."""
    settings = settings.model_copy(update={"slots": 4})
    folders = [save_adapter(tmp_path / name, seed=seed) for name, seed in (("first", 1), ("second", 2))]
    models = ["demo", *(with_adapter("demo", str(folder)) for folder in folders)]
    images = list(save_scenes(tmp_path / "pictures", 2))
    mixed = answered(settings, store, connection, images, models)
    assert answered(settings, store, connection, images, models, cached=True) == mixed
    for model in models:
        alone = answered(settings, store, connection, images, [model], cache=False)
        assert alone.items() <= mixed.items()
    for path in images:
        assert len({mixed[model, path] for model in models}) == len(models)
    keys = {key_of(*describe(model).folders) for model in models}
    assert len(keys) == 3
    assert keys <= read_verdicts(settings).keys()


def answered(
    settings: Settings,
    store: Store,
    connection: Redis,
    images: Iterable[Path],
    models: Sequence[str],
    *,
    cache: bool = True,
    cached: bool = False,
) -> dict[tuple[str, Path], str | None]:
    """Ask each model in turn about each image, in one run of a worker. Returns the answers, `cached` or not."""
    batches: dict[tuple[str, Path], str] = {}
    for path in images:
        for model in models:
            batch = Batch(description="test", model=model)
            batches[model, path] = batch.id
            question = Question(model, "Describe this image.", Sampling(), COLOURS, others={"cache": cache})
            output = path.with_suffix(f".{len(batches)}.txt")
            FolderRun(question, batch, store=store, connection=connection).submit([PendingImage.at(path, output)])
    service.run(settings, burst=True)
    jobs = {asked: store.jobs(batch_id=batch)[0] for asked, batch in batches.items()}
    assert {(job.status, job.cached) for job in jobs.values()} == {(JobStatus.SUCCEEDED, cached)}
    for path in images:
        for text in path.parent.glob("*.txt"):
            text.unlink()
    return {asked: job.text for asked, job in jobs.items()}
