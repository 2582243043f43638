"""Settings from ``cauldron.toml`` and ``CAULDRON_*``; docs/reference/settings.md lists them."""

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from tomllib import TOMLDecodeError
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from cauldron.domain.errors import Invalid, InvalidMany, Problem
from cauldron.domain.trait_reading import suggestion

STORES = ("sqlite", "mongodb", "mongodb+srv")  # schemes of database_url
BLOBS = ("file", "s3")  # schemes of blobs_url
FILE = "cauldron.toml"
WORDS = {  # pydantic's names of what can be wrong with a value
    "bool_parsing": "must be true or false",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "path_type": "must be a path",
}


class Settings(BaseSettings):
    """Where things live and how much runs at once. Sizes and times carry their unit in the name."""

    model_config = SettingsConfigDict(
        env_prefix="CAULDRON_", toml_file=FILE, extra="forbid", env_ignore_empty=True
    )

    home: Path = Field(default=Path("data"), description="Data directory: store, blobs and keys.")
    database_url: str = Field(
        default="",
        description="sqlite:///FILE or mongodb://HOSTS/NAME?replicaSet=…; "
        "empty: cauldron.db in the data directory.",
    )
    blobs_url: str = Field(
        default="",
        description="file:///DIR or s3://BUCKET/PREFIX?endpoint=…&region=…; "
        "empty: blobs in the data directory.",
    )
    blob_cache_bytes: int = Field(
        default=4 * 1024**3, ge=0, description="Local copies of blobs in S3: how much disk they may take."
    )
    owner: str = Field(default="local", description="The account that local commands act for.")
    environment: str = Field(default="live", description="live or test: kept in every record.")
    slots: int = Field(default=8, ge=1, le=1024, description="Jobs a worker runs at once.")
    processes: int = Field(default=0, ge=0, le=256, description="Processes for CPU tools; 0: one per core.")
    lease_ms: int = Field(default=15_000, ge=200, description="How long a silent worker keeps its jobs.")
    window: int = Field(default=1000, ge=1, le=100_000, description="Jobs queued ahead per cook.")
    synchronous: str = Field(
        default="FULL", pattern="^(FULL|NORMAL)$", description="SQLite durability: FULL or NORMAL."
    )
    trusted_proxies: list[IPv4Network | IPv6Network] = Field(
        default=[],
        description="Proxies whose X-Forwarded-For and X-Forwarded-Proto count, as JSON: "
        '["10.0.0.7", "172.16.0.0/12"]. None by default.',
    )
    export_root: Path | None = Field(
        default=None,
        description="Where exports asked for over HTTP are written, a folder per account; "
        "empty: exports in the data directory.",
    )
    callback_hosts: list[str] = Field(
        default=[],
        description="Hosts, addresses and networks that callbacks may reach though they are not public, "
        "also over plain http: a JSON list.",
    )
    root_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path of a site below which a proxy shows the studio, such as /cauldron.",
    )
    log_level: str = Field(
        default="warning",
        pattern="(?i)^(debug|info|warning|error)$",
        description="debug, info, warning or error.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `cauldron serve` listens on.")
    port: int = Field(default=8420, ge=0, le=65_535, description="Port of `cauldron serve`; 0: any free one.")
    drain_s: float = Field(
        default=20.0, ge=0, le=3600, description="How long a server that was told to stop waits for its jobs."
    )
    cors_origins: list[str] = Field(
        default=[],
        description='Other sites that may use the API with a key, as JSON: `["https://app.example"]`.',
    )
    rate_limit_reads: int = Field(
        default=6000, ge=0, description="Reading requests a minute per session or key; 0: no limit."
    )
    rate_limit_writes: int = Field(
        default=1200, ge=0, description="Changing requests a minute per session or key; 0: no limit."
    )
    rate_limit_anonymous: int = Field(
        default=600, ge=0, description="Requests a minute per address without a session or key; 0: no limit."
    )
    payment_assets: list[str] = Field(
        default=["points"], min_length=1, description="What invoices may be asked in, as a JSON list."
    )
    stripe_secret_key: SecretStr = Field(
        default=SecretStr(""), description="Secret key of the Stripe account that sells points; empty: none."
    )
    stripe_webhook_secrets: list[SecretStr] = Field(
        default=[], description="Signing secrets of its webhooks, as a JSON list; two while they are changed."
    )
    stripe_api_url: str = Field(
        default="", description="Where Stripe's API is, for stand-ins; empty: Stripe's own."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Address of the studio as visitors see it: where people come back to after paying. "
        "Empty: the address that they asked at.",
    )
    guests: bool = Field(
        default=True, description="Whether visitors may cast what is offered to them without signing in."
    )
    platform_share_bps: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="What the studio keeps of a creator's margin, in hundredths of a percent.",
    )
    metrics_open: bool = Field(
        default=False, description="Whether /metrics answers anybody on this machine without a key."
    )
    otlp_endpoint: str = Field(
        default="", description="OpenTelemetry collector (OTLP over HTTP) that spans go to; empty: none."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before environment before file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def store_path(self) -> Path | None:
        """The SQLite file; None when the store is a MongoDB."""
        return file_of(self.database_url, STORES, name="database_url", default=self.home / "cauldron.db")

    @property
    def blobs_path(self) -> Path | None:
        """The directory of the blob store; None when blobs are in S3."""
        return file_of(self.blobs_url, BLOBS, name="blobs_url", default=self.home / "blobs")

    @property
    def exports_path(self) -> Path:
        """Where exports asked for over HTTP are written."""
        return self.export_root or self.home / "exports"

    @property
    def cache_path(self) -> Path:
        """Where local copies of remote blobs are kept."""
        return self.home / "blob-cache"

    @property
    def pool_size(self) -> int:
        """How many processes run CPU tools."""
        return self.processes or usable_cores()


def usable_cores() -> int:
    """The cores this process may use; all of them where the system cannot tell (macOS, Windows)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def file_of(url: str, schemes: tuple[str, ...], *, name: str, default: Path | None = None) -> Path | None:
    """The local path that a URL of the first scheme names; None for the other schemes.

    Raises:
        InvalidMany: another scheme, or no path. The URL is not repeated: it may hold a password.
    """
    if not url and default is not None:
        return default
    scheme = url.partition("://")[0].lower()
    if scheme in schemes[1:]:
        return None
    path = url.removeprefix(f"{schemes[0]}:///")
    if scheme != schemes[0] or not path or path == url or "\0" in path:
        wanted = " or ".join(f"{each}://" + ("/…" if each == schemes[0] else "…") for each in schemes)
        raise setting_error(name, "unknown_scheme", f"must be {wanted}")
    return Path(path)


def setting_error(name: str, code: str, message: str) -> InvalidMany:
    """A failure that names the setting at fault."""
    source = "" if name.startswith("-") else "settings"  # an option of a command names itself
    return InvalidMany([Problem(path=name, code=code, message=message)], source=source)


def without_login(url: str) -> str:
    """A URL to show to people: no user, no password, no options."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return url.partition("://")[0] + "://…"


def load_settings(**overrides: object) -> Settings:
    """The settings in force.

    Raises:
        InvalidMany: a value is malformed or a name is unknown; paths name the setting.
        Invalid: the file cannot be read.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        problems = [_problem(each) for each in error.errors()]
        raise InvalidMany(problems, source="settings") from error
    except SettingsError as error:  # a list that is no JSON
        name = str(error).partition('"')[2].partition('"')[0]
        raise setting_error(name, "json_invalid", 'must be JSON, such as ["one", "two"]') from error
    except (OSError, UnicodeDecodeError, TOMLDecodeError) as error:
        raise Invalid(f"{FILE}: {error}", source=FILE) from error


def _problem(found: ErrorDetails) -> Problem:
    """One fault of a setting in our words."""
    path, kind = ".".join(map(str, found["loc"])), found["type"]
    field = Settings.model_fields.get(path)
    if kind == "extra_forbidden":
        message = "there is no such setting" + suggestion(path, Settings.model_fields)
    elif kind == "string_pattern_mismatch" and field is not None:
        message = f"is malformed; wanted: {field.description}"
    else:
        message = WORDS.get(kind, found["msg"])
    return Problem(path=path, code=kind, message=message)
