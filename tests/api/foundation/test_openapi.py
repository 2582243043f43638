"""The OpenAPI document is true: its examples are valid, and schemathesis finds nothing else than it says."""

import contextlib

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from cauldron.api.openapi import operations
from tests.api.foundation.threaded import ThreadedTown
from tests.mongod import database

# Event streams end when the client goes; pages are for people, and tested in a browser.
LEFT_OUT = r"/stream$|^/api/v1/events$|^/$|^/spells/|^/static/"


def test_every_route_says_what_it_does_and_shows_an_example(described):
    listed, document = described
    names = [operation["operationId"] for operation in listed.values()]
    assert len(names) == len(set(names))
    for name, operation in listed.items():
        assert operation.get("summary"), name
        assert operation.get("tags"), name
        contents = [a.get("content", {}) for a in operation["responses"].values()]
        contents.append(operation.get("requestBody", {}).get("content", {}))
        for content in contents:
            for media, form in content.items():
                if "json" in media:
                    schema = form["schema"] | {"components": document["components"]}
                    jsonschema.Draft202012Validator(schema).validate(form["example"])


def test_the_document_is_openapi_3_1(described):
    document = described[1]
    assert document["openapi"].startswith("3.1")
    assert {path for path, _, _ in operations(document)} == set(document["paths"])


def faults(place, mode, examples):
    """What schemathesis finds, as ann, one route after the other, with every check that it has."""
    key = place.ann.headers["authorization"]
    found = []
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", place.app)
    allowed = schema.config.checks
    refused, accepted = allowed.negative_data_rejection, allowed.positive_data_acceptance
    refused.expected_statuses = [*refused.expected_statuses, "412", "413", "414"]
    # Documents have rules that no JSON Schema states, and an edit needs the version that it changes.
    accepted.expected_statuses = [*accepted.expected_statuses, "412", "422", "428"]
    for result in schema.exclude(path_regex=LEFT_OUT).get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def attack(case):
            case.call_and_validate(headers={"authorization": key})

        try:
            attack()
        except Unsatisfiable:
            continue  # it takes nothing that could be wrong
        except BaseExceptionGroup as failure:
            found.append(f"{operation.label}: {failure}"[:1500])
    return found


MODES = pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)


@MODES
def test_schemathesis_finds_nothing(home, mode):
    with ThreadedTown(home) as town:
        assert not faults(town, mode, 4)


@pytest.mark.slow
@MODES
@pytest.mark.parametrize(("engine_name", "examples"), [("sqlite", 200), ("mongo", 50)])
def test_schemathesis_finds_nothing_at_length(home, engine_name, examples, mode):
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(database()) if engine_name == "mongo" else ""
        town = stack.enter_context(ThreadedTown(home, url))
        assert not faults(town, mode, examples)
