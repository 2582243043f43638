"""Plain folders of layer folders: order, clean names, supply, and what is said about odd files."""

import pytest
from PIL import Image

from cauldron.adapters.importers.folder import import_folder
from cauldron.domain.errors import Invalid, NotFound
from tests.adapters.importers.projects import by_name, checked, picture, weights


def of(root, *files, name=""):
    """What importing a folder with these images gives."""
    for file in files:
        picture(root / file)
    return import_folder(root, out=root / "collection.yaml", name=name)


def test_folders_in_natural_order_become_categories_with_clean_names(tmp_path):
    files = ("10_Hat/red_cap.png", "2. Body/02 - Robot.png", "2. Body/1.png", "01_Background/Dusk.png")
    found = of(tmp_path / "My Crew", *files)
    document = checked(found)
    assert (document["name"], document["slug"], document["supply"]) == ("My Crew", "my-crew", 2)
    assert [c["name"] for c in document["categories"]] == ["Background", "Body", "Hat"]
    assert weights(by_name(document)["Body"]) == {"1": 1, "Robot": 1}
    assert weights(by_name(document)["Hat"]) == {"red cap": 1}
    assert found.not_understood == []
    assert document["generator"]["inputs"]["layers"] == ["[[Background]]", "[[Body]]", "[[Hat]]"]


def test_supply_is_a_hundred_where_there_are_enough_combinations(tmp_path):
    files = [f"{layer}/{number}.png" for layer in "ABC" for number in range(5)]
    assert checked(of(tmp_path, *files))["supply"] == 100


def test_names_that_fall_together_are_told_apart_and_said(tmp_path):
    found = of(tmp_path, "01_Sky/01_Red.png", "01_Sky/02_Red.png", "02_Sky/Red.png", "02_Sky/Blue.jpg")
    document = checked(found)
    assert [c["name"] for c in document["categories"]] == ["Sky", "Sky 2"]
    assert set(weights(by_name(document)["Sky"])) == {"Red", "Red 2"}
    assert "Sky: Red: the name is taken; this one became 'Red 2'" in found.not_understood


def test_images_of_another_size_are_listed_and_stretched(tmp_path):
    picture(tmp_path / "Sky/wide.png", size=(16, 8))
    found = of(tmp_path, "Sky/a.png", "Sky/b.png", "Hat/c.png")
    assert found.not_understood == ["stretched to 8 × 8: Sky/wide.png is 16 × 8"]
    assert checked(found)["generator"]["inputs"]["fit"] == "stretch"


def test_odd_files_are_listed_and_left_out(tmp_path):
    (tmp_path / "Sky/Inner").mkdir(parents=True)
    (tmp_path / "Empty").mkdir()
    (tmp_path / "Sky/readme.md").write_text("x")
    (tmp_path / "Sky/broken.png").write_text("x")
    picture(tmp_path / "loose.png")
    found = of(tmp_path, "Sky/a.png", "Sky/None.png")
    assert sorted(found.not_understood) == [
        "Empty: has no images",
        "Sky/Inner: a folder inside a layer; only its parent's images are read",
        "Sky/broken.png: cannot be read as an image; left out",
        "Sky/readme.md: not a PNG, JPEG, WebP or GIF image",
        "loose.png: stands beside the layer folders; put it into one",
    ]
    assert [option["name"] for option in by_name(checked(found))["Sky"]["options"]] == ["a"]


def test_an_empty_file_called_none_is_a_share_of_none(tmp_path):
    (tmp_path / "Hat").mkdir()
    (tmp_path / "Hat/None.png").write_bytes(b"")
    found = of(tmp_path, "Hat/Cap.png")
    assert (by_name(checked(found))["Hat"]["none"], found.not_understood) == (0.5, [])


@pytest.mark.parametrize("name", ["spin.gif", "spin.png"])
def test_of_a_moving_image_only_the_first_picture_is_drawn_and_that_is_said(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    (tmp_path / "Sky").mkdir()
    frames[0].save(tmp_path / "Sky" / name, save_all=True, append_images=frames[1:])
    found = of(tmp_path, "Sky/calm.png")
    assert found.not_understood == [f"Sky/{name}: moves; only its first picture is drawn"]


def test_a_blank_none_is_a_share_of_none(tmp_path):
    document = checked(of(tmp_path, "Hat/None.png", "Hat/Cap.png", "Hat/Top.png"))
    assert by_name(document)["Hat"]["none"] == pytest.approx(1 / 3)
    assert document["supply"] == 3


@pytest.mark.parametrize("files", [(), ("loose.png",)])
def test_a_folder_without_layers_is_refused(tmp_path, files):
    with pytest.raises(Invalid, match="no folders with images"):
        of(tmp_path, *files)


def test_a_missing_folder_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        import_folder(tmp_path / "gone", out=tmp_path / "c.yaml")


def test_folders_nested_too_deeply_are_refused(tmp_path):
    with pytest.raises(Invalid, match="nested deeper"):
        of(tmp_path, "/".join("abcdefghij") + "/x.png")
