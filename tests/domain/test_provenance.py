"""Merkle trees and provenance hashes against the definitions they claim to follow."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.provenance import (
    MerkleTree,
    bayc_hash,
    leaf_hash,
    proves,
    seed_commitment,
    traits_hash,
)

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
DATA = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def root(data: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, word for word."""
    if len(data) == 1:
        return leaf(data[0])
    k = split(len(data))
    return hashlib.sha256(b"\x01" + root(data[:k]) + root(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1, word for word."""
    if len(data) == 1:
        return []
    k = split(len(data))
    if m < k:
        return [*path(m, data[:k]), root(data[k:])]
    return [*path(m - k, data[k:]), root(data[:k])]


def split(n: int) -> int:
    """The largest power of two smaller than ``n``."""
    return 1 << ((n - 1).bit_length() - 1)


@given(DATA)
def test_roots_and_proofs_are_those_of_rfc_9162(data):
    tree = MerkleTree([leaf(d) for d in data])
    assert tree.root == root(data).hex()
    for index in range(len(data)):
        assert tree.proof(index) == [step.hex() for step in path(index, data)]


@given(DATA, st.data())
def test_a_proof_holds_for_its_own_piece_and_for_no_other(data, draw):
    leaves = [leaf(bytes([i]) + d) for i, d in enumerate(data)]
    tree, size = MerkleTree(leaves), len(leaves)
    index = draw.draw(st.integers(0, size - 1))
    proof = tree.proof(index)
    assert proves(leaf=leaves[index], index=index, size=size, path=proof, root=tree.root)
    for other in range(size):
        if other != index:
            assert not proves(leaf=leaves[other], index=index, size=size, path=proof, root=tree.root)
            assert not proves(leaf=leaves[index], index=other, size=size, path=proof, root=tree.root)


@given(st.integers(2, 40), st.data())
def test_an_altered_proof_proves_nothing(size, draw):
    leaves = [leaf(bytes([i])) for i in range(size)]
    tree = MerkleTree(leaves)
    index = draw.draw(st.integers(0, size - 1))
    proof = tree.proof(index)
    place = draw.draw(st.integers(0, len(proof) - 1))
    flipped = bytes.fromhex(proof[place])
    flipped = bytes([flipped[0] ^ 1]) + flipped[1:]
    spoilt = [
        [*proof[:place], flipped.hex(), *proof[place + 1 :]],
        proof[:-1],
        [*proof, proof[-1]],
        [*proof[:place], "not hex", *proof[place + 1 :]],
    ]
    for steps in spoilt:
        assert not proves(leaf=leaves[index], index=index, size=size, path=steps, root=tree.root)
    assert not proves(leaf=leaves[index], index=size, size=size, path=proof, root=tree.root)
    assert not proves(leaf=leaves[index], index=-1, size=size, path=proof, root=tree.root)


def test_an_inner_node_cannot_pass_as_a_leaf():
    """Leaves and nodes are hashed with different prefixes, so a pair of leaves is no leaf."""
    a, b = leaf(b"a"), leaf(b"b")
    assert MerkleTree([a, b]).root != hashlib.sha256(b"\x00" + a + b).hexdigest()


@given(st.lists(HEX, max_size=10))
def test_the_provenance_hash_is_the_hash_of_the_joined_hex_digests(images):
    assert bayc_hash(images) == hashlib.sha256("".join(images).encode()).hexdigest()


@given(HEX, HEX, HEX, st.lists(HEX, max_size=2))
def test_a_leaf_binds_image_metadata_traits_and_other_files(image, metadata, traits, others):
    got = leaf_hash(image=image, metadata=metadata, traits=traits, others=others)
    assert got == leaf(bytes.fromhex("".join([image, metadata, traits, *others])))


def test_the_order_of_traits_does_not_matter_but_every_value_does():
    assert traits_hash({"A": "x", "B": 2}) == traits_hash({"B": 2, "A": "x"})
    assert traits_hash({"A": "x", "B": 2}) != traits_hash({"A": "x", "B": 3})
    assert traits_hash({"A": "1"}) != traits_hash({"A": 1})


@pytest.mark.parametrize("part", ["seed", "plan_hash", "collection_hash"])
def test_the_seed_commitment_binds_seed_plan_and_collection(part):
    known = {"seed": "s", "plan_hash": "p", "collection_hash": "c"}
    assert seed_commitment(**known) != seed_commitment(**{**known, part: "other"})
