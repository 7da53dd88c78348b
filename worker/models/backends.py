"""The two kinds of model behind the engine: mlx-vlm's for vision, mlx-lm's for text.

`prepare` runs in any thread; everything else belongs to the thread that loaded the model, because mlx's streams do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PIL import Image

from jobs.errors import ModelError, TooManyImagesError
from jobs.models.model_info import check_sees, public_name
from jobs.requests import Request
from worker.features.feature_cache import FeatureCache
from worker.models.common_backend import CommonBackend
from worker.models.inputs import Embedded, Prepared
from worker.models.loader import LoadedModel
from worker.models.reference import Reference
from worker.models.text.prompt_limits import check_prompt_tokens, count_image_tokens
from worker.models.text.thinking_model import ThinkingModel
from worker.models.vision.embedding import Embedding
from worker.models.vision.feature_memory import ImageFeatures
from worker.models.vision.processor_inputs import ids_of_one_prompt, image_keys, image_token_of, process
from worker.sampling.constraint import Constraint


class Backend(Protocol):
    """A loaded model behind the interface that the engine uses."""

    #: The module that computes logits from ids and caches.
    language_model: Any
    #: Ids that end an answer.
    stops: frozenset[int]
    #: Number of sequences that may be prefilled together.
    group: int
    #: Whether the keys and values of one prompt's beginning may be used for another prompt.
    shares_prefixes: bool
    #: Whether each prompt has to be prefilled in one forward pass.
    whole_prompts: bool
    #: Tokens that a prompt may have once its images are embedded, if that is fewer than the context; None: no other limit.
    max_prompt_tokens: int | None
    #: Whether a request may have one image at most.
    one_image: bool
    tokenizer: Any
    #: The thoughts of its answers.
    thinking: ThinkingModel

    @property
    def images_encoded(self) -> int:
        """Number of images that the vision tower has encoded since the model was loaded."""

    @property
    def feature_counts(self) -> Mapping[str, int]:
        """See `FeatureCache.counts`; empty: there is no feature cache."""

    def keep_features(self, cache: FeatureCache | None) -> None:
        """Remember the features of images on the disk also, from now on; None: in memory only."""

    def refuse_long(self, texts: Sequence[str], limit: int) -> None:
        """Raise ContextLengthError if these texts have more than `limit` tokens. May run in any thread."""

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """Turn messages and decoded images into ids and arrays. May run in any thread.

        Raises:
            InvalidRequestError: The request does not fit the model, for its length or its images for example.
            ModelError: The model's processor failed.
        """

    def patches(self, prepared: Prepared) -> int:
        """Count the patches of the sequence's images that `encode` has yet to encode; 0: none."""

    def encode(self, sequences: Iterable[Prepared], /) -> ImageFeatures:
        """Encode all images of these sequences in one pass of the vision tower. The features are not evaluated yet."""

    def remember(self, seen: ImageFeatures) -> None:
        """Keep evaluated features for other sequences with the same images."""

    def forget(self) -> None:
        """Forget all image features."""

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: ImageFeatures | None = None) -> Embedded:
        """Compute the language model's inputs of one sequence: its prompt, then the ids `generated` so far.

        Images that are not `seen` are encoded now.
        """

    def reference(self, prepared: Prepared, tokens: int) -> Reference:
        """Decode the sequence with the library's own loop. Raises the library's errors."""

    def recounted(self, prepared: Prepared, embedded: Embedded) -> Prepared:
        """Return the sequence with the prompt tokens that are computed, and `max_tokens` within the context that they leave.

        Raises:
            ContextLengthError: The prompt has too many tokens.
        """

    def constraint(self, prepared: Prepared, generated: Sequence[int] = ()) -> Constraint | None:
        """Return the constraint of the sequence's response format after `generated`; None: every token is allowed."""

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, with the marks of thoughts and without other special tokens."""


def make_backend(loaded: LoadedModel) -> Backend:
    """Make the backend for the model's modality. Raises ModelError."""
    return VisionBackend(loaded) if loaded.info.modality == "vision" else TextBackend(loaded)


class VisionBackend(CommonBackend):
    """A vision model of mlx-vlm."""

    def __init__(self, loaded: LoadedModel) -> None:
        tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
        super().__init__(loaded, loaded.model.language_model, tokenizer)
        self._image_token = image_token_of(loaded.model.config)
        self._embedding = Embedding(loaded.model, self._image_token)

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. The processor's mlx arrays become numpy's in the same thread."""
        if self.one_image and len(images) > 1:
            name = public_name(self._loaded.info.name)
            raise TooManyImagesError(
                f"'{name}' takes one image a request, and this one has {len(images)}. Send one, or use another model."
            )
        with self._lock:
            prompt, rules = self._prompt(request)
            inputs = self._process(prompt.text, images)
        processor_ids = ids_of_one_prompt(inputs.pop("input_ids"), self._loaded.info.name)
        ids = self._control_tokens.restore(processor_ids, prompt)
        inputs.pop("attention_mask", None)
        if images and not inputs:
            raise ModelError(
                f"'{public_name(self._loaded.info.name)}' has no image processor that works here, and would answer without "
                "its image. Use another model, such as Qwen3-VL."
            )
        image_tokens = count_image_tokens(ids, self._image_token) if images else 0
        sampling = self._checked_sampling(request.sampling, len(ids), image_tokens)
        return Prepared(ids, image_tokens, sampling, inputs, image_keys(inputs), rules)

    def _process(self, prompt: str, images: list[Image.Image]) -> dict[str, Any]:
        add_bos = self._chat_template.lacks_bos(prompt)
        return process(self._loaded, prompt, images, image_token=self._image_token, add_bos=add_bos)

    @property
    def images_encoded(self) -> int:
        """See `Backend`."""
        return self._embedding.vision.encoded

    @property
    def feature_counts(self) -> Mapping[str, int]:
        """See `Backend`."""
        return self._embedding.vision.memory.disk_counts

    def keep_features(self, cache: FeatureCache | None) -> None:
        """See `Backend`."""
        self._embedding.vision.memory.disk = cache

    def patches(self, prepared: Prepared) -> int:
        """See `Backend`. 0 for families whose images are encoded as the sequence is embedded."""
        vision = self._embedding.vision
        return vision.missing_patches(prepared) if vision.groups(prepared) else 0

    def encode(self, sequences: Iterable[Prepared], /) -> ImageFeatures:
        """See `Backend`."""
        return self._embedding.vision.encode(sequences)

    def remember(self, seen: ImageFeatures) -> None:
        """See `Backend`."""
        self._embedding.vision.remember(seen)

    def forget(self) -> None:
        """See `Backend`."""
        self._embedding.vision.forget()

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: ImageFeatures | None = None) -> Embedded:
        """See `Backend`."""
        return self._embedding.embed(prepared, generated, seen)

    def recounted(self, prepared: Prepared, embedded: Embedded) -> Prepared:
        """See `Backend`."""
        ids = embedded.filled
        if ids is None:
            return prepared
        image_tokens = count_image_tokens(ids, self._image_token)
        check_prompt_tokens(len(ids), image_tokens, self.max_prompt_tokens)
        sampling = self._checked_sampling(prepared.sampling, len(ids), image_tokens)
        processor_ids = prepared.source_ids
        return replace(prepared, ids=ids, image_tokens=image_tokens, sampling=sampling, processor_ids=processor_ids)


class TextBackend(CommonBackend):
    """A text model of mlx-lm."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded, loaded.model, loaded.processor)

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. Refuses images, which mlx-lm would ignore without an error."""
        if images:
            check_sees(self._loaded.info)
        with self._lock:
            prompt, rules = self._prompt(request)
            lacks_bos = self._chat_template.lacks_bos(prompt.text)
            ids = list(self._loaded.processor.encode(prompt.text, add_special_tokens=lacks_bos))
        ids = self._control_tokens.restore(ids, prompt)
        sampling = self._checked_sampling(request.sampling, len(ids), 0)
        return Prepared(ids, 0, sampling, rules=rules)

    @property
    def images_encoded(self) -> int:
        """See `Backend`."""
        return 0

    def patches(self, prepared: Prepared) -> int:
        """See `Backend`."""
        return 0

    def encode(self, sequences: Iterable[Prepared], /) -> ImageFeatures:
        """See `Backend`."""
        return {}

    def remember(self, seen: ImageFeatures) -> None:
        """See `Backend`."""

    def forget(self) -> None:
        """See `Backend`."""

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: ImageFeatures | None = None) -> Embedded:
        """See `Backend`."""
        ids = [*prepared.ids, *generated]
        return Embedded(ids, text_prefix=len(ids) - 1)
