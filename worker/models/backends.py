"""The two kinds of model behind the engine: mlx-vlm's for vision, mlx-lm's for text.

`prepare` runs in any thread; everything else belongs to the thread that loaded the model, because mlx's streams are its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PIL import Image

from jobs.errors import InvalidRequestError, TooManyImagesError
from jobs.models.model_info import check_sees, public_name
from jobs.requests import Message, Request, Sampling
from worker.models import detokenizer, kv_cache
from worker.models.chat_template import ChatTemplate
from worker.models.control_tokens import ControlTokens, ShieldedPrompt
from worker.models.embedding import Embedding
from worker.models.inputs import Embedded, Prepared
from worker.models.loader import LoadedModel, vocabulary_of
from worker.models.processor_inputs import ids_of_one_prompt, image_keys, image_token_of, process
from worker.models.prompt_tokens import (
    check_control_tokens,
    check_prompt_tokens,
    count_image_tokens,
    refuse_long_text,
    within_context,
)
from worker.models.reference import Reference, reference_of
from worker.models.vision_tower import Seen
from worker.sampling.grammar import Constraint, Grammars


class Backend(Protocol):
    """A model, as the engine wants it."""

    #: What turns ids and caches into logits.
    language_model: Any
    #: Ids that end an answer.
    stops: frozenset[int]
    #: How many rows may be prefilled together.
    group: int
    #: Whether the keys and values of one prompt's beginning may be handed to another.
    shares_prefixes: bool
    #: Whether prompts have to be prefilled in one go.
    whole_prompts: bool
    #: Tokens that a prompt may have, if fewer than the context: as computed, once its images are embedded.
    max_prompt_tokens: int | None
    #: Whether a request may have one image at most.
    one_image: bool
    tokenizer: Any

    def refuse_long(self, texts: Sequence[str], limit: int) -> None:
        """Raise ContextLengthError if these texts have more than `limit` tokens. May run in any thread."""

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """From messages and decoded images to ids and arrays. May run in any thread. Raises InvalidRequestError, ModelError."""

    def patches(self, prepared: Prepared) -> int:
        """How many patches of the row's images `encode` would have to look at; 0: it has nothing to do for this row."""

    def encode(self, rows: Iterable[Prepared]) -> Seen:
        """Let the vision tower look at all images of these rows in one pass. The features are still to be evaluated."""

    def remember(self, seen: Seen) -> None:
        """Keep features that are evaluated, for other rows with these images."""

    def forget(self) -> None:
        """Forget the images that were looked at."""

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: Seen | None = None) -> Embedded:
        """One row as the language model takes it, to go on after `generated`. What is not `seen` is looked at now."""

    def reference(self, prepared: Prepared, tokens: int) -> Reference:
        """What the library's own loop makes of the row. Raises what it raises."""

    def recounted(self, prepared: Prepared, embedded: Embedded) -> Prepared:
        """The row with the tokens that are computed of its prompt, and no larger `max_tokens` than those leave.

        Raises ContextLengthError where they are too many.
        """

    def constraint(self, prepared: Prepared, generated: Sequence[int] = ()) -> Constraint | None:
        """What the row's response format allows after `generated`; None: everything."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated ids, without special tokens."""


def make_backend(loaded: LoadedModel) -> Backend:
    """The backend for the model's modality. Raises ModelError."""
    return VisionBackend(loaded) if loaded.info.modality == "vision" else TextBackend(loaded)


class _Common:
    """What both kinds share."""

    def __init__(self, loaded: LoadedModel, language_model: Any, tokenizer: Any) -> None:
        self._loaded = loaded
        self.language_model = language_model
        self.tokenizer = tokenizer
        self.stops = loaded.eos
        self.group = 64 if kv_cache.can_pad(language_model) else 1
        self.shares_prefixes = kv_cache.can_share_prefix(language_model)
        self.whole_prompts = False
        self.max_prompt_tokens: int | None = None
        self.one_image = False
        self._prompter = ChatTemplate(loaded.processor, loaded.config)
        self._vocabulary = vocabulary_of(loaded) or len(tokenizer)
        self._grammars = Grammars(tokenizer, self._vocabulary, loaded.eos)
        # Tokenizers and processors keep state while they work.
        self._lock = threading.Lock()
        self._literals = ControlTokens(loaded, self._prompter)

    def refuse_long(self, texts: Sequence[str], limit: int) -> None:
        """See `Backend`."""
        refuse_long_text(self.tokenizer, self._lock, texts, limit)

    def reference(self, prepared: Prepared, tokens: int) -> Reference:
        """See `Backend`."""
        return reference_of(self._loaded, prepared, tokens)

    def recounted(self, prepared: Prepared, embedded: Embedded) -> Prepared:
        """See `Backend`."""
        return prepared

    def constraint(self, prepared: Prepared, generated: Sequence[int] = ()) -> Constraint | None:
        """See `Backend`."""
        constraint = self._grammars.constraint(prepared.response_format)
        if constraint is not None:
            constraint.accept_all(generated)
        return constraint

    def text(self, ids: Sequence[int]) -> str:
        """See `Backend`."""
        return detokenizer.decode(self.tokenizer, ids)

    def _prompt(self, messages: list[Message]) -> ShieldedPrompt:
        prompt = self._literals.prompt(messages)
        check_control_tokens(len(prompt.ids), self._loaded.info.context_length)
        return prompt


class VisionBackend(_Common):
    """mlx-vlm."""

    def __init__(self, loaded: LoadedModel) -> None:
        tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
        super().__init__(loaded, loaded.model.language_model, tokenizer)
        self._image_token = image_token_of(loaded.model.config)
        self._embedding = Embedding(loaded.model, self._image_token)

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. The processor's arrays come from numpy and go back to it in the same thread."""
        if self.one_image and len(images) > 1:
            name = public_name(self._loaded.info.name)
            raise TooManyImagesError(
                f"'{name}' takes one image a request, and this one has {len(images)}. Send one, or take another model."
            )
        with self._lock:
            prompt = self._prompt(request.messages)
            inputs = self._process(prompt.text, images)
        ids = self._literals.restore(ids_of_one_prompt(inputs.pop("input_ids"), self._loaded.info.name), prompt)
        inputs.pop("attention_mask", None)
        image_tokens = count_image_tokens(ids, self._image_token) if images else 0
        check_biases(request.sampling, self._vocabulary)
        sampling = within_context(self._loaded.info.context_length, len(ids), image_tokens, request.sampling)
        return Prepared(ids, image_tokens, sampling, inputs, image_keys(inputs), request.response_format)

    def _process(self, prompt: str, images: list[Image.Image]) -> dict[str, Any]:
        add_bos = self._prompter.lacks_bos(prompt)
        return process(self._loaded, prompt, images, image_token=self._image_token, add_bos=add_bos)

    def patches(self, prepared: Prepared) -> int:
        """See `Backend`. 0 for families whose rows are encoded as they are embedded."""
        vision = self._embedding.vision
        return vision.missing_patches(prepared) if vision.groups(prepared) else 0

    def encode(self, rows: Iterable[Prepared]) -> Seen:
        """See `Backend`."""
        return self._embedding.vision.encode(rows)

    def remember(self, seen: Seen) -> None:
        """See `Backend`."""
        self._embedding.vision.remember(seen)

    def forget(self) -> None:
        """See `Backend`."""
        self._embedding.vision.forget()

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: Seen | None = None) -> Embedded:
        """See `Backend`."""
        return self._embedding.embed(prepared, generated, seen)

    def recounted(self, prepared: Prepared, embedded: Embedded) -> Prepared:
        """See `Backend`."""
        ids = embedded.filled
        if ids is None:
            return prepared
        image_tokens = count_image_tokens(ids, self._image_token)
        check_prompt_tokens(len(ids), image_tokens, self.max_prompt_tokens)
        sampling = within_context(self._loaded.info.context_length, len(ids), image_tokens, prepared.sampling)
        processor_ids = prepared.source_ids
        return replace(prepared, ids=ids, image_tokens=image_tokens, sampling=sampling, processor_ids=processor_ids)


class TextBackend(_Common):
    """mlx-lm."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded, loaded.model, loaded.processor)

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. mlx-lm would ignore an image in silence."""
        if images:
            check_sees(self._loaded.info)
        with self._lock:
            prompt = self._prompt(request.messages)
            lacks_bos = self._prompter.lacks_bos(prompt.text)
            ids = list(self._loaded.processor.encode(prompt.text, add_special_tokens=lacks_bos))
        ids = self._literals.restore(ids, prompt)
        check_biases(request.sampling, self._vocabulary)
        sampling = within_context(self._loaded.info.context_length, len(ids), 0, request.sampling)
        return Prepared(ids, 0, sampling, response_format=request.response_format)

    def patches(self, prepared: Prepared) -> int:
        """See `Backend`."""
        return 0

    def encode(self, rows: Iterable[Prepared]) -> Seen:
        """See `Backend`."""
        return {}

    def remember(self, seen: Seen) -> None:
        """See `Backend`."""

    def forget(self) -> None:
        """See `Backend`."""

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: Seen | None = None) -> Embedded:
        """See `Backend`."""
        ids = [*prepared.ids, *generated]
        return Embedded(ids, text_prefix=len(ids) - 1)


def check_biases(sampling: Sampling, vocabulary: int) -> None:
    """Raises InvalidRequestError for a bias of a token that the model does not have."""
    unknown = [token for token in sampling.logit_bias if token >= vocabulary]
    if unknown:
        raise InvalidRequestError(
            f"logit_bias names token {unknown[0]}, but the model's vocabulary ends at {vocabulary - 1}. Leave it out."
        )
