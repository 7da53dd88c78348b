"""The two kinds of model behind the engine: mlx-vlm's for vision, mlx-lm's for text.

`prepare` runs in any thread; everything else belongs to the thread that loaded the model, because mlx's streams are its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from PIL import Image

from jobs.errors import ContextLengthError, InvalidRequestError, ModelError, TooManyImagesError, in_words
from jobs.models.model_info import check_sees, public_name
from jobs.requests import Message, Request, Sampling
from worker.models import detokenizer, kv_cache
from worker.models.chat_template import ChatTemplate
from worker.models.control_tokens import ControlTokens, ShieldedPrompt
from worker.models.embedding import Embedding
from worker.models.inputs import Embedded, Prepared
from worker.models.loader import LoadedModel, vocabulary_of
from worker.models.reference import Reference, reference_of
from worker.models.vision_tower import Seen
from worker.sampling.grammar import Constraint, Grammars

#: Characters of a prompt that are tokenised at once, whatever comes of them.
_SHORT_TEXT = 1 << 16
#: Characters of a longer one whose tokens are counted at a time, and how many of these tokens only the cuts make.
_PIECE = 1 << 14
_CUT_TOKENS = 4


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
        """See `Backend`. Other requests are tokenised between two pieces, and the rest of a text that is too long is not."""
        if sum(map(len, texts)) <= _SHORT_TEXT:
            return
        tokens = 0
        pieces = (text[start : start + _PIECE] for text in texts for start in range(0, len(text), _PIECE))
        for piece in pieces:
            with self._lock:
                tokens += max(0, len(self.tokenizer.encode(piece, add_special_tokens=False)) - _CUT_TOKENS)
            if tokens > limit:
                raise ContextLengthError(
                    f"The prompt's text has more than the {limit} tokens that are allowed. Send less text."
                )

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
        limit = self._loaded.info.context_length
        if limit is not None and len(prompt.ids) >= limit:
            raise ContextLengthError(
                f"The prompt spells out control tokens: {len(prompt.ids)} tokens as text, and the model takes {limit} with the "
                "answer. Send less text."
            )
        return prompt


class VisionBackend(_Common):
    """mlx-vlm."""

    def __init__(self, loaded: LoadedModel) -> None:
        tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
        super().__init__(loaded, loaded.model.language_model, tokenizer)
        self._image_token = _image_token(loaded.model.config)
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
        ids = self._literals.restore(self._only_row(inputs.pop("input_ids")), prompt)
        inputs.pop("attention_mask", None)
        if images and not inputs:
            raise ModelError(
                f"'{public_name(self._loaded.info.name)}' has no image processor that works here, and would answer without "
                "its image. Use another model, such as Qwen3-VL."
            )
        image_tokens = ids.count(self._image_token) if images and self._image_token is not None else 0
        check_biases(request.sampling, self._vocabulary)
        sampling = within_context(self._loaded, len(ids), image_tokens, request.sampling)
        return Prepared(ids, image_tokens, sampling, inputs, _image_keys(inputs), request.response_format)

    def _process(self, prompt: str, images: list[Image.Image]) -> dict[str, Any]:
        from mlx_vlm.utils import prepare_inputs

        try:
            raw = prepare_inputs(
                self._loaded.processor,
                images=images or None,
                prompts=prompt,
                image_token_index=self._image_token,
                add_special_tokens=self._prompter.lacks_bos(prompt),
            )
        except Exception as error:
            # Processors raise anything, and mlx-vlm makes a ValueError of it, without the type.
            cause = error.__context__ if str(error).startswith("Failed to process inputs") else None
            raise ModelError(
                f"'{public_name(self._loaded.info.name)}' cannot take this prompt with its images: {in_words(cause or error)}"
            ) from error
        return {name: _as_numpy(value) for name, value in raw.items()}

    def _only_row(self, input_ids: Any) -> list[int]:
        """The ids (1, L) of the prompt. Raises ModelError when the processor made a prompt of each image (Molmo's does)."""
        if input_ids.ndim > 1 and len(input_ids) > 1:
            name = public_name(self._loaded.info.name)
            raise ModelError(
                f"'{name}' takes one image in a request. Send one, or use another model, such as Qwen3-VL."
            )
        ids: list[int] = input_ids.reshape(-1).tolist()
        return ids

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
        image_tokens = ids.count(self._image_token) if self._image_token is not None else 0
        check_prompt_tokens(len(ids), image_tokens, self.max_prompt_tokens)
        sampling = within_context(self._loaded, len(ids), image_tokens, prepared.sampling)
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
        sampling = within_context(self._loaded, len(ids), 0, request.sampling)
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


def check_prompt_tokens(tokens: int, image_tokens: int, limit: int | None) -> None:
    """Raises ContextLengthError for a prompt that is longer than the settings allow."""
    if limit is not None and tokens > limit:
        raise ContextLengthError(
            f"The prompt has {tokens} tokens ({image_tokens} for images); {limit} are allowed "
            "(CAPTIONQ_MAX_PROMPT_TOKENS). Send less text, or fewer or smaller images."
        )


def within_context(loaded: LoadedModel, prompt_tokens: int, image_tokens: int, sampling: Sampling) -> Sampling:
    """The sampling with `max_tokens` no larger than what the context leaves: the libraries run on past its end without a word.

    Raises ContextLengthError when it leaves nothing.
    """
    limit = loaded.info.context_length
    if limit is None or prompt_tokens + sampling.max_tokens <= limit:
        return sampling
    if prompt_tokens < limit:
        return sampling.model_copy(update={"max_tokens": limit - prompt_tokens})
    raise ContextLengthError(
        f"The prompt has {prompt_tokens} tokens ({image_tokens} for images), and the model takes {limit} with the answer. "
        "Send less text, or fewer or smaller images."
    )


def _image_token(config: Any) -> int | None:
    for name in ("image_token_id", "image_token_index"):
        if (token := getattr(config, name, None)) is not None:
            return int(token)
    return None


def _as_numpy(value: Any) -> Any:
    """The value with numpy's arrays for mlx's, also in lists, tuples and dicts: mlx's belong to the thread that made them."""
    import mlx.core as mx

    if isinstance(value, dict):
        return {name: _as_numpy(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_as_numpy(part) for part in value)
    if not isinstance(value, mx.array):
        return value
    # numpy has no bfloat16.
    return np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value)


def _image_keys(inputs: dict[str, Any]) -> tuple[bytes, ...]:
    """A digest of each image's pixels where the processor says which are whose, else one of all that it made of them."""
    pixels, grids = inputs.get("pixel_values"), inputs.get("image_grid_thw")
    if not isinstance(pixels, np.ndarray):
        # None, or a list of arrays of several shapes: those are not remembered.
        return ()
    if grids is None:
        return (_digest(*(value for value in inputs.values() if isinstance(value, np.ndarray))),)
    ends = np.cumsum(grids.prod(axis=1)).tolist()
    starts = [0, *ends[:-1]]
    return tuple(_digest(pixels[start:end], grid) for start, end, grid in zip(starts, ends, grids, strict=True))


def _digest(*arrays: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
