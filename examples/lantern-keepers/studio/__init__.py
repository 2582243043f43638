"""The drawing code of the Lantern Keepers: parametric SVG, one module per kind of layer."""
