"""Projects of the nftchef fork: nesting, stacking order, exclusions, forced combinations."""

import pytest

from cauldron.adapters.importers.hashlips import import_hashlips
from tests.adapters.importers.projects import by_name, checked, exports, hashlips, stage, stages, weights

NFTCHEF = {"emptyLayerName": '"NONE"', "useRootTraitType": "true"}


def of(root, *layers, order, more=None, **settings):
    """What importing an nftchef project with these files and settings gives."""
    configurations = stages(stage(4, *order, more=more or ""))
    config = exports(layerConfigurations=configurations, **NFTCHEF | settings)
    return import_hashlips(hashlips(root, config=config, layers=layers), out=root / "c.yaml")


def drawn(document):
    """The placeholders of the layers, lowest first."""
    layers = document["generator"]["inputs"]["layers"]
    return [layer if isinstance(layer, str) else layer["image"] for layer in layers]


def test_nested_weights_are_multiplied_along_the_path(tmp_path):
    found = of(
        tmp_path, "Eyes/eye#50/happy#1/e.png", "Eyes/eye#50/sad#3/e.png", "Eyes/star#30.png", order=["Eyes"]
    )
    assert found.not_understood == []
    assert weights(by_name(checked(found))["Eyes"]) == {"happy": 12.5, "sad": 37.5, "star": 30}


def test_the_empty_layer_is_a_share_of_none(tmp_path):
    document = checked(of(tmp_path, "Hat/NONE#60.png", "Hat/Cap#20.png", "Hat/Top#20.png", order=["Hat"]))
    assert by_name(document)["Hat"]["none"] == 0.6
    assert weights(by_name(document)["Hat"]) == {"Cap": 20, "Top": 20}


def test_images_without_weight_are_always_drawn_with_their_folder(tmp_path):
    layers = (
        "Hair/Curl#1/1line.png",
        "Hair/Curl#1/2fill.png",
        "Hair/Bob#1.png",
        "Skin/base.png",
        "Skin/tan#1.png",
    )
    document = checked(of(tmp_path, *layers, order=["Skin", "Hair"]))
    hair = by_name(document)["Hair"]
    curl = next(option for option in hair["options"] if option["name"] == "Curl")
    assert curl["value"] == {"image": "layers/Hair/Curl#1/1line.png"}
    (part,) = curl["categories"]
    assert (part["metadata"], part["unique"]) == (False, False)
    assert drawn(document) == ["layers/Skin/base.png", "[[Skin]]", "[[Hair]]", f"[[{part['name']}]]"]


def test_the_z_index_orders_layers_across_categories(tmp_path):
    layers = (
        "Sky/day#1.png",
        "Hair/Long#1/front.png",
        "Hair/Long#1/z-2,back.png",
        "Hair/z5,Spike#1.png",
        "Top/t#1.png",
    )
    document = checked(of(tmp_path, *layers, order=["Sky", "Hair", "Top"]))
    names = {category["options"][0]["value"]["image"]: name for name, category in by_name(document).items()
             if "value" in category["options"][0]}  # fmt: skip
    back, front, spike = (
        names[f"layers/Hair/{file}"] for file in ("Long#1/z-2,back.png", "Long#1/front.png", "z5,Spike#1.png")
    )
    assert drawn(document) == [f"[[{name}]]" for name in (back, "Sky", front, "Top", spike)]


def test_a_folder_without_weight_inside_an_option_is_a_nested_category(tmp_path):
    layers = (
        "type/male#10/m1#10.png", "type/male#10/m2#10.png",
        "type/male#10/hair/short#5.png", "type/male#10/hair/NONE#5.png",
        "type/female#10/f.png", "type/female#10/hair/long#1.png", "type/female#10/hair/bun#1.png",
    )  # fmt: skip
    order = ['{ name: "type", sublayerOptions: { hair: { trait: "Hair", blend: "multiply" } } }']
    found = of(tmp_path, *layers, order=order)
    document = checked(found)
    categories = by_name(document)
    assert set(weights(categories["type"])) == {"female", "male"}
    hair = [c for c in categories.values() if c.get("label", c["name"]) == "Hair"]
    assert sorted(len(c["options"]) for c in hair) == [1, 2]
    layers = document["generator"]["inputs"]["layers"]
    blends = {layer["image"]: layer["blend"] for layer in layers if isinstance(layer, dict)}
    assert blends == {f"[[{c['name']}]]": "multiply" for c in hair}


def test_settings_in_file_names_are_read(tmp_path):
    document = checked(of(tmp_path, "Glow/Halo?blend=screen&opacity=40#3.png", order=["Glow"]))
    (layer,) = document["generator"]["inputs"]["layers"]
    assert layer == {"image": "[[Glow]]", "blend": "screen", "opacity": 0.4}
    assert weights(by_name(document)["Glow"]) == {"Halo": 3}


def test_incompatible_names_become_excludes_in_both_directions(tmp_path):
    layers = (
        "Body/Red#1.png",
        "Body/White#1.png",
        "Hair/Dark Long#1.png",
        "Hair/rare#1/Pink#1.png",
        "Hair/rare#1/Blue#1.png",
    )
    incompatible = '{ Red: ["Dark Long", "rare"], White: ["Nobody"], Nothing: ["Red"] }'
    found = of(tmp_path, *layers, order=["Body", "Hair"], incompatible=incompatible)
    document = checked(found)
    assert document["rules"] == [
        {"id": "not-red-with-hair", "excludes": [{"Body": "Red"}, {"Hair": ["Dark Long", "Blue", "Pink"]}]}
    ]
    assert sorted(found.not_understood) == [
        "src/config.js: incompatible.Nothing: no layer has anything called 'Nothing'",
        "src/config.js: incompatible.White[0]: no layer has anything called 'Nobody'",
    ]


def test_forced_combinations_become_requires_and_weight_0_means_only_by_force(tmp_path):
    layers = (
        "Shirt/floral#30.png",
        "Shirt/tee#30.png",
        "Eyes/Shades#1.png",
        "Eyes/open#9.png",
        "Pin/Sakura#0.png",
        "Pin/tag#4.png",
    )
    forced = '{ floral: ["Shades", "Sakura"] }'
    document = checked(of(tmp_path, *layers, order=["Shirt", "Eyes", "Pin"], forcedCombinations=forced))
    assert document["rules"] == [
        {"id": "floral-needs-shades", "requires": {"when": {"Shirt": "floral"}, "then": {"Eyes": "Shades"}}},
        {"id": "floral-needs-sakura", "requires": {"when": {"Shirt": "floral"}, "then": {"Pin": "Sakura"}}},
        {
            "id": "sakura-only-with-shirt",
            "requires": {"when": {"Pin": "Sakura"}, "then": {"Shirt": "floral"}},
        },
    ]
    assert weights(by_name(document)["Pin"]) == {"Sakura": 1, "tag": 4}


def test_trait_values_and_names_are_replaced(tmp_path):
    order = ['{ name: "01 hat", trait: "Hat", display_type: "number" }']
    document = checked(of(tmp_path, "01 hat/h1#2.png", order=order, traitValueOverrides='{ h1: "Top Hat" }'))
    (hat,) = document["categories"]
    assert (hat["label"], hat["displayType"], weights(hat)) == ("Hat", "number", {"Top Hat": 2})


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"extraAttributes": "() => [{ trait_type: 'Level', value: Math.random() }]"}, "extraAttributes"),
        ({"outputJPEG": "true"}, "outputJPEG"),
        ({"startIndex": "0"}, "startIndex"),
        ({"useRootTraitType": "false"}, "useRootTraitType"),
        ({"layersDir": "`${basePath}/art`"}, "layersDir"),
        ({"incompatible": "{ Red: 'Blue' }"}, "incompatible.Red"),
        ({"incompatible": "{ Red: [pick()] }"}, "incompatible.Red[0]"),
        ({"forcedCombinations": "rules()"}, "forcedCombinations"),
        ({"traitValueOverrides": "{ Red: 7 }"}, "traitValueOverrides.Red"),
    ],
)
def test_what_has_no_counterpart_is_listed(tmp_path, settings, place):
    found = of(tmp_path, "Body/Red#1.png", "Body/Blue#1.png", order=["Body"], **settings)
    checked(found)
    assert [note for note in found.not_understood if note.startswith(f"src/config.js: {place}: ")]


def test_what_the_fork_ships_with_is_understood(tmp_path):
    found = of(
        tmp_path, "Body/Red#1.png", "Body/Blue#1.png", order=["Body"],
        extraAttributes="() => [\n // {trait_type: 'x'},\n ]", hashImages="true", outputJPEG="false",
        layersDir="path.join(basePath, '/layers')", buildDir="path.join(basePath, '/build')",
        incompatible="{}", forcedCombinations="{}", traitValueOverrides="{}", startIndex="1",
    )  # fmt: skip
    assert found.not_understood == []


def test_a_setting_that_is_not_exported_is_listed(tmp_path):
    config = exports(layerConfigurations=stages(stage(1, "Body")), emptyLayerName='"NONE"')
    root = hashlips(
        tmp_path, config='const incompatible = { Red: ["x"] };\n' + config, layers=("Body/Red#1.png",)
    )
    found = import_hashlips(root, out=tmp_path / "c.yaml")
    assert found.not_understood == ["src/config.js: incompatible: is not exported, so it has no effect"]
