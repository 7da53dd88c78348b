"""Hugging Face's hub: its cache on this machine, the config of a model that is not there, and its errors as captionq's.

The hub's client is imported inside functions: most commands never need it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import ModelNotFoundError, ModelUnavailableError, first_line


def cache_dir() -> Path:
    """Find the folder of cached models as the hub's client does, without the time that importing the client takes."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def fetch_config(name: str) -> Path:
    """Download the config of a model, some kilobytes instead of gigabytes; return the folder that holds the config.

    Raises ModelNotFoundError, ModelUnavailableError.
    """
    from huggingface_hub import hf_hub_download

    with hub_errors(name):
        return Path(hf_hub_download(name, "config.json")).parent


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Translate errors of the hub's client. Raises ModelNotFoundError, ModelUnavailableError."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelNotFoundError(
            f"'{name}' requires accepting its licence: do so on its page, then run `hf auth login`."
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ModelNotFoundError(f"There is no model '{name}', neither as a folder nor on Hugging Face.") from error
    except errors.RemoteEntryNotFoundError as error:
        raise ModelNotFoundError(f"'{name}' on Hugging Face is not a model: it has no config.json.") from error
    except (httpx2.HTTPError, OSError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        hint = "Make room on the disk of the model cache (HF_HOME)" if full else "Check the network"
        # API clients see the message: it must not contain paths.
        cause = first_line(error).replace(str(cache_dir()), "the model cache")
        raise ModelUnavailableError(
            f"'{name}' could not be downloaded ({cause}). {hint}; `captionq models` lists the models on this machine."
        ) from error
