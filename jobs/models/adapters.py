"""Adapters: weights of a LoRA or DoRA that are put on a model. The name of such a model holds both names.

`owner/model+adapter=owner/lora` is a model of its own everywhere: it is loaded, checked and cached apart from `owner/model`.
"""

from __future__ import annotations

import json
from pathlib import Path

from jobs.disk.local_folders import local_folder
from jobs.errors import AdapterError, ModelNotFoundError, first_line
from jobs.models.hub import cached_snapshot

#: Between the names of the model and of its adapter.
_MARK = "+adapter="
CONFIG = "adapter_config.json"
#: Names of the file of weights: as mlx-vlm and mlx-lm write it, and as older versions of mlx-vlm did.
WEIGHTS = ("adapters.safetensors", "weights.safetensors")


def with_adapter(model: str, adapter: str | None) -> str:
    """Return the name of a model with an adapter in place of the one that it may have; None: with its own."""
    return model if adapter is None else split_name(model)[0] + _MARK + adapter


def split_name(name: str) -> tuple[str, str | None]:
    """Return the names of the model and of its adapter; None: it has none."""
    model, mark, adapter = name.partition(_MARK)
    return (model, adapter) if mark and adapter else (name, None)


def adapter_folder(adapter: str) -> Path | None:
    """Find the folder of an adapter by the folder's path or a Hugging Face id; None: it has to be downloaded first.

    Raises ModelNotFoundError, AdapterError.
    """
    folder = local_folder(adapter)
    if folder is not None:
        check_adapter(folder, shown_name(adapter))
        return folder
    if adapter.startswith(("/", "~", ".")) or adapter.count("/") != 1:
        raise ModelNotFoundError(
            f"There is no adapter '{shown_name(adapter)}'. It is neither a folder nor a Hugging Face id (owner/name)."
        )
    snapshot = cached_snapshot(adapter)
    return snapshot if snapshot is not None and weights_file(snapshot) is not None else None


def check_adapter(folder: Path, shown: str) -> None:
    """Check that a folder holds an adapter that mlx can load. Raises AdapterError.

    `shown`: the adapter's name for clients.
    """
    try:
        config = json.loads((folder / CONFIG).read_text())
    except FileNotFoundError:
        raise AdapterError(f"'{shown}' is not an adapter: it has no {CONFIG}.") from None
    except (OSError, ValueError) as error:
        raise AdapterError(
            f"The adapter '{shown}' cannot be used: its {CONFIG} cannot be read ({first_line(error)})."
        ) from error
    if not isinstance(config, dict):
        raise AdapterError(f"The adapter '{shown}' cannot be used: its {CONFIG} is not a JSON object.")
    if "peft_type" in config:
        raise AdapterError(
            f"The adapter '{shown}' has PEFT's format, which mlx cannot load. Merge it into its model and convert that with "
            "mlx_vlm.convert, or train the adapter with mlx_vlm.lora or mlx_lm.lora."
        )
    if weights_file(folder) is None:
        raise AdapterError(f"The adapter '{shown}' has no weights ({WEIGHTS[0]}).")


def weights_file(folder: Path) -> Path | None:
    """Return the file of an adapter's weights; None: the folder has none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def shown_name(adapter: str) -> str:
    """Return the name of an adapter for clients: of a local folder only the name, for its path says too much."""
    is_path = adapter.startswith(("/", "~", ".")) or local_folder(adapter) is not None
    return Path(adapter).name if is_path else adapter
