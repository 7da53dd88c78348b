"""The batching check: faults of a model are found before its sequences are batched."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ModelError, TooManyImagesError
from jobs.models.batching_verdicts import Batching, key_of, read_verdicts
from tests.support.families import FAMILIES, save_model
from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask
from worker.batching_check.check import examine, verdict_on
from worker.engine.prefill.chunked_prefill import Prefill
from worker.models.backends import VisionBackend, make_backend
from worker.models.inputs import Prepared
from worker.models.loader import load
from worker.models.vision.feature_memory import ImageFeatures
from worker.models.vision.vision_tower import VisionTower
from worker.pipeline.pipeline import Pipeline

#: Warnings of transformers about arguments of mlx-vlm.
pytestmark = [pytest.mark.filterwarnings(f"ignore:.*{said}.*") for said in ("use_fast", "mel filter", "return_numpy")]


class WrongPositions:
    """A language model that decodes the sequences of a batch with each other's positions. The words often stay the same."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        if "inputs_embeds" not in options and inputs.shape[0] > 1:
            options["rope_deltas"] = mx.roll(options["rope_deltas"], 1, 0)
        return self._model(inputs, **options)


@pytest.mark.parametrize("model", ["demo", "demo-text"])
def test_the_built_in_models_can_be_batched(model: str) -> None:
    """Their logits hardly differ."""
    verdict = examine(make_backend(load(model)), sees=model == "demo")
    assert verdict.batching is Batching.TOGETHER
    assert verdict.difference < 0.02


#: Families that are batched as another one here. Below, a test of its own has the two that take one image a request.
RELATIVES = ("qwen2_vl", "qwen2_5_vl", "llava", "llava_next", "fastvlm")


@pytest.mark.parametrize(
    "family",
    [pytest.param(family, marks=[pytest.mark.thorough] if family in RELATIVES else []) for family in FAMILIES],
)
def test_families_that_are_batched_rightly_pass(family: str, tmp_path: Path) -> None:
    """LFM2's caches cannot be padded, so its prompts are prefilled one by one."""
    backend = make_backend(load(str(save_model(family, tmp_path / family))))
    expected = Batching.ONE_BY_ONE if family == "lfm2_vl" else Batching.TOGETHER
    assert examine(backend, sees=True).batching is expected


def test_features_of_another_sequence_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault of mlx-vlm's own batches: a prompt of a prefill gets another's deepstack features."""
    plain = Prefill._deepstack

    def swapped(self: Prefill, start: int, end: int) -> dict[str, Any]:
        given = plain(self, start, end)
        if given and len(self.prompts) > 1:
            given["deepstack_visual_embeds"] = [mx.roll(one, 7, 0) for one in given["deepstack_visual_embeds"]]
        return given

    monkeypatch.setattr(Prefill, "_deepstack", swapped)
    verdict = examine(make_backend(load("demo")), sees=True)
    assert verdict.batching is Batching.ONE_BY_ONE
    assert verdict.refused is not None
    assert verdict.refused > 0.02


def test_images_that_are_mixed_up_in_one_pass_of_the_tower_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single image is seen rightly, and several together get each other's features."""
    plain = VisionTower.encode

    def shifted(self: VisionTower, rows: Iterable[Prepared]) -> ImageFeatures:
        rows = list(rows)
        seen = plain(self, rows)
        return {key: (one[0][::-1], one[1]) for key, one in seen.items()} if len(rows) > 1 else seen

    monkeypatch.setattr(VisionTower, "encode", shifted)
    assert examine(make_backend(load("demo")), sees=True).batching is Batching.ONE_BY_ONE


def test_sequences_that_decode_with_each_others_positions_are_noticed() -> None:
    """Only one sequence at a time gives the right logits."""
    backend = VisionBackend(load("demo"))
    backend.language_model = WrongPositions(backend.language_model)
    verdict = examine(backend, sees=True)
    assert verdict.batching is Batching.ALONE
    assert "off by" in verdict.explained


class ForgetfulOfPositions:
    """A language model that counts the positions of every chunk from zero, as some families' do."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        if "inputs_embeds" in options and inputs.shape[1] > 1:
            first = options["position_ids"][:, :, :1]
            options["position_ids"] = options["position_ids"] - first
        return self._model(inputs, **options)


def test_a_model_whose_prompts_may_not_be_cut_is_noticed() -> None:
    """The difference is no rounding, so prompts are prefilled whole."""
    backend = VisionBackend(load("demo"))
    assert not examine(backend, sees=True).whole_prompts
    backend.language_model = ForgetfulOfPositions(backend.language_model)
    assert examine(backend, sees=True).whole_prompts


class Rounding:
    """A language model whose logits are off by 5 % of their spread, by other noise each time."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._key = mx.random.key(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        output = self._model(inputs, **options)
        self._key, key = mx.random.split(self._key)
        noise = mx.random.normal(output.logits.shape, key=key)
        output.logits += noise * mx.std(output.logits, axis=-1, keepdims=True) * 0.05
        return output


def test_rounding_is_not_taken_for_a_fault() -> None:
    """Half precision on a GPU may well round by some percent."""
    backend = VisionBackend(load("demo"))
    backend.language_model = Rounding(backend.language_model)
    verdict = examine(backend, sees=True)
    assert verdict.batching is Batching.TOGETHER
    assert verdict.difference > 0.05
    assert not verdict.whole_prompts


@pytest.mark.parametrize("bits", [16, 4])
def test_small_weights_are_rounded_and_not_wrong(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In half precision, as on Metal, and also quantised to four bits."""
    monkeypatch.setattr("worker.models.loader._suit_device", lambda model: model.set_dtype(mx.bfloat16))
    backend = VisionBackend(load(str(save_model("qwen3_vl", tmp_path))))
    if bits == 4:
        nn.quantize(backend.language_model, group_size=32, bits=4)
    # A processor takes long to multiply four bits.
    verdict = examine(backend, sees=True, slots=32 if bits == 16 else 4)
    assert verdict.batching is Batching.TOGETHER
    assert not verdict.whole_prompts


def test_a_fault_in_a_group_leads_to_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict gives the reason, and is not remembered: at the next load there may be more memory."""
    loaded = load("demo")
    backend = VisionBackend(loaded)
    settings = Settings(data_dir=tmp_path)
    with monkeypatch.context() as patch:

        def broken(rows: object) -> None:
            raise RuntimeError("[metal::malloc] no memory")

        patch.setattr(backend, "encode", broken)
        verdict = verdict_on(loaded, backend, settings)
        assert verdict.batching is Batching.ONE_BY_ONE
        assert "no memory" in verdict.explained
    checks: list[str] = []
    for _ in range(2):
        assert verdict_on(loaded, backend, settings, lambda: checks.append("check")).batching is Batching.TOGETHER
    # The second time the verdict is known.
    assert checks == ["check"]


def test_a_model_that_cannot_be_tried_out_is_run_in_the_most_careful_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sequence at a time, with whole prompts; the reason has words, and the next load checks again."""
    loaded = load("demo")
    backend = VisionBackend(loaded)
    settings = Settings(data_dir=tmp_path)

    def broken(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(backend, "reference", broken)
    verdict = verdict_on(loaded, backend, settings)
    assert (verdict.batching, verdict.whole_prompts) == (Batching.ALONE, True)
    assert verdict.reason == "AssertionError in broken of test_batching_check.py"
    assert read_verdicts(settings) == {}


def test_a_prompt_that_is_cut_off_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways share such a fault, so only the library's own loop shows it: the model is refused, and not checked again."""
    plain = Prefill.__init__

    def cut(self: Prefill, model: Any, rows: Any, *options: Any) -> None:
        plain(self, model, [replace(row, ids=row.ids[:12]) for row in rows], *options)

    monkeypatch.setattr(Prefill, "__init__", cut)
    loaded = load("demo")
    settings = Settings(data_dir=tmp_path)
    for _ in range(2):
        with pytest.raises(ModelError, match="its answers would be wrong"):
            verdict_on(loaded, VisionBackend(loaded), settings)
        monkeypatch.setattr("worker.batching_check.check.examine", lambda *_, **__: pytest.fail("it was checked again"))
    assert [verdict.batching for verdict in read_verdicts(settings).values()] == [Batching.REFUSED]


@pytest.mark.parametrize("family", ["llava_next", "fastvlm"])
def test_a_family_that_takes_one_image_a_request_is_batched_all_the_same(family: str, tmp_path: Path) -> None:
    """A request with two images is refused with a typed error, and the verdict is not affected."""
    backend = VisionBackend(load(str(save_model(family, tmp_path / family))))
    verdict = examine(backend, sees=True)
    assert (verdict.batching, verdict.one_image, verdict.reason) == (Batching.TOGETHER, True, None)
    backend.one_image = verdict.one_image
    with pytest.raises(TooManyImagesError, match="takes one image a request, and this one has 2"):
        backend.prepare(ask("Compare them.", images=2), [drawn.image for drawn in draw_many(2)])


class WrongInCrowds:
    """A language model whose logits are another sequence's when it decodes more than `most` sequences."""

    def __init__(self, model: Any, most: int) -> None:
        self._model, self._most = model, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        output = self._model(inputs, **options)
        if inputs.shape[0] > self._most:
            output.logits = mx.roll(output.logits, 1, 0)
        return output


def test_a_full_batch_is_tried_out() -> None:
    """A device may compute many sequences in other ways than few."""
    backend = VisionBackend(load("demo"))
    backend.language_model = WrongInCrowds(backend.language_model, 15)
    assert examine(backend, sees=True, slots=16).batching is Batching.ALONE
    assert examine(backend, sees=True, slots=15).batching is Batching.TOGETHER


def test_a_verdict_on_fewer_slots_counts_no_more(tmp_path: Path) -> None:
    """With more slots the model is checked again, once."""
    settings = Settings(data_dir=tmp_path, slots=8)
    loaded = load("demo-text")
    assert verdict_on(loaded, make_backend(loaded), settings).slots == 8
    wider = settings.model_copy(update={"slots": 16})
    assert verdict_on(loaded, make_backend(loaded), wider).slots == 16
    assert verdict_on(loaded, make_backend(loaded), settings).slots == 16


def test_a_verdict_is_remembered_until_the_model_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is identified by its files, not by its name."""
    settings = Settings(data_dir=tmp_path / "data")
    settings.make_folders()
    folder = tmp_path / "model"
    shutil.copytree(str(load("demo-text").info.path), folder)
    loaded = load(str(folder))
    first = verdict_on(loaded, make_backend(loaded), settings)
    assert read_verdicts(settings) == {key_of(folder): first}
    with monkeypatch.context() as patch:
        patch.setattr("worker.batching_check.check.examine", lambda *_, **__: pytest.fail("it was checked again"))
        assert verdict_on(loaded, make_backend(loaded), settings) == first
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    verdict_on(loaded, make_backend(loaded), settings)
    assert len(read_verdicts(settings)) == 2


def test_a_file_of_verdicts_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    """The next check writes a new file."""
    settings = Settings(data_dir=tmp_path)
    (tmp_path / "verdicts.json").write_text("{")
    assert read_verdicts(settings) == {}


def test_a_model_that_cannot_be_batched_runs_one_sequence_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sequence still gets its own answer."""
    broken = WrongPositions(load("demo").model.language_model)
    monkeypatch.setattr(
        "worker.pipeline.resident_models.make_backend",
        lambda loaded: _with_language_model(VisionBackend(loaded), broken),
    )
    settings = Settings(data_dir=tmp_path)
    pipeline = Pipeline(settings)
    pipeline.load("demo")
    assert pipeline.batching is Batching.ALONE
    pictures = {str(number): drawn for number, drawn in enumerate(draw_many(3))}
    for key, drawn in pictures.items():
        path = tmp_path / f"{key}.png"
        drawn.image.save(path)
        request = ask("Describe this image.").about_image(
            path, model="demo", prompt="Describe this image.", sampling=ask("").sampling
        )
        pipeline.begin(key, request)
    given: dict[str, str] = {}
    rows: set[int] = set()
    while len(given) < 3:
        given |= {outcome.key: outcome.result.text for outcome in pipeline.step() if outcome.result}
        rows.add(pipeline.rows)
    assert given == {key: drawn.caption for key, drawn in pictures.items()}
    assert rows == {0, 1}
    pipeline.close()


def _with_language_model(backend: VisionBackend, model: Any) -> VisionBackend:
    backend.language_model = model
    return backend
