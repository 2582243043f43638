"""Plans: what every one must fulfil, the law of weights, saturation, and refusals."""

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.errors import Infeasible, Invalid
from cauldron.domain.planning import distinct_pieces, make_plan
from tests.domain import plan_oracle as oracle
from tests.domain.collection_samples import document, grid, options, pair_rules, small_documents, with_counts


def plan(doc, **more):
    return make_plan(parse_collection(doc), **more)


@given(doc=small_documents(), seed=st.text(max_size=5))
def test_every_plan_keeps_rules_counts_and_uniqueness_and_none_is_missed(doc, seed):
    assume(not check_collection(doc))
    possible = oracle.feasible(doc, doc["supply"]) if comparable(doc) else True
    try:
        made = plan(doc, seed=seed)
    except Infeasible as refusal:
        event("refused")
        assert refusal.reasons
        assert not possible or not comparable(doc)
        return
    event("planned")
    assert oracle.faults(doc, made) == []
    assert possible
    assert made.supply == doc["supply"]


def comparable(doc):
    """With nothing compared at all the oracle (sets of pieces) does not apply."""
    return any(here for *_, here in oracle.flat(doc))
