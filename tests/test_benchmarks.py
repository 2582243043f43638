"""The harness: ratios point the right way, peers that are missing are errors, inputs are reproducible."""

import json

import pytest

from benchmarks import agenda, cartoon_layers, harness, hashlips


def row(unit, *, ours=2.0, peer=10.0):
    return harness.Row(name="x", ours=ours, peer=peer, peer_name="Peer", unit=unit)


@pytest.mark.parametrize(("unit", "ratio"), [("ms/piece", 5.0), ("s", 5.0), ("pieces/s", 0.2), ("MB", 5.0)])
def test_a_ratio_above_one_means_ours_is_better(unit, ratio):
    assert row(unit).ratio == pytest.approx(ratio)


def test_without_a_peer_there_is_no_ratio():
    assert row("s", peer=None).ratio is None


def test_a_record_holds_every_row_with_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    rows = json.loads(harness.record("small", [row("s"), row("pieces/s")], notes={"pieces": 7}).read_text())
    assert [r["ratio"] for r in rows] == [5.0, 0.2]
    for r in rows:
        assert set(r) == {"name", "ours", "peer", "peerName", "ratio", "unit", "machine"}
        assert r["machine"]["fsync"]["perSecond"] > 0
        assert r["machine"]["cores"] >= 1
        assert r["machine"]["pieces"] == 7


def test_hashlips_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.delenv("HASHLIPS_DIR", raising=False)
    with pytest.raises(harness.MissingPeer) as missing:
        hashlips.engine_folder()
    assert missing.value.code == 2
    monkeypatch.setenv("HASHLIPS_DIR", str(tmp_path))
    with pytest.raises(harness.MissingPeer):
        hashlips.engine_folder()


def test_agenda_that_is_not_there_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("AGENDA_DIR", raising=False)
    with pytest.raises(harness.MissingPeer) as missing:
        agenda.packages_folder()
    assert missing.value.code == 2
    monkeypatch.setenv("AGENDA_DIR", str(tmp_path))
    with pytest.raises(harness.MissingPeer):
        agenda.packages_folder()
    assert "node_modules/agenda" in capsys.readouterr().err


def test_layers_are_the_same_pixels_every_time(tmp_path):
    first = cartoon_layers.make_layers(tmp_path / "a", size=32)
    second = cartoon_layers.make_layers(tmp_path / "b", size=32)
    assert list(first) == list(cartoon_layers.CATEGORIES)
    pairs = [pair for name in first for pair in zip(first[name], second[name], strict=True)]
    assert len(pairs) == 70
    assert all(a.read_bytes() == b.read_bytes() for a, b in pairs)
    assert len({a.read_bytes() for a, _ in pairs}) == 70


def test_chosen_rows_are_unique_and_reproducible():
    rows = cartoon_layers.choose(500)
    assert rows == cartoon_layers.choose(500)
    assert len(set(rows)) == 500
