"""The stub that takes the place of models in benchmarks."""

from __future__ import annotations

import subprocess
import sys

from jobs.configuration.settings import Settings
from jobs.requests import Message, Request
from worker.pipeline.request_pipeline import RequestPipeline
from worker.pipeline.stub_pipeline import StubPipeline


def test_every_request_is_answered_at_once(settings: Settings) -> None:
    """Equal requests have equal answers, and other requests other ones; a cancelled request has none."""
    pipeline: RequestPipeline = StubPipeline(settings)
    pipeline.load("stub")
    assert pipeline.model == "stub"
    for key, words in {"a": "One", "b": "Two", "c": "One", "d": "Two"}.items():
        pipeline.begin(key, Request(model="stub", messages=[Message(role="user", content=words)]))
    pipeline.cancel("d")
    assert pipeline.in_flight == 3
    texts = {outcome.key: outcome.answer.text for outcome in pipeline.step()}
    assert (len(texts), len(set(texts.values()))) == (3, 2)
    assert texts["a"] == texts["c"]
    assert (pipeline.in_flight, pipeline.step()) == (0, [])


def test_a_worker_of_the_stub_imports_no_library_of_models() -> None:
    """Neither their memory nor the seconds of their import belong to the figures."""
    libraries = "{'mlx', 'mlx_vlm', 'mlx_lm', 'transformers', 'PIL'}"
    code = f"import sys, worker.service; assert not {libraries} & {{name.split('.')[0] for name in sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True)
