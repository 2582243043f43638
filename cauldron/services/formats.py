"""The metadata formats an export can be written in, each with its schema."""

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jsonschema

from cauldron.domain.errors import Invalid, Problem
from cauldron.domain.export import ExportPiece, ExportSpec
from cauldron.domain.json_schema import Check, compile_schema
from cauldron.domain.metadata import contract_metadata, token_metadata
from cauldron.ports.exporting import MetadataFormat

MOST_PROBLEMS = 5  # told per document


@functools.cache
def load_schema(name: str) -> Mapping[str, Any]:
    """One of the JSON Schemas that come with the package, by file name without ``.schema.json``."""
    text = resources.files("cauldron").joinpath("schemas", f"{name}.schema.json").read_text("utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema


@functools.cache
def _compiled(name: str) -> Check:
    return compile_schema(load_schema(name))


@functools.cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(load_schema(name))


def schema_problems(document: Any, *, schema: str, path: str) -> list[Problem]:
    """What is wrong with ``document`` by one of our schemas; nothing when it fits."""
    if _compiled(schema)(document):
        return []
    errors = sorted(_validator(schema).iter_errors(document), key=lambda error: list(map(str, error.path)))
    return [
        Problem(path=path + error.json_path.removeprefix("$"), code="schema", message=error.message[:300])
        for error in errors[:MOST_PROBLEMS]
    ]


class Erc721:
    """ERC-721 metadata with OpenSea attributes, and ERC-7572 for the contract."""

    name = "erc721"

    def file_name(self, token: int) -> str:
        return f"metadata/{token}.json"

    def token(
        self,
        spec: ExportSpec,
        piece: ExportPiece,
        *,
        attributes: Sequence[Mapping[str, Any]],
        prompt: str | None,
    ) -> Mapping[str, Any]:
        return token_metadata(spec, piece, attributes=attributes, prompt=prompt)

    def contract(self, spec: ExportSpec, *, image: str | None) -> Mapping[str, Any]:
        return contract_metadata(spec, image=image)

    def problems(self, document: Any, *, path: str, kind: str = "token") -> list[Problem]:
        return schema_problems(document, schema="erc721" if kind == "token" else "contract", path=path)


FORMATS: Mapping[str, MetadataFormat] = {"erc721": Erc721()}


def format_named(name: str) -> MetadataFormat:
    """The format called ``name``. Raises Invalid when there is none."""
    if name not in FORMATS:
        raise Invalid(f"{name!r} is not a metadata format; there is {', '.join(sorted(FORMATS))}")
    return FORMATS[name]
