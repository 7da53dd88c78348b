"""The two generators behind the engine: mlx-vlm's for vision, mlx-lm's for text.

Both batch continuously: rows join and leave while the others decode. The sequence of calls, and `prefill_batch_size=1`, are what
was proven to give every row the tokens it gets alone; larger prefill batches mix up the image features of their rows.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

from jobs.errors import ContextLengthError, ImagesNotSupportedError
from jobs.requests import Request, Sampling
from worker.loader import LoadedModel
from worker.prompting import templated
from worker.sampling import LogitsProcessor, logits_processors


@dataclass(frozen=True)
class Prepared:
    """A request that is ready for the model, in plain arrays: no mlx array crosses a thread."""

    ids: list[int]
    #: How many of the ids stand for images.
    image_tokens: int
    sampling: Sampling
    #: What the processor made of the images: pixels, grids, masks.
    inputs: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Token:
    """The next token of a row. `finish_reason` is None, `stop` (the token is a stop token) or `length`."""

    uid: int
    id: int
    finish_reason: str | None


class Backend(Protocol):
    """A model with a batch. All but `prepare` belongs to the thread that loaded the model."""

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """From messages and decoded images to ids and arrays. May run in any thread. Raises InvalidRequestError, ModelError."""

    def restart(self, slots: int) -> None:
        """Begin with an empty batch of up to `slots` rows; what was in the old one is dropped."""

    def insert(self, prepared: Prepared) -> int:
        """Add a row; it is prefilled in the next steps. Returns its uid."""

    def prefilling(self) -> bool:
        """Whether an inserted row has not joined the batch yet."""

    def next(self) -> list[Token]:
        """Decode every row by one token, and go on with the prefill."""

    def remove(self, uid: int) -> None:
        """Take a row out, wherever it is."""

    def text(self, ids: list[int]) -> str:
        """The text of generated ids, without special tokens."""

    def close(self) -> None:
        """Let go of the batch and its memory."""


def make_backend(loaded: LoadedModel) -> Backend:
    """The backend for the model's modality."""
    return VisionBackend(loaded) if loaded.info.modality == "vision" else TextBackend(loaded)


class VisionBackend:
    """mlx-vlm."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
        # Tokenizers and processors keep state while they work.
        self._lock = threading.Lock()
        self._generator: Any = None

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`."""
        from mlx_vlm.utils import prepare_inputs

        with self._lock:
            prompt = templated(self._loaded.processor, self._loaded.config, request.messages)
            raw = prepare_inputs(
                self._loaded.processor,
                images=images or None,
                prompts=prompt,
                image_token_index=self._image_token,
                add_special_tokens=False,
            )
            inputs = {name: _as_numpy(value) for name, value in raw.items()}
        ids = inputs.pop("input_ids").reshape(-1).tolist()
        check_context(self._loaded, len(ids), request.sampling)
        image_tokens = ids.count(self._image_token) if images else 0
        return Prepared(ids, image_tokens, request.sampling, inputs)

    @property
    def _image_token(self) -> int | None:
        config = self._loaded.model.config
        for name in ("image_token_id", "image_token_index"):
            if (token := getattr(config, name, None)) is not None:
                return int(token)
        return None

    def restart(self, slots: int) -> None:
        """See `Backend`."""
        from mlx_vlm.generate import BatchGenerator

        self.close()
        self._generator = BatchGenerator(
            self._loaded.model.language_model,
            self._loaded.processor,
            prefill_batch_size=1,
            completion_batch_size=slots,
            compute_logprobs=False,
            stop_tokens=set(self._loaded.eos),
        )

    def insert(self, prepared: Prepared) -> int:
        """See `Backend`. Runs the vision tower."""
        import mlx.core as mx

        # One dtype and shape a name: mlx arrays are made here, on the model's thread.
        data = {
            name: mx.array(value) if isinstance(value, np.ndarray) else value for name, value in prepared.inputs.items()
        }
        pixels, mask = data.pop("pixel_values", None), data.pop("attention_mask", None)
        embedded = self._loaded.model.get_input_embeddings(mx.array([prepared.ids]), pixels, mask=mask, **data)
        row = {**data, **{name: value for name, value in embedded.to_dict().items() if value is not None}}
        (uid,) = self._generator.insert(
            [prepared.ids],
            max_tokens=[prepared.sampling.max_tokens],
            prompt_kwargs=[row],
            logits_processors=[logits_processors(prepared.sampling)],
        )
        return int(uid)

    def prefilling(self) -> bool:
        """See `Backend`."""
        return bool(self._generator.has_pending_prompts)

    def next(self) -> list[Token]:
        """See `Backend`."""
        return [Token(one.uid, int(one.token), one.finish_reason) for one in self._generator.next()[1]]

    def remove(self, uid: int) -> None:
        """See `Backend`."""
        self._generator.remove(uid)

    def text(self, ids: list[int]) -> str:
        """See `Backend`."""
        return decode_text(self._tokenizer, ids)

    def close(self) -> None:
        """See `Backend`."""
        if self._generator is not None:
            self._generator.close()
            self._generator = None


class TextBackend:
    """mlx-lm."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._lock = threading.Lock()
        self._generator: Any = None

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. mlx-lm would ignore an image in silence."""
        if images:
            raise ImagesNotSupportedError(f"'{self._loaded.info.name}' is a text-only model and cannot look at images.")
        with self._lock:
            prompt = templated(self._loaded.processor, self._loaded.config, request.messages)
            ids = list(self._loaded.processor.encode(prompt, add_special_tokens=False))
        check_context(self._loaded, len(ids), request.sampling)
        return Prepared(ids, 0, request.sampling)

    def restart(self, slots: int) -> None:
        """See `Backend`."""
        from mlx_lm.generate import BatchGenerator

        self.close()
        self._generator = BatchGenerator(
            self._loaded.model,
            stop_tokens=[[token] for token in sorted(self._loaded.eos)],
            completion_batch_size=slots,
            prefill_batch_size=1,
        )

    def insert(self, prepared: Prepared) -> int:
        """See `Backend`."""
        processors: list[LogitsProcessor] = logits_processors(prepared.sampling) or []
        (uid,) = self._generator.insert(
            [prepared.ids], max_tokens=[prepared.sampling.max_tokens], logits_processors=[processors]
        )
        return int(uid)

    def prefilling(self) -> bool:
        """See `Backend`. mlx-lm takes its prompts in their order, so nothing has to be held back."""
        return False

    def next(self) -> list[Token]:
        """See `Backend`."""
        return [Token(one.uid, int(one.token), one.finish_reason) for one in self._generator.next()[1]]

    def remove(self, uid: int) -> None:
        """See `Backend`."""
        self._generator.remove([uid])

    def text(self, ids: list[int]) -> str:
        """See `Backend`."""
        return decode_text(self._loaded.processor, ids)

    def close(self) -> None:
        """See `Backend`."""
        if self._generator is not None:
            self._generator.close()
            self._generator = None


def check_context(loaded: LoadedModel, prompt_tokens: int, sampling: Sampling) -> None:
    """The libraries run on past the end of the context without a word. Raises ContextLengthError."""
    limit = loaded.info.context_length
    if limit is not None and prompt_tokens + sampling.max_tokens > limit:
        raise ContextLengthError(
            f"The prompt has {prompt_tokens} tokens (images included) and the answer may have {sampling.max_tokens}: together "
            f"more than the {limit} of '{loaded.info.name}'. Ask for a shorter answer, or send less."
        )


def decode_text(tokenizer: Any, ids: list[int]) -> str:
    """The whole answer decoded at once: a character whose bytes are spread over tokens comes out whole."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text.strip()


def _as_numpy(value: Any) -> Any:
    import mlx.core as mx

    if not isinstance(value, mx.array):
        return value
    # numpy has no bfloat16.
    return np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value)
