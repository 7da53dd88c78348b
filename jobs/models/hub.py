"""Hugging Face's hub: its cache on this machine, the config of a model that is not there, and its errors as captionq's.

The hub's client is imported inside functions: most commands never need it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.errors import ModelNotFoundError, ModelUnavailableError, first_line

#: Seconds after which a hub that does not answer counts as unreachable.
HUB_SECONDS = 10.0


def cache_dir() -> Path:
    """Find the folder of cached models as the hub's client does, without the time that importing the client takes."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def cached_names() -> list[str]:
    """Return the names of the repositories of models in the cache, also of those that were downloaded in part."""
    folders = sorted(cache_dir().glob("models--*"))
    return [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]


def cached_snapshot(name: str) -> Path | None:
    """Return the folder of a repository's newest revision in the cache; None: nothing of it was downloaded."""
    repository = cache_dir() / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text().strip()
    except FileNotFoundError:
        return None
    return repository / "snapshots" / revision


def fetch_config(name: str) -> Path:
    """Download the config of a model, some kilobytes instead of gigabytes; return the folder that holds the config.

    Without the hub an earlier download counts. Raises ModelNotFoundError, ModelUnavailableError.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, but not exported by its types

    try:
        with hub_errors(name):
            # Before the network: the cache is not asked for a name that cannot be one.
            validate_repo_id(name)
            reach_hub()
            return Path(hf_hub_download(name, "config.json")).parent
    except ModelUnavailableError:
        kept = try_to_load_from_cache(name, "config.json")
        if not isinstance(kept, str):
            raise
        return Path(kept).parent


def fetch_card(name: str) -> None:
    """Download the card of a model, which names its licence, if it has one. Raises ModelNotFoundError, ModelUnavailableError."""
    from huggingface_hub import errors, hf_hub_download

    with hub_errors(name), suppress(errors.RemoteEntryNotFoundError):
        hf_hub_download(name, "README.md")


def without_token(text: str) -> str:
    """Return a message of the hub without the token, which a server could repeat there, perhaps with escapes in it."""
    from huggingface_hub import get_token

    for piece in re.findall(r"[\w-]{6,}", get_token() or ""):
        text = text.replace(piece, "…")
    return text


def reach_hub() -> None:
    """Send the hub one request, so that a missing network is found in a moment: the client's own retries take 23 seconds.

    Raises httpx2.HTTPError or OSError. Any answer will do.
    """
    from huggingface_hub import constants, get_session

    get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS, follow_redirects=False)


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Translate errors of the hub's client, and keep its retries off the terminal.

    Raises ModelNotFoundError, ModelUnavailableError.
    """
    import httpx2
    from huggingface_hub import errors
    from huggingface_hub.utils import logging as hub_logging

    if "HF_HUB_VERBOSITY" not in os.environ:
        hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
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
        cause, way_out = _cause(error)
        raise ModelUnavailableError(f"'{name}' could not be downloaded: {cause}. {way_out}.") from error


def _cause(error: Exception) -> tuple[str, str]:
    """Say why a download failed, and the way out."""
    import httpx2
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT.partition("://")[2]
    network = "Check the network; `captionq models` lists the models on this machine"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set", "Unset it; `captionq models` lists the models on this machine"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        # API clients see the message: it must not contain paths.
        return "the disk is full", "Make room on the disk of the model cache (HF_HOME)"
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return "the model cache cannot be written to", "Set HF_HUB_CACHE to a folder that may be"
    if isinstance(error, httpx2.HTTPStatusError):
        return f"{hub} answered {error.response.status_code} {error.response.reason_phrase}".rstrip(), network
    root: BaseException = error
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    if isinstance(root, TimeoutError | httpx2.TimeoutException):
        return f"{hub} did not answer in time", network
    return f"{hub} cannot be reached ({getattr(root, 'strerror', None) or without_token(first_line(error))})", network
