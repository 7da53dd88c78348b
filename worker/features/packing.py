"""Features as bytes in the safetensors format: arrays, nested in tuples, lists and dicts as the model's tower returns them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from jobs.errors import EngineError

#: Arrays of a plain numpy type.
_Arrays = dict[str, npt.NDArray[Any]]
#: Types of mlx that numpy has not, and the type of the same width that carries their bits.
_CARRIED = {mx.bfloat16: mx.uint16}
_PLAIN = (mx.bool_, mx.int8, mx.int16, mx.int32, mx.int64, mx.uint8, mx.uint16, mx.uint32, mx.uint64)
_TYPES = {str(one): one for one in (mx.float32, mx.float16, mx.bfloat16, *_PLAIN)}


class NotPackedError(EngineError):
    """Features of a form that is not kept on the disk."""


class DamagedError(EngineError):
    """A file of features is damaged."""


def pack(features: Any) -> tuple[dict[str, Any], _Arrays]:
    """Copy features into a description and arrays that may cross threads. Raises NotPackedError."""
    arrays: _Arrays = {}
    return _described(features, arrays), arrays


def as_bytes(description: dict[str, Any], arrays: _Arrays, name: str) -> bytes:
    """Return the file of packed features. `name`: of the image and the model that they belong to."""
    form = json.dumps(description)
    return bytes(save(arrays, metadata={"form": form, "digest": _digest(name, form, arrays)}))


def unpack(data: bytes, name: str) -> Any:
    """Return the features of a file. Raises DamagedError if a bit is not as it was written, or if they belong to another name."""
    try:
        length = int.from_bytes(data[:8], "little")
        told = json.loads(data[8 : 8 + length])["__metadata__"]
        arrays = load(data)
        whole = told["digest"] == _digest(name, told["form"], arrays)
        if whole:
            return _built(json.loads(told["form"]), arrays)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DamagedError("A file of image features cannot be read.") from error
    raise DamagedError("A file of image features has changed since it was written.")


def _described(features: Any, arrays: _Arrays) -> dict[str, Any]:
    if features is None:
        return {}
    if isinstance(features, mx.array):
        name = str(len(arrays))
        carried = _CARRIED.get(features.dtype)
        if str(features.dtype) not in _TYPES:
            raise NotPackedError(str(features.dtype))
        arrays[name] = np.array(features if carried is None else features.view(carried))
        return {"array": name, "type": str(features.dtype)}
    for kind, name in ((tuple, "tuple"), (list, "list")):
        # Not a subclass, such as a named tuple: it would come back as another type.
        if type(features) is kind:
            return {name: [_described(part, arrays) for part in features]}
    if type(features) is dict and all(isinstance(key, str) for key in features):
        return {"dict": {key: _described(part, arrays) for key, part in features.items()}}
    raise NotPackedError(type(features).__name__)


def _built(form: dict[str, Any], arrays: _Arrays) -> Any:
    if "array" in form:
        array, kind = mx.array(arrays[form["array"]]), _TYPES[form["type"]]
        return array if array.dtype == kind else array.view(kind)
    if "dict" in form:
        return {key: _built(part, arrays) for key, part in form["dict"].items()}
    if "tuple" in form:
        return tuple(_built(part, arrays) for part in form["tuple"])
    return [_built(part, arrays) for part in form["list"]] if "list" in form else None


def _digest(name: str, form: str, arrays: _Arrays) -> str:
    digest = hashlib.blake2b(f"{name} {form}".encode(), digest_size=16)
    for number in sorted(arrays):
        array = arrays[number]
        digest.update(f"{number}{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
