"""The two generators behind the engine: mlx-vlm's for vision, mlx-lm's for text.

Both batch continuously: rows join and leave while the others decode. The sequence of calls, and `prefill_batch_size=1`, are what
was proven to give every row the tokens it gets alone; larger prefill batches mix up the image features of their rows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

from jobs.errors import ContextLengthError, EngineError, ImagesNotSupportedError, ModelError
from jobs.requests import Request, Sampling
from worker import text
from worker.loader import LoadedModel
from worker.prompting import Prompter
from worker.sampling import logits_processors

#: Tokens of a prompt that are prefilled between two steps of the other rows: mlx-vlm's own default.
PREFILL_STEP = 2048


@dataclass(frozen=True)
class Prepared:
    """A request that is ready for the model, in plain arrays: no mlx array crosses a thread."""

    #: The prompt after the expansion of its images.
    ids: list[int]
    #: How many of the ids stand for images.
    image_tokens: int
    sampling: Sampling
    #: What the processor made of the images, by name: pixels, grids, masks.
    inputs: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Token:
    """The next token of a row. `finish_reason` is None, `stop` (the token is a stop token) or `length`."""

    uid: int
    id: int
    finish_reason: str | None


class Backend(Protocol):
    """A model with a batch. All but `prepare` belongs to the thread that loaded the model: mlx's streams are its own."""

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """From messages and decoded images to ids and arrays. May run in any thread. Raises InvalidRequestError, ModelError."""

    def restart(self, slots: int) -> None:
        """Begin with an empty batch of up to `slots` rows; what was in the old one is dropped."""

    def insert(self, prepared: Prepared, generated: Sequence[int] = ()) -> int:
        """Add a row, which is prefilled in the next steps and goes on after `generated`. Returns its uid."""

    def prefilling(self) -> bool:
        """Whether an inserted row has not joined the batch yet."""

    def next(self) -> list[Token]:
        """Decode every row by one token, and go on with the prefill. After an exception nothing but `restart` is allowed."""

    def remove(self, uid: int) -> None:
        """Take a row out, wherever it is."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated ids, without special tokens."""

    def close(self) -> None:
        """Let go of the batch and its memory."""


def make_backend(loaded: LoadedModel) -> Backend:
    """The backend for the model's modality. Raises ModelError."""
    return VisionBackend(loaded) if loaded.info.modality == "vision" else TextBackend(loaded)


class VisionBackend:
    """mlx-vlm."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
        self._prompter = Prompter(loaded.processor, loaded.config)
        self._image_token = _image_token(loaded.model.config)
        # Tokenizers and processors keep state while they work.
        self._lock = threading.Lock()
        self._generator: Any = None

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. The processor's arrays come from numpy and go back to it in the same thread."""
        with self._lock:
            prompt = self._prompter.prompt(request.messages)
            inputs = self._process(prompt, images)
        ids = inputs.pop("input_ids").reshape(-1).tolist()
        inputs.pop("attention_mask", None)
        image_tokens = ids.count(self._image_token) if images else 0
        check_context(self._loaded, len(ids), image_tokens, request.sampling)
        return Prepared(ids, image_tokens, request.sampling, inputs)

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
            # Processors raise whatever they stumble over; mlx-vlm makes a ValueError of it.
            raise ModelError(f"'{self._loaded.info.name}' cannot take this prompt with its images: {error}") from error
        return {name: _as_numpy(value) for name, value in raw.items()}

    def restart(self, slots: int) -> None:
        """See `Backend`."""
        from mlx_vlm.generate import BatchGenerator

        self.close()
        # Set here, not handed over: every generator that is given stop tokens appends them to the tokenizer's list.
        self._tokenizer.stopping_criteria.reset(sorted(self._loaded.eos))
        self._generator = BatchGenerator(
            self._loaded.model.language_model,
            self._loaded.processor,
            prefill_batch_size=1,
            completion_batch_size=slots,
            compute_logprobs=False,
        )

    def insert(self, prepared: Prepared, generated: Sequence[int] = ()) -> int:
        """See `Backend`. Runs the vision tower, to its end: what goes wrong there is this row's own."""
        import mlx.core as mx

        if self._image_token in generated:
            raise EngineError("The answer holds an image marker, and cannot be taken up again.")
        ids = [*prepared.ids, *generated]
        data = {name: _as_mlx(value, len(prepared.ids), len(ids)) for name, value in prepared.inputs.items()}
        pixels = data.pop("pixel_values", None)
        tokens = mx.array([ids])
        embedded = self._loaded.model.get_input_embeddings(tokens, pixels, mask=mx.ones_like(tokens), **data)
        row = {**data, **{name: value for name, value in embedded.to_dict().items() if value is not None}}
        mx.eval(row)
        # At the end of a chunk every per-token input is cut but the deepstack list: a row that has one goes in one chunk.
        self._generator.prefill_step_size = len(ids) if "deepstack_visual_embeds" in row else PREFILL_STEP
        (uid,) = self._generator.insert(
            [ids],
            max_tokens=[prepared.sampling.max_tokens - len(generated)],
            prompt_kwargs=[row],
            logits_processors=[logits_processors(prepared.sampling, len(generated))],
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

    def text(self, ids: Sequence[int]) -> str:
        """See `Backend`."""
        return text.decode(self._tokenizer, ids)

    def close(self) -> None:
        """See `Backend`."""
        if self._generator is not None:
            self._generator.close()
            self._generator = None


class TextBackend:
    """mlx-lm."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._prompter = Prompter(loaded.processor, loaded.config)
        self._lock = threading.Lock()
        self._generator: Any = None

    def prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        """See `Backend`. mlx-lm would ignore an image in silence."""
        if images:
            raise ImagesNotSupportedError(f"'{self._loaded.info.name}' is a text-only model and cannot look at images.")
        with self._lock:
            prompt = self._prompter.prompt(request.messages)
            ids = list(self._loaded.processor.encode(prompt, add_special_tokens=self._prompter.lacks_bos(prompt)))
        check_context(self._loaded, len(ids), 0, request.sampling)
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
            prefill_step_size=PREFILL_STEP,
        )

    def insert(self, prepared: Prepared, generated: Sequence[int] = ()) -> int:
        """See `Backend`."""
        (uid,) = self._generator.insert(
            [[*prepared.ids, *generated]],
            max_tokens=[prepared.sampling.max_tokens - len(generated)],
            logits_processors=[logits_processors(prepared.sampling, len(generated)) or []],
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

    def text(self, ids: Sequence[int]) -> str:
        """See `Backend`."""
        return text.decode(self._loaded.processor, ids)

    def close(self) -> None:
        """See `Backend`."""
        if self._generator is not None:
            self._generator.close()
            self._generator = None


def check_context(loaded: LoadedModel, prompt_tokens: int, image_tokens: int, sampling: Sampling) -> None:
    """The libraries run on past the end of the context without a word. Raises ContextLengthError."""
    limit = loaded.info.context_length
    if limit is None or prompt_tokens + sampling.max_tokens <= limit:
        return
    name, left = loaded.info.name, limit - prompt_tokens
    if left > 0:
        raise ContextLengthError(
            f"max_tokens is {sampling.max_tokens}, but of the {limit} tokens of '{name}' the prompt takes {prompt_tokens} "
            f"({image_tokens} for images). Ask for at most {left}."
        )
    raise ContextLengthError(
        f"The prompt has {prompt_tokens} tokens ({image_tokens} for images), and '{name}' takes {limit} with the answer. "
        "Send less text, or fewer or smaller images."
    )


def _image_token(config: Any) -> int | None:
    for name in ("image_token_id", "image_token_index"):
        if (token := getattr(config, name, None)) is not None:
            return int(token)
    return None


def _as_numpy(value: Any) -> Any:
    import mlx.core as mx

    if not isinstance(value, mx.array):
        return value
    # numpy has no bfloat16.
    return np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value)


def _as_mlx(value: Any, prompt: int, length: int) -> Any:
    """The processor's array for the model. One that has an entry for each prompt token gets zeros (text) up to `length`."""
    import mlx.core as mx

    if not isinstance(value, np.ndarray):
        return value
    if length > prompt and value.shape == (1, prompt):
        value = np.pad(value, [(0, 0), (0, length - prompt)])
    return mx.array(value)
