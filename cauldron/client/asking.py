"""Requests that are repeated when that is safe, and answers as documents or exceptions."""

import json
import random
import uuid
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from cauldron.client.errors import Broken, Refused, Throttled, Unreachable, refusal
from cauldron.client.flows import Answer, Ask, Flow, Lost, Step, Wait

ATTEMPTS = 5
FIRST_WAIT_S, MOST_WAIT_S = 0.2, 5.0
MOST_PATIENCE_S = 30.0  # with a server that names the time to wait
SAFE = frozenset(("GET", "HEAD", "PUT", "DELETE"))  # the same again does no harm
BUSY = frozenset((429, 502, 503, 504))


def ask(method: str, path: str, **more: Any) -> Flow[dict[str, Any]]:
    """The JSON document that answers a request; empty where there is no body. Raises Failure."""
    answer = yield from exchange(Ask(method=method, path=path, **more))
    return answer.json() if answer.content else {}


def exchange(request: Ask) -> Generator[Step, Any, Answer]:
    """The answer to a request, sent again when the connection fails or the server is busy.

    What changes something carries an ``Idempotency-Key``, the same in every try: it is done once.

    Raises:
        Unreachable: no try was answered. Refused: the server said no.
    """
    if request.method not in SAFE and "Idempotency-Key" not in request.headers:
        request = replace(request, headers={**request.headers, "Idempotency-Key": uuid.uuid4().hex})
    for attempt in range(1, ATTEMPTS + 1):
        last = attempt == ATTEMPTS
        try:
            answer: Answer = yield request
        except Lost as lost:
            if last:
                raise Unreachable(f"no answer after {ATTEMPTS} tries: {lost}") from lost
            yield Wait(pause_s(attempt))
            continue
        if answer.status < 400:
            return answer
        problem = problem_in(answer)
        if last or not _passes(problem):
            raise problem
        named_s = problem.retry_after_s
        yield Wait(pause_s(attempt) if named_s is None else min(named_s, MOST_PATIENCE_S))
    raise AssertionError("the last try returns or raises")


def _passes(problem: Refused) -> bool:
    """Whether the same request may be answered otherwise in a moment."""
    if isinstance(problem, Throttled | Broken):
        return problem.status in BUSY
    return problem.code == "idempotency_in_flight"  # an earlier try is still at work


def pause_s(attempt: int) -> float:
    """How long to wait after the nth failure: twice as long each time, spread at random."""
    return float(min(MOST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))


def problem_in(answer: Answer) -> Refused:
    """The exception for an answer that is a problem."""
    try:
        problem = json.loads(answer.content)
    except ValueError:
        problem = None
    if not isinstance(problem, Mapping):
        problem = {"code": "http_error", "detail": answer.content[:200].decode("utf-8", "replace")}
    after = answer.headers.get("retry-after", "")
    return refusal(answer.status, problem, retry_after_s=float(after) if after.isdigit() else None)
