"""HashLips projects: every setting becomes its counterpart or is listed, and nothing leaves the folder."""

import pytest

from cauldron.adapters.importers.blending import MODES
from cauldron.adapters.importers.hashlips import import_hashlips
from cauldron.adapters.local.declared.layers import BLENDS
from cauldron.domain.errors import Invalid, NotFound
from tests.adapters.importers.projects import (
    by_name,
    checked,
    exports,
    hashlips,
    picture,
    stage,
    stages,
    weights,
)


def of(root, *, config=None, layers=(), out=None):
    """What importing a project with this configuration and these layers gives."""
    hashlips(root, **({} if config is None else {"config": config, "layers": layers}))
    return import_hashlips(root, out=out or root / "collection.yaml")


def test_a_project_with_the_usual_configuration_is_understood_whole(tmp_path):
    found = of(tmp_path)
    assert found.not_understood == []
    assert (found.categories, found.options) == (3, 7)
    document = checked(found)
    assert document == {
        "cauldron": 1,
        "name": "Moth Hotel",
        "slug": "moth-hotel",
        "description": "Guests that fly",
        "supply": 20,
        "generator": {
            "tool": "layers.compose",
            "inputs": {
                "width": 8,
                "height": 8,
                "layers": [
                    "[[Background]]",
                    "[[Body]]",
                    {"image": "[[Glow]]", "blend": "screen", "opacity": 0.7},
                ],
            },
        },
        "categories": [
            {
                "name": "Background",
                "unique": False,
                "options": [
                    {"name": "Dawn", "weight": 2, "value": {"image": "layers/Background/Dawn#2.png"}},
                    {"name": "Dusk", "weight": 5, "value": {"image": "layers/Background/Dusk#5.png"}},
                    {"name": "Noon", "weight": 1, "value": {"image": "layers/Background/Noon.png"}},
                ],
            },
            {
                "name": "Body",
                "options": [
                    {"name": "Ghost", "weight": 0, "value": {"image": "layers/Body/Ghost#0.png"}},
                    {"name": "Gold", "weight": 2.5, "value": {"image": "layers/Body/Gold#2.5.png"}},
                    {"name": "Silver", "weight": 60, "value": {"image": "layers/Body/Silver#60.png"}},
                ],
            },
            {
                "name": "Glow",
                "label": "Aura",
                "none": 0.75,
                "options": [{"name": "Soft", "weight": 10, "value": {"image": "layers/Glow/Soft#10.png"}}],
            },
        ],
        "metadata": {
            "name": "Moth Hotel #{{number}}",
            "description": "Guests that fly",
            "baseUri": "ipfs://bafyMoths",
        },
    }


def test_a_none_that_shows_something_stays_an_option(tmp_path):
    hashlips(tmp_path)
    picture(tmp_path / "plain.png").replace(tmp_path / "layers/Glow/None#30.png")
    document = checked(import_hashlips(tmp_path, out=tmp_path / "c.yaml"))
    assert weights(by_name(document)["Glow"]) == {"None": 30, "Soft": 10}
    assert "none" not in by_name(document)["Glow"]


def test_configurations_with_other_layers_become_sub_collections(tmp_path):
    config = exports(
        layerConfigurations=stages(
            stage(3, "Sky", "Cat", "Hat"), stage(10, "Sky", "Dog", "Collar", "Hat"), stage(12, "Sky", "Cat")
        ),
        shuffleLayerConfigurations="true",
    )
    layers = ("Sky/a.png", "Sky/b.png", "Cat/a.png", "Cat/b.png", "Dog/a.png", "Collar/a.png", "Hat/a.png")
    found = of(tmp_path, config=config, layers=layers)
    document = checked(found)
    assert document["supply"] == 12
    assert document["subCollections"] == [
        {"name": "Part 1", "size": 3, "none": {"Dog": 1, "Collar": 1}},
        {"name": "Part 2", "size": 7, "none": {"Cat": 1}},
        {"name": "Part 3", "size": 2, "none": {"Dog": 1, "Collar": 1, "Hat": 1}},
    ]
    assert document["generator"]["inputs"]["layers"].index("[[Collar]]") < 4
    assert found.not_understood == []


def test_the_order_of_layers_holds_in_every_configuration(tmp_path):
    config = exports(
        layerConfigurations=stages(stage(2, "A", "B", "C"), stage(4, "C", "A", "B")),
        shuffleLayerConfigurations="true",
    )
    document = checked(
        of(tmp_path, config=config, layers=("A/1.png", "A/2.png", "B/1.png", "C/1.png", "C/2.png"))
    )
    layers = [layer.strip("[]") for layer in document["generator"]["inputs"]["layers"]]
    kinds = by_name(document)
    for number, wanted in enumerate([["A", "B", "C"], ["C", "A", "B"]]):
        sub = document["subCollections"][number]
        barred = set(sub.get("none", {}))
        for host, allowed in sub.get("only", {}).items():
            barred |= {
                c["name"] for o in kinds[host]["options"] if o["name"] not in allowed for c in o["categories"]
            }
        drawn = [name for name in layers if name not in barred]
        assert [name[0] for name in drawn] == wanted


def test_layers_of_one_trait_name_in_different_configurations_keep_it(tmp_path):
    config = exports(
        layerConfigurations=stages(
            stage(2, "Sky", '{ name: "Long", options: { displayName: "Hair" } }'),
            stage(4, "Sky", '{ name: "Short", options: { displayName: "Hair" } }'),
            stage(5, "Sky"),
        ),
        shuffleLayerConfigurations="true",
    )
    document = checked(
        of(tmp_path, config=config, layers=("Sky/a.png", "Long/a.png", "Long/b.png", "Short/a.png"))
    )
    categories = by_name(document)
    assert categories["Long"]["label"] == categories["Short"]["label"] == "Hair"
    assert categories["Hair kind"]["metadata"] is False
    assert [sub.get("only") or sub.get("none") for sub in document["subCollections"]] == [
        {"Hair kind": ["Long"]},
        {"Hair kind": ["Short"]},
        {"Hair kind": 1},
    ]


def test_a_layer_used_twice_is_two_categories_with_names_of_their_own(tmp_path):
    config = exports(layerConfigurations=stages(stage(2, "Star", "Star")))
    found = of(tmp_path, config=config, layers=("Star/a.png", "Star/b.png"))
    document = checked(found)
    assert [c.get("label", c["name"]) for c in document["categories"]] == ["Star", "Star 2"]
    assert any("'Star 2'" in note for note in found.not_understood)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"gif": "{ export: true }"}, "gif.export"),
        ({"text": "{ only: true }"}, "text.only"),
        ({"pixelFormat": "{ ratio: 1 / 8 }"}, "pixelFormat"),
        ({"background": "{ generate: true }"}, "background.generate"),
        ({"background": "{ tint: 1 }"}, "background.tint"),
        ({"extraMetadata": "{ artist: 'A' }"}, "extraMetadata.artist"),
        ({"extraMetadata": "makeIt()"}, "extraMetadata"),
        ({"network": "'sol'"}, "network"),
        ({"network": "'sol'", "solanaMetadata": "{ creators: [] }"}, "solanaMetadata.creators"),
        ({"somethingNew": "1"}, "somethingNew"),
        ({"format": "{ width: 8, height: 8, depth: 3 }"}, "format.depth"),
        ({"format": "{ width: '8', height: 8 }"}, "format.width"),
        ({"description": "read('file')"}, "description"),
        ({"namePrefix": "42"}, "namePrefix"),
    ],
)
def test_what_has_no_counterpart_is_listed_with_its_place(tmp_path, settings, place):
    config = exports(layerConfigurations=stages(stage(2, "Sky")), **settings)
    found = of(tmp_path, config=config, layers=("Sky/a.png", "Sky/b.png"))
    checked(found)
    assert [note for note in found.not_understood if note.startswith(f"src/config.js: {place}: ")]


@pytest.mark.parametrize(
    ("layer", "place"),
    [
        ('{ name: "Sky", options: { blend: "xor" } }', "options.blend"),
        ('{ name: "Sky", options: { blend: MODE.nope } }', "options.blend"),
        ('{ name: "Sky", options: { opacity: 7 } }', "options.opacity"),
        ('{ name: "Sky", options: { shadow: true } }', "options.shadow"),
        ('{ name: "Sky", rotate: 90 }', "rotate"),
        ('{ name: "Sky", options: pick() }', "options"),
        ('{ name: "Sky", display_type: "stars" }', "display_type"),
    ],
)
def test_options_of_a_layer_that_are_not_understood_are_listed(tmp_path, layer, place):
    config = 'const { MODE } = require("./m");\n' + exports(layerConfigurations=stages(stage(2, layer)))
    found = of(tmp_path, config=config, layers=("Sky/a.png", "Sky/b.png"))
    checked(found)
    wanted = f"src/config.js: layerConfigurations[0].layersOrder[0].{place}: "
    assert [note for note in found.not_understood if note.startswith(wanted)]


def test_statements_that_change_a_setting_later_are_listed(tmp_path):
    config = (
        exports(layerConfigurations=stages(stage(2, "Sky")))
        + "\nlayerConfigurations[0].growEditionSizeTo = 9;\n"
    )
    found = of(tmp_path, config=config, layers=("Sky/a.png", "Sky/b.png"))
    assert [note for note in found.not_understood if "this statement was not followed: layerConf" in note]


def test_files_that_are_no_layers_are_listed(tmp_path):
    hashlips(tmp_path)
    sky = tmp_path / "layers/Background"
    (sky / "notes.txt").write_text("x")
    (sky / ".DS_Store").write_text("x")
    (sky / "Thumbs.db").write_text("x")
    picture(sky / "Nested/Inner.png")
    picture(sky / "Odd#many.png")
    picture(sky / "Empty#.png")
    picture(sky / "Minus#-3.png")
    picture(sky / "Dusk#9.png")
    found = import_hashlips(tmp_path, out=tmp_path / "c.yaml")
    document = checked(found)
    assert sorted(note.split(": ")[0] for note in found.not_understood) == [
        "Background",
        "layers/Background/Empty#.png",
        "layers/Background/Minus#-3.png",
        "layers/Background/Nested",
        "layers/Background/Odd#many.png",
        "layers/Background/notes.txt",
    ]
    assert weights(by_name(document)["Background"]) == {
        "Dawn": 2, "Dusk": 5, "Dusk 2": 9, "Empty": 0, "Minus": 1, "Noon": 1, "Odd": 1,
    }  # fmt: skip


def test_another_delimiter_is_honoured(tmp_path):
    config = exports(layerConfigurations=stages(stage(2, "Sky")), rarityDelimiter="'__'")
    document = checked(of(tmp_path, config=config, layers=("Sky/a__7.png", "Sky/b__3#1.png")))
    assert weights(by_name(document)["Sky"]) == {"a": 7, "b": 1}


def test_layers_of_another_size_are_stretched_as_the_engine_does(tmp_path):
    config = exports(
        layerConfigurations=stages(stage(2, "Sky")), format="{ width: 16, height: 4, smoothing: false }"
    )
    document = checked(of(tmp_path, config=config, layers=("Sky/a.png", "Sky/b.png")))
    assert document["generator"]["inputs"] == {
        "width": 16, "height": 4, "fit": "stretch", "crisp": True, "layers": ["[[Sky]]"],
    }  # fmt: skip


def test_a_plain_background_is_taken_over(tmp_path):
    config = exports(
        layerConfigurations=stages(stage(2, "Sky")),
        background="{ generate: true, brightness: '80%', static: true, default: '#102030' }",
    )
    found = of(tmp_path, config=config, layers=("Sky/a.png", "Sky/b.png"))
    assert checked(found)["generator"]["inputs"]["background"] == "#102030"
    assert found.not_understood == []


def test_brackets_in_texts_are_no_placeholders(tmp_path):
    config = exports(
        layerConfigurations=stages(stage(2, "Sky")),
        namePrefix="'A [[B]] {{c}}'",
        description="'[[Sky]] {{n}}'",
    )
    document = checked(of(tmp_path, config=config, layers=("Sky/a.png", "Sky/b.png")))
    assert document["metadata"]["name"] == r"A \[[B]] \{{c}} #{{number}}"


def test_every_blend_mode_we_map_to_exists_and_every_canvas_mode_has_a_fate(tmp_path):
    assert set(MODES.values()) == set(BLENDS)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc", "..", ".", "", "Sky/../../secret", "a\\b", "x\\u0000y", "Missing"]
)
def test_layers_outside_the_project_are_refused(tmp_path, name):
    picture(tmp_path / "secret/a.png")
    picture(tmp_path / "project/secret/a.png")
    config = exports(layerConfigurations=stages(stage(2, "Sky", f'{{ name: "{name}" }}')))
    with pytest.raises(Invalid) as caught:
        of(tmp_path / "project", config=config, layers=("Sky/a.png",))
    assert "layerConfigurations[0].layersOrder[1].name" in str(caught.value)


def test_links_are_not_followed_out_of_the_project(tmp_path):
    outside = picture(tmp_path / "outside/secret.png")
    project = hashlips(tmp_path / "project")
    (project / "layers/Body/Leak#5.png").symlink_to(outside)
    (project / "layers/Body/Loop").symlink_to(project / "layers")
    found = import_hashlips(project, out=project / "c.yaml")
    assert "Leak" not in weights(by_name(checked(found))["Body"])
    assert len([note for note in found.not_understood if "link" in note]) == 2
    (project / "layers/Stolen").symlink_to(outside.parent)
    (project / "src/config.js").write_text(exports(layerConfigurations=stages(stage(1, "Stolen"))))
    with pytest.raises(Invalid):
        import_hashlips(project, out=project / "c.yaml")


def test_a_folder_without_configuration_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        import_hashlips(tmp_path, out=tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "config",
    ["const layerConfigurations = [", "module.exports = {}", exports(layerConfigurations="make()"), "\x00"],
)
def test_a_broken_or_empty_configuration_is_one_clear_error(tmp_path, config):
    with pytest.raises(Invalid) as caught:
        of(tmp_path, config=config, layers=())
    assert str(caught.value).startswith("src/config.js")


def test_images_elsewhere_are_to_be_copied_beside_the_document(tmp_path):
    found = of(tmp_path / "project", out=tmp_path / "drop/moths.yaml")
    document = checked(found)
    path = by_name(document)["Body"]["options"][1]["value"]["image"]
    assert path == "moths-art/layers/Body/Gold#2.5.png"
    assert found.copies[path] == tmp_path / "project/layers/Body/Gold#2.5.png"
    assert len(found.copies) == 7


def test_names_that_no_document_can_hold_are_cleaned_and_copied(tmp_path):
    layers = (
        "Sky [[x]]/a [[b]]#2.png",
        "Sky [[x]]/con.png",
        "Sky [[x]]/c\u202e d\u0007.png",
        "Sky [[x]]/1e5.png",
    )
    config = exports(layerConfigurations=stages(stage(2, '{ name: "Sky [[x]]" }')))
    found = of(tmp_path, config=config, layers=layers)
    document = checked(found)
    assert set(weights(by_name(document)["Sky x"])) == {"1e5", "a [[b]]", "con"}
    assert all("[[" not in o["value"]["image"] for o in document["categories"][0]["options"])
