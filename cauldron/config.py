"""Settings from ``cauldron.toml`` and ``CAULDRON_*``; docs/reference/settings.md lists them."""

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cauldron.domain.errors import InvalidMany, Problem


class Settings(BaseSettings):
    """Where things live and how much runs at once. Sizes and times carry their unit in the name."""

    model_config = SettingsConfigDict(env_prefix="CAULDRON_", toml_file="cauldron.toml", extra="forbid")

    home: Path = Field(default=Path("data"), description="Data directory: store, blobs and keys.")
    database_url: str = Field(
        default="", description="sqlite:///FILE; empty: cauldron.db in the data directory."
    )
    blobs_url: str = Field(default="", description="file:///DIR; empty: blobs in the data directory.")
    owner: str = Field(default="local", description="The account that local commands act for.")
    environment: str = Field(default="live", description="live or test: kept in every record.")
    slots: int = Field(default=8, ge=1, le=1024, description="Jobs a worker runs at once.")
    processes: int = Field(default=0, ge=0, le=256, description="Processes for CPU tools; 0: one per core.")
    lease_ms: int = Field(default=15_000, ge=200, description="How long a silent worker keeps its jobs.")
    window: int = Field(default=1000, ge=1, le=100_000, description="Jobs queued ahead per cook.")
    synchronous: str = Field(
        default="FULL", pattern="^(FULL|NORMAL)$", description="SQLite durability: FULL or NORMAL."
    )
    log_level: str = Field(default="warning", description="debug, info, warning or error.")

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
    def store_path(self) -> Path:
        """The SQLite file."""
        return _path(self.database_url, "sqlite://") or self.home / "cauldron.db"

    @property
    def blobs_path(self) -> Path:
        """The directory of the blob store."""
        return _path(self.blobs_url, "file://") or self.home / "blobs"

    @property
    def pool_size(self) -> int:
        """How many processes run CPU tools."""
        return self.processes or len(os.sched_getaffinity(0))


def _path(url: str, scheme: str) -> Path | None:
    if not url:
        return None
    if not url.startswith(f"{scheme}/"):
        problem = Problem(path="database_url", code="unknown_scheme", message=f"{url!r} is not {scheme}/…")
        raise InvalidMany([problem], source="settings")
    return Path(url.removeprefix(f"{scheme}/"))


def load_settings(**overrides: object) -> Settings:
    """The settings in force.

    Raises:
        InvalidMany: a value is malformed or a name is unknown; paths name the setting.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        problems = [
            Problem(path=".".join(map(str, e["loc"])), code=e["type"], message=e["msg"])
            for e in error.errors()
        ]
        raise InvalidMany(problems, source="settings") from error
