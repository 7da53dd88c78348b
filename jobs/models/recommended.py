"""A short list of well-known models, and the one that suits a machine's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.models.memory_need import sequences_that_fit

#: Sequences at once from which on batching pays: the most of its gain is there.
ENOUGH_SEQUENCES = 8


@dataclass(frozen=True)
class RecommendedModel:
    """A model of the list."""

    name: str
    #: Bytes, about: 4.5 bits for a parameter of the language model (4 bits in groups of 64), 16 for one of the vision tower. The
    #: numbers of parameters are those of the models' cards.
    weights: int
    #: Bytes of keys and values a token: 2 x layers x heads of keys x size of a head x 2, by the models' configs.
    token_bytes: int
    reason: str
    #: A figure of others on a Mac, and where it stands. captionq itself has measured none.
    figure: str

    def sequences(self, limit: int) -> int:
        """Return how many sequences fit beside the model, of `limit` bytes."""
        return sequences_that_fit(self.weights, self.token_bytes, limit)


#: The best first.
MODELS = (
    RecommendedModel(
        "mlx-community/Qwen3-VL-30B-A3B-Instruct-4bit",
        18_300_000_000,
        98_304,
        "The largest of the list. It computes 3 of its 30 billion parameters for a token, so it decodes like a small one.",
        "87 tokens/s on an M5 Max, one at a time (mlx-vlm, issue 2088)",
    ),
    RecommendedModel(
        "mlx-community/Qwen3-VL-8B-Instruct-4bit",
        5_800_000_000,
        147_456,
        "The largest for Macs of 16 or 24 GB.",
        "a picture of 1024² in 2.8 s on an M4 Max and 6.4 s on an M1 Max, one at a time (vllm-mlx, docs/benchmarks/image.md)",
    ),
    RecommendedModel(
        "mlx-community/Qwen3-VL-4B-Instruct-4bit",
        3_100_000_000,
        147_456,
        "captionq's default, with room for other programs beside it.",
        "1.4 pictures/s of 384² on an M5 Max, 8 at once, 128 tokens each (vllm-metal, pull request 408)",
    ),
    RecommendedModel(
        "mlx-community/Qwen3-VL-2B-Instruct-4bit",
        1_800_000_000,
        114_688,
        "The smallest of the list, for Macs of 8 GB and for very many pictures.",
        "181 tokens/s on an M4 Pro, one at a time (mlx-swift-lm, issue 19)",
    ),
)


def recommend(limit: int, models: Sequence[RecommendedModel] = MODELS) -> RecommendedModel | None:
    """Return the best model of which enough sequences fit into `limit` bytes; else the last one that fits; None: none does."""
    fitting = [model for model in models if model.sequences(limit) >= 1]
    return next(
        (model for model in fitting if model.sequences(limit) >= ENOUGH_SEQUENCES), fitting[-1] if fitting else None
    )
