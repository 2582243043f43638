"""Documents from disk: strict, bounded, and with a message that names file, line and reason."""

import hashlib

import pytest

from cauldron.adapters.documents import Digests, read_collection_file, read_mapping
from cauldron.domain.errors import CauldronError, Invalid, NotFound
from cauldron.domain.strict_yaml import MAX_DOCUMENT_BYTES

BAD = {
    "tab": ("a:\n\t- b\n", "line 2"),
    "repeated key": ("a: 1\nb: 2\na: 3\n", "line 3"),
    "alias": ("a: &x [1]\nb: *x\n", "line 2"),
    "bomb": ("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "line 2"),
    "python object": ("a: !!python/object/apply:os.system [ls]\n", "line 1"),
    "no object": ("- 1\n", "object"),
    "empty": ("", "object"),
    "deep": ("[" * 5000, ""),
    "nan": ('{"a": NaN}', "a has nan"),
    "json with a repeated key": ('{"a": 1, "a": 2}', "twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_malformed_is_refused_with_its_place(name, write):
    text, said = BAD[name]
    path = write("collection.yaml", text)
    with pytest.raises(Invalid) as refusal:
        read_mapping(path)
    assert str(path) in refusal.value.message
    assert said in refusal.value.message


def test_bytes_that_are_no_text_are_refused_with_their_line(write):
    with pytest.raises(Invalid, match="line 2: is not UTF-8"):
        read_mapping(write("c.yaml", b"a: 1\nb: \xff\xfe\n"))


def test_a_byte_order_mark_is_no_content(write):
    assert read_mapping(write("c.yaml", "\ufeffa: 1\n")) == {"a": 1}


def test_large_files_are_refused_before_they_are_parsed(write):
    with pytest.raises(Invalid, match="larger than"):
        read_mapping(write("c.yaml", b"#" * (MAX_DOCUMENT_BYTES + 1)))


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_what_is_not_there_or_no_file_is_a_named_failure(name, tmp_path):
    with pytest.raises(CauldronError):
        read_mapping(tmp_path / name)


def test_yes_and_dates_are_text(write):
    assert read_mapping(write("c.yaml", "a: yes\nb: 2026-01-01\nc: 1:30\n")) == {
        "a": "yes",
        "b": "2026-01-01",
        "c": "1:30",
    }


def test_a_spell_beside_the_document_is_put_in_its_place(write):
    write("art/spell.yaml", "name: Glow\n")
    path = write("c.yaml", "generator: {spell: art/spell.yaml}\n")
    assert read_collection_file(path)["generator"] == {"spell": {"name": "Glow"}}


@pytest.mark.parametrize("spell", ["../spell.yaml", "/etc/passwd.yaml", "link.yaml"])
def test_a_spell_elsewhere_is_refused(spell, write, tmp_path):
    write("spell.yaml", "name: Glow\n")
    path = write("inside/c.yaml", f"generator: {{spell: {spell}}}\n")
    (tmp_path / "inside/link.yaml").symlink_to(tmp_path / "spell.yaml")
    with pytest.raises(Invalid, match="leads out"):
        read_collection_file(path)


def test_a_spell_that_is_missing_is_named(write):
    with pytest.raises(NotFound, match=r"spell\.yaml: no such file"):
        read_collection_file(write("c.yaml", "generator: {spell: spell.yaml}\n"))


def test_digests_are_those_of_the_content_and_nothing_is_kept(write, run):
    sink, wanted = Digests(), hashlib.sha256(b"abc").hexdigest()
    assert run(sink.put(b"abc")) == run(sink.put_file(write("f", b"abc"))) == wanted
    assert run(sink.size(wanted)) is None
    with pytest.raises(NotFound):
        run(sink.get(wanted))
