"""The settings of one process: each with its type, its default and its limits. `read_settings.py` reads them."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote

import platformdirs
from pydantic import AfterValidator, Field, IPvAnyNetwork, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from jobs.configuration.model_settings import ModelSettings, absolute_name
from jobs.configuration.path_map import parsed_path_map
from jobs.configuration.unattended_settings import UnattendedSettings
from jobs.disk.local_folders import whole_path
from jobs.errors import DataFolderError
from jobs.objects.paths import is_object

DEFAULT_MODEL = "mlx-community/Qwen3-VL-4B-Instruct-4bit"

#: The form of an API key: it fits into a header, and is hard to guess.
_API_KEY = re.compile(r"[!-~]{8,}")
#: An origin as browsers send it. `null` is the origin of files and sandboxed pages.
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s]+")
#: Fields whose values are never shown.
SECRET_FIELDS = ("api_keys", "webhook_secret")
#: The beginning of the environment variables of all settings.
ENV_PREFIX = "CAPTIONQ_"


class Settings(ModelSettings, UnattendedSettings):
    """The settings. The environment variable of each field is `CAPTIONQ_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    #: The folder of all data: database, broker, blobs, logs and lock files.
    data_dir: Annotated[Path, AfterValidator(whole_path)] = Field(
        default_factory=lambda: platformdirs.user_data_path("captionq", appauthor=False)
    )
    #: The SQLAlchemy URL of another database than `captionq.db` in the data folder.
    database_url: str | None = Field(default=None, repr=False)
    #: The URL of another Redis or Valkey than the one that captionq starts in the data folder (`jobs/net/broker_address.py`).
    redis_url: str | None = Field(default=None, repr=False)
    #: Where uploaded images are stored for all machines that share a queue: a shared folder or `s3://bucket/prefix`. Without it
    #: they are in the data folder, where only workers of this machine find them.
    blob_url: str | None = None
    #: A Hugging Face id, a local folder, `demo` or `demo-text`.
    model: Annotated[str, AfterValidator(absolute_name)] = DEFAULT_MODEL

    #: Folders below which image files may be read; empty: anywhere.
    allowed_roots: tuple[Path, ...] = ()
    #: Folders as rows name them, and where they are on this machine: `/Volumes/Photos=/mnt/photos`, several separated by `;` or
    #: given as a JSON object. Machines that share a queue may mount a shared folder in different places.
    path_map: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    #: Maximum size of one image in bytes.
    max_image_bytes: int = Field(default=200_000_000, ge=1)
    #: Maximum pixels of an image, checked by its header before anything is decoded: 200 megapixels are 600 MB of RGB.
    max_image_pixels: int = Field(default=200_000_000, ge=1)
    #: Maximum time for decoding one image, in seconds.
    decode_seconds: float = Field(default=20.0, gt=0)
    #: Maximum memory for decoding one image, in bytes. An image that needs more than a quarter is decoded in a separate process,
    #: one such image at a time.
    decode_memory: int = Field(default=1_500_000_000, ge=1_000_000)
    #: Maximum pixels that the model sees; larger images are scaled down. Speed depends on it most: a megapixel is 1,000 tokens.
    max_pixels: int = Field(default=1_048_576, ge=1024)
    #: Decode JPEGs at 1/2, 1/4 or 1/8 of their size if that is no smaller than `max_pixels` needs: several times faster, and the
    #: pixels differ a little from those of a full decode scaled down.
    jpeg_draft: bool = True
    #: Answer a question that was asked before, about the same pixels and with the same settings, from the database.
    cache: bool = True

    #: Private networks (`192.168.1.0/24`) that images may be downloaded from and webhooks sent to, also without TLS. Every other
    #: address has to be public, and https.
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    #: Maximum time for downloading an image, in seconds.
    fetch_seconds: float = Field(default=20.0, gt=0)

    #: Folders below which HTTP requests may name files; empty: no files.
    served_roots: tuple[Path, ...] = ()
    #: API keys by their names in the log; each key has at least 8 printable ASCII characters. Empty: all clients on the loopback
    #: address are allowed.
    api_keys: dict[str, SecretStr] = Field(default_factory=dict)
    #: Names of the API keys that may download models. Without keys, all clients may.
    admin_keys: tuple[str, ...] = ()
    #: Origins whose pages may call the API from a browser (`http://localhost:3000`, `app://obsidian.md`); `*`: all, which
    #: needs API keys.
    allowed_origins: tuple[str, ...] = ()
    #: Refuse parameters that this server does not have, instead of ignoring the ones that only tune another server.
    strict: bool = False
    #: The key that signs webhooks (`whsec_` and base64, of 24 to 64 bytes). Without a key there are no webhooks.
    webhook_secret: SecretStr | None = None
    #: Seconds after which a synchronous request ends with 504; its job can be polled. OpenAI's clients give up after 600.
    sync_deadline: float = Field(default=300.0, gt=0, lt=600)
    #: Maximum bytes of a request's body, base64 images included; and of an upload of files.
    max_body_bytes: int = Field(default=64_000_000, ge=1)
    max_upload_bytes: int = Field(default=2_000_000_000, ge=1)
    #: Maximum bytes and requests of a file for `POST /v1/batches`.
    max_batch_bytes: int = Field(default=200_000_000, ge=1)
    max_batch_lines: int = Field(default=50_000, ge=1)
    #: Maximum pause of a client that sends a body, in seconds.
    body_pause: float = Field(default=60.0, gt=0)
    #: Maximum images of one request.
    max_images: int = Field(default=32, ge=1)
    #: Maximum files of one upload or zip.
    max_upload_files: int = Field(default=20_000, ge=1)
    #: Maximum jobs of one `POST /v1/jobs`.
    max_jobs_per_request: int = Field(default=1000, ge=1)
    #: Maximum tokens of a prompt, images included; None: as many as the model's context holds.
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    #: Maximum number of open event streams.
    max_streams: int = Field(default=512, ge=1)
    #: Maximum jobs that wait in a lane; more are refused with 429.
    max_waiting_interactive: int = Field(default=512, ge=1)
    max_waiting_bulk: int = Field(default=1_000_000, ge=1)
    #: Days for which images that came with a request are stored after their last use.
    keep_images_days: float = Field(default=7.0, gt=0)
    #: Days after which ended jobs and runs are removed from the database, by servers and workers when nothing runs; None: never.
    #: Text files stay, and captionq no longer knows them as its own.
    keep_days: float | None = Field(default=None, ge=1)
    #: Write the text of prompts to the log; never images.
    log_prompts: bool = False

    #: Maximum number of tries of a job that meets transient errors, the first included.
    max_attempts: int = Field(default=3, ge=1)
    #: Seconds for which a worker that stops lets its jobs finish, before it puts them back into the queue.
    grace: float = Field(default=20.0, ge=0)
    #: Seconds for which one step of the engine may last; then the worker ends, and is started again. 0: without limit.
    stall: float = Field(default=300.0, ge=0)
    #: Seconds for which a heartbeat keeps the worker's leases; must be longer than the longest engine step.
    lease: int = Field(default=45, ge=5)

    @field_validator("data_dir", "database_url", "redis_url", "model", mode="before")
    @classmethod
    def _blank_is_default(cls, value: object, info: ValidationInfo) -> object:
        # Blank is how a shell takes a setting away, and how Compose passes a variable that is not set.
        if isinstance(value, str) and not value.strip():
            return cls.model_fields[str(info.field_name)].get_default(call_default_factory=True, validated_data={})
        return value

    @field_validator("allowed_roots", "served_roots")
    @classmethod
    def _absolute_roots(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        if Path() in value:
            raise ValueError("an empty path or '.' names no folder. Write whole paths, such as [\"/pictures\"]")
        return tuple(root if is_object(root) else whole_path(root) for root in value)

    @field_validator("blob_url")
    @classmethod
    def _folder_or_bucket(cls, value: str | None) -> str | None:
        value = None if value is None else value.removeprefix("file://").rstrip("/")
        if value and not value.startswith("/") and not re.fullmatch(r"s3://[^/]+(/[^/]+)*", value):
            raise ValueError(f"'{value}' is neither an absolute path of a folder nor s3://bucket/prefix")
        return value or None

    @field_validator("path_map", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> dict[str, str]:
        return parsed_path_map(value)

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.rstrip("/").lower() for origin in value)
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"'{origin}' is not an origin. Write a scheme and a host, such as http://localhost:3000"
                )
        return origins

    @model_validator(mode="after")
    def _every_origin_needs_keys(self) -> Self:
        if not self.api_keys and {"*", "null"}.intersection(self.allowed_origins):
            raise ValueError("CAPTIONQ_ALLOWED_ORIGINS allows every page (* or null), which needs CAPTIONQ_API_KEYS")
        return self

    @model_validator(mode="after")
    def _admins_have_keys(self) -> Self:
        if unknown := [name for name in self.admin_keys if name not in self.api_keys]:
            raise ValueError(f"CAPTIONQ_ADMIN_KEYS names '{unknown[0]}', which is no name of CAPTIONQ_API_KEYS")
        return self

    @field_validator("api_keys")
    @classmethod
    def _keys_that_protect(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, key in value.items():
            if not _API_KEY.fullmatch(key.get_secret_value()):
                raise ValueError(f"the key '{name}' must have 8 or more ASCII characters, without spaces")
        return value

    @cached_property
    def database(self) -> str:
        """SQLAlchemy URL of the system of record."""
        # Quoted: SQLAlchemy would interpret `?` and `%20` in the data folder's path.
        return self.database_url or f"sqlite:///{quote(str(self.data_dir / 'captionq.db'))}"

    @property
    def broker_dir(self) -> Path:
        return self.data_dir / "broker"

    @property
    def blob_dir(self) -> Path:
        shared = self.blob_url is not None and self.blob_url.startswith("/")
        return Path(self.blob_url or "") if shared else self.data_dir / "blobs"

    @property
    def feature_dir(self) -> Path:
        """Folder of the features of images that the model has seen."""
        return self.data_dir / "features"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def run_dir(self) -> Path:
        """Folder of the lock files of running commands."""
        return self.data_dir / "runs"

    @property
    def worker_lock(self) -> Path:
        """Lock file (flock) that the worker holds for as long as it lives."""
        return self.data_dir / "worker.lock"

    def make_folders(self) -> None:
        """Make the data folder and its subfolders, readable only by their owner. Raises DataFolderError."""
        try:
            for folder in (self.data_dir, self.broker_dir, self.log_dir, self.run_dir, self.data_dir / "blobs"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderError(
                f"{self.data_dir} cannot be made or used ({error.strerror}). Set CAPTIONQ_DATA_DIR to another folder."
            ) from error
        if not self.blob_dir.is_dir():
            # Not made here: where the share is not mounted, the folder would come into being on this machine's own disk.
            raise DataFolderError(f"{self.blob_dir} does not exist. Mount it or make it (CAPTIONQ_BLOB_URL).")
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise DataFolderError(
                f"{self.data_dir} cannot be written to. Make it writable, or set CAPTIONQ_DATA_DIR to another folder."
            )
