"""The settings of one process: read once from `CAPTIONQ_*` at the start, then handed down."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs
import pydantic_settings
from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.errors import DataFolderError, SettingsError

DEFAULT_MODEL = "mlx-community/Qwen3-VL-4B-Instruct-4bit"

#: A number and what it counts; without a unit it is a share.
BUDGET = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(%|[gGmM][bB]|)\s*$")
_UNITS = {"GB": 1e9, "MB": 1e6}
#: What an API key may be: it stands in a header, and is not to be guessed.
_API_KEY = re.compile(r"[!-~]{8,}")
#: Whose values are never shown.
_SECRET = ("api_keys", "webhook_secret")


class Settings(BaseSettings):
    """Everything that can be set from outside. Each field is `CAPTIONQ_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="CAPTIONQ_", frozen=True, extra="forbid")

    #: Holds all that is kept: database, broker, blobs, logs and lock files.
    data_dir: Path = Field(default_factory=lambda: platformdirs.user_data_path("captionq", appauthor=False))
    #: Another database than `captionq.db` in the data folder, as an SQLAlchemy URL.
    database_url: str | None = None
    #: Another Redis or Valkey than the one that captionq starts in the data folder.
    redis_url: str | None = None
    #: A Hugging Face id, a local folder, `demo` or `demo-text`.
    model: str = DEFAULT_MODEL

    #: Rows that decode together. More is faster until memory runs short.
    slots: int = Field(default=32, ge=1, le=256)
    #: Memory for models: a share of what the device has (`0.6`, `60%`) or an amount (`24GB`). Without it one model is in memory
    #: at a time; with it as many as fit, and the least recently used one makes room.
    memory_budget: str | None = Field(default=None, pattern=BUDGET.pattern)
    #: Models that stay in memory once they are loaded.
    pinned_models: tuple[str, ...] = ()
    #: Threads that decode images beside the model.
    preprocess_threads: int = Field(default=2, ge=1, le=64)

    #: Image files may be read from below these folders alone; empty means from anywhere.
    allowed_roots: tuple[Path, ...] = ()
    max_image_bytes: int = Field(default=200_000_000, ge=1)
    #: Refused from the header, before anything is decoded: 200 megapixels are 600 MB of RGB.
    max_image_pixels: int = Field(default=200_000_000, ge=1)
    #: Seconds that decoding one image may take.
    decode_seconds: float = Field(default=20.0, gt=0)
    #: Bytes of memory that decoding one image may take. An image of more than a quarter is decoded in a process of its own,
    #: one such image at a time.
    decode_memory: int = Field(default=1_500_000_000, ge=1_000_000)
    #: The largest area that is handed to the model; larger images are scaled down to it. The one great lever of speed: the
    #: prefill grows with it. A megapixel is about a thousand tokens of a Qwen3-VL.
    max_pixels: int = Field(default=1_000_000, ge=1024)
    #: Decode JPEGs at 1/2, 1/4 or 1/8 where that is no smaller than `max_pixels` asks for: several times faster, and the
    #: pixels differ a little from those of a full decode scaled down.
    jpeg_draft: bool = True

    #: Networks that images may be fetched from and webhooks sent to, although they are private (`192.168.1.0/24`); there also
    #: without TLS. Every other address has to be public, and https.
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    #: Seconds that fetching an image may take in all.
    fetch_seconds: float = Field(default=20.0, gt=0)

    #: Folders from below which HTTP requests may name files; empty means none.
    served_roots: tuple[Path, ...] = ()
    #: Who may call the API: a name for the log, and the key, of 8 printable ASCII characters at least. Empty: whoever reaches the
    #: loopback address.
    api_keys: dict[str, SecretStr] = {}
    #: A key that webhooks are signed with (`whsec_` and base64, of 24 to 64 bytes). Without one there are no webhooks.
    webhook_secret: SecretStr | None = None
    #: Seconds after which a synchronous request is told to poll its job. OpenAI's clients give up after 600.
    sync_deadline: float = Field(default=300.0, gt=0, lt=600)
    #: Bytes of a request's body, images in base64 among them; and of an upload of files.
    max_body_bytes: int = Field(default=64_000_000, ge=1)
    max_upload_bytes: int = Field(default=2_000_000_000, ge=1)
    #: Seconds that a client may pause while it sends a body.
    body_pause: float = Field(default=60.0, gt=0)
    max_images: int = Field(default=32, ge=1)
    #: Files in one upload or zip.
    max_upload_files: int = Field(default=20_000, ge=1)
    max_jobs_per_request: int = Field(default=1000, ge=1)
    #: Ids of a prompt, images included; None: as many as the model's context holds.
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    #: Event streams that may be open at a time.
    max_streams: int = Field(default=512, ge=1)
    #: Jobs that may wait in a lane before new ones are refused.
    max_waiting_interactive: int = Field(default=512, ge=1)
    max_waiting_bulk: int = Field(default=1_000_000, ge=1)
    #: Days for which images that came with a request are kept after they were last used.
    keep_images_days: float = Field(default=7.0, gt=0)
    #: Write the words of prompts into the log; never images.
    log_prompts: bool = False

    #: How often a job that met a transient fault is tried in all.
    max_attempts: int = Field(default=3, ge=1)
    #: A worker that is asked to stop lets its jobs finish for this long, then puts them back, in seconds.
    grace: float = Field(default=20.0, ge=0)
    #: The worker's heartbeat keeps its claim for this long, in seconds; it must outlast the longest engine step.
    lease: int = Field(default=45, ge=5)

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("api_keys")
    @classmethod
    def _keys_that_protect(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, key in value.items():
            if not _API_KEY.fullmatch(key.get_secret_value()):
                raise ValueError(f"The key '{name}' has to be 8 or more ASCII characters, without spaces")
        return value

    def memory_bytes(self, device: int) -> int | None:
        """The memory budget in bytes, on a device of so many bytes. None: there is none."""
        if self.memory_budget is None:
            return None
        found = BUDGET.fullmatch(self.memory_budget)
        assert found is not None
        number, unit = float(found[1]), found[2].upper()
        if unit in _UNITS:
            return int(number * _UNITS[unit])
        return int(device * (number / 100 if unit == "%" else number))

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL of the system of record."""
        # Quoted: SQLAlchemy takes `?` and what looks like `%20` in the data folder's path for its own.
        return self.database_url or f"sqlite:///{quote(str(self.data_dir / 'captionq.db'))}"

    @property
    def broker_dir(self) -> Path:
        return self.data_dir / "broker"

    @property
    def blob_dir(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def run_dir(self) -> Path:
        """Lock files of the commands that run."""
        return self.data_dir / "runs"

    @property
    def worker_lock(self) -> Path:
        """Locked (flock) by the worker for as long as it lives."""
        return self.data_dir / "worker.lock"

    def make_folders(self) -> None:
        """Make the data folder and what is below it, readable by its owner alone. Raises DataFolderError."""
        try:
            for folder in (self.data_dir, self.broker_dir, self.log_dir, self.blob_dir, self.run_dir):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderError(
                f"{self.data_dir} cannot be made or used ({error.strerror}). Set CAPTIONQ_DATA_DIR to another folder."
            ) from error


def read_settings(**given: Any) -> Settings:
    """The settings of this process: what is given, else its environment. Raises SettingsError, which names the variable."""
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        shown = "a value that cannot be used" if field in _SECRET else f"value {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"CAPTIONQ_{field.upper()} has {shown}. {message}.") from None
    except pydantic_settings.SettingsError as error:
        raise SettingsError(f'{str(error).splitlines()[0]}. Lists are written as JSON: ["/pictures"].') from error
