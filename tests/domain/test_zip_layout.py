"""The layout of archives: what the standard library reads back, and every part at its place."""

import io
import zipfile
import zlib

from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.zip_layout import LIMIT_32, ZipEntry, ZipLayout

NAMES = st.text("abcdé/._-", min_size=1, max_size=20)
FILES = st.dictionaries(NAMES, st.binary(max_size=60), max_size=8)


def layout_of(files: dict[str, bytes]) -> ZipLayout:
    return ZipLayout([ZipEntry(name=n, size_bytes=len(d), crc=zlib.crc32(d)) for n, d in files.items()])


def cut(layout: ZipLayout, files: dict[str, bytes], start: int, end: int) -> bytes:
    contents = list(files.values())
    return b"".join(
        p if isinstance(p, bytes) else contents[p[0]][p[1] : p[2]] for p in layout.parts(start, end)
    )


@given(FILES)
def test_an_archive_is_read_back_whole(files: dict[str, bytes]):
    layout = layout_of(files)
    data = cut(layout, files, 0, layout.size_bytes)
    assert len(data) == layout.size_bytes
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files


@given(FILES, st.data())
def test_any_cut_gives_the_same_bytes_as_the_whole(files: dict[str, bytes], data: st.DataObject):
    layout = layout_of(files)
    whole = cut(layout, files, 0, layout.size_bytes)
    start = data.draw(st.integers(0, layout.size_bytes))
    end = data.draw(st.integers(start, layout.size_bytes + 5))
    assert cut(layout, files, start, end) == whole[start:end]


def test_many_files_take_the_wide_form():
    files = {f"{n}.txt": b"" for n in range(70_000)}
    layout = layout_of(files)
    with zipfile.ZipFile(io.BytesIO(cut(layout, files, 0, layout.size_bytes))) as archive:
        assert len(archive.namelist()) == 70_000


class Sparse(io.RawIOBase):
    """An archive of enormous files of zeros, read without being written anywhere."""

    def __init__(self, layout: ZipLayout) -> None:
        self.layout, self.place = layout, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = offset + (0, self.place, self.layout.size_bytes)[whence]
        return self.place

    def read(self, size: int = -1) -> bytes:
        end = self.layout.size_bytes if size < 0 else min(self.place + size, self.layout.size_bytes)
        data = b"".join(
            p if isinstance(p, bytes) else bytes(p[2] - p[1]) for p in self.layout.parts(self.place, end)
        )
        self.place += len(data)
        return data


def test_files_and_archives_beyond_four_gigabytes_are_found_at_their_place():
    sizes = {"small": 5, "huge": LIMIT_32 + 10, "behind": 7}
    layout = ZipLayout(
        [ZipEntry(name=n, size_bytes=s, crc=zlib.crc32(bytes(min(s, 9)))) for n, s in sizes.items()]
    )
    with zipfile.ZipFile(Sparse(layout)) as archive:
        assert {i.filename: i.file_size for i in archive.infolist()} == sizes
        assert archive.read("behind") == bytes(7)
        assert archive.read("small") == bytes(5)
        with archive.open("huge") as file:
            assert file.read(100) == bytes(100)
