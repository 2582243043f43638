"""Builds small projects of other engines on disk, the way people's folders look."""

from pathlib import Path

from PIL import Image

from cauldron.adapters.importers.writing import as_yaml
from cauldron.domain.collection import parse_collection
from cauldron.domain.strict_yaml import read_document

CONFIG = """\
"use strict";

const path = require("path");
const isLocal = typeof process.pkg === "undefined";
const basePath = isLocal ? process.cwd() : path.dirname(process.execPath);
const { MODE } = require(path.join(basePath, "constants/blend_mode.js"));
const { NETWORK } = require(path.join(basePath, "constants/network.js"));

const network = NETWORK.eth;

// What every token says
const namePrefix = "Moth Hotel";
const description = "Guests that fly";
const baseUri = "ipfs://bafyMoths";

const solanaMetadata = {
  symbol: "MTH",
  seller_fee_basis_points: 500, // 5%
  external_url: "https://example.org",
  creators: [{ address: "abc", share: 100 }],
};

const layerConfigurations = [
  {
    growEditionSizeTo: 20,
    layersOrder: [
      { name: "Background", options: { bypassDNA: true } },
      { name: "Body" },
      { name: "Glow", options: { blend: MODE.screen, opacity: 0.7, displayName: "Aura" } },
    ],
  },
];

const shuffleLayerConfigurations = false;
const debugLogs = false;

const format = {
  width: 8,
  height: 8,
  smoothing: false,
};

const gif = { export: false, repeat: 0, quality: 100, delay: 500 };

const text = {
  only: false, color: "#ffffff", size: 20, xGap: 40, yGap: 40,
  align: "left", baseline: "top", weight: "regular", family: "Courier", spacer: " => ",
};

const pixelFormat = { ratio: 2 / 128 };
const background = { generate: false, brightness: "80%", static: false, default: "#000000" };
const extraMetadata = {};
const rarityDelimiter = "#";
const uniqueDnaTorrance = 10000;

const preview = {
  thumbPerRow: 5,
  thumbWidth: 50,
  imageRatio: format.height / format.width,
  imageName: "preview.png",
};

const preview_gif = {
  numberOfImages: 5, order: "ASC", repeat: 0, quality: 100, delay: 500, imageName: "preview.gif",
};

module.exports = {
  format, baseUri, description, background, uniqueDnaTorrance, layerConfigurations, rarityDelimiter,
  preview, shuffleLayerConfigurations, debugLogs, extraMetadata, pixelFormat, text, namePrefix, network,
  solanaMetadata, gif, preview_gif,
};
"""

LAYERS = (
    "Background/Dusk#5.png",
    "Background/Dawn#2.png",
    "Background/Noon.png",
    "Body/Silver#60.png",
    "Body/Gold#2.5.png",
    "Body/Ghost#0.png",
    "Glow/Soft#10.png",
    "Glow/None#30.png",
)


def picture(path: Path, *, size: tuple[int, int] = (8, 8), color: str = "#aa3377ff") -> Path:
    """A small picture at ``path``; "None" and other blank names come out transparent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blank = path.name.lower().startswith(("none", "blank"))
    mode = "RGB" if path.suffix.lower() in (".jpg", ".jpeg") else "RGBA"
    image = Image.new(mode, size, "#00000000" if blank and mode == "RGBA" else color)
    image.save(path, {".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix.lower(), path.suffix[1:].upper()))
    return path


def hashlips(root: Path, *, config: str = CONFIG, layers: tuple[str, ...] = LAYERS) -> Path:
    """A HashLips project: configuration and layers."""
    (root / "src").mkdir(parents=True, exist_ok=True)
    (root / "src/config.js").write_text(config, encoding="utf-8")
    (root / "layers").mkdir(exist_ok=True)
    for layer in layers:
        picture(root / "layers" / layer)
    return root


def exports(**settings: str) -> str:
    """A configuration with these settings (JavaScript texts) and nothing else."""
    body = "".join(f"const {name} = {value};\n" for name, value in settings.items())
    return f"{body}module.exports = {{ {', '.join(settings)} }};\n"


def stages(*configurations: str) -> str:
    """``layerConfigurations`` of JavaScript objects."""
    return f"[{', '.join(configurations)}]"


def stage(size: int, *layers: str, more: str = "") -> str:
    """One layer configuration; a layer is a name or a JavaScript object."""
    entries = ", ".join(layer if layer.startswith("{") else f'{{ name: "{layer}" }}' for layer in layers)
    return f"{{ growEditionSizeTo: {size}, {more} layersOrder: [{entries}] }}"


def by_name(document: dict) -> dict:
    """Every category of a document by its name, nested ones too."""
    found = {}

    def walk(categories):
        for category in categories:
            found[category["name"]] = category
            for option in category["options"]:
                walk(option.get("categories", []))

    walk(document["categories"])
    return found


def weights(category: dict) -> dict:
    """``{option: weight}`` of a category."""
    return {option["name"]: option["weight"] for option in category["options"]}


def checked(imported):
    """The document after a trip through YAML, accepted by the collection's own parser."""
    again = read_document(as_yaml(imported.document))
    assert again == imported.document
    parse_collection(again)
    return again
