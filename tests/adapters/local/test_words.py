"""Text templates, text cards and SVG templates, friendly and hostile."""

import base64
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cauldron.adapters.local import png
from cauldron.adapters.local.registry import run_tool
from cauldron.domain.errors import InvalidMany

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def text_of(template, values, **more):
    inputs = {"template": template, "values": values, **more}
    return run_tool("text.template", inputs, None)[0].value


def test_values_are_put_in_once_and_never_expanded_again():
    values = {"a": "{{b}}", "b": "no", "n": 2.0, "yes": True, "half": 0.5, "none": None}
    template = "{{a}} {{ n }} {{yes}} {{half}} [{{none}}] \\{{a}} {{ {x} }}"
    assert text_of(template, values) == "{{b}} 2 true 0.5 [] {{a}} {{ {x} }}"


def test_a_placeholder_without_a_value_is_named_or_empty():
    with pytest.raises(InvalidMany) as caught:
        text_of("{{one}} {{two}} {{one}}", {"two": 1})
    assert [(p.path, p.message) for p in caught.value.problems] == [
        ("text.template.template", "{{one}} has no value")
    ]
    assert text_of("<{{one}}>", {}, missing="empty") == "<>"


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_values_are_text_numbers_or_truth(value):
    with pytest.raises(InvalidMany, match=r"text\.template\.values\.v"):
        text_of("{{v}}", {"v": value})


def test_a_template_cannot_grow_without_bound():
    with pytest.raises(InvalidMany, match="characters, 400000 allowed"):
        text_of("{{v}}" * 4_000, {"v": "x" * 20_000})


@given(text=st.text(max_size=60))
def test_text_without_placeholders_stays_as_it_is(text):
    if "{{" not in text:
        assert text_of(text, {}) == text


def card(shelf, **inputs):
    (made,) = run_tool("text.card", {"width": 200, "height": 120, **inputs}, shelf)
    return np.asarray(Image.open(io.BytesIO(made.data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("fit", ["shrink", "fill"])
@pytest.mark.parametrize("text", ["Hi", "a few words " * 12, "Donaudampfschifffahrt" * 4, "l\ni\nn\ne\ns"])
def test_fitted_text_never_touches_the_padding(fit, text, shelf):
    """Ink lies inside the padding of 18 pixels; two for the overhang of letters."""
    made = card(shelf, text=text, fit=fit, padding=0.15, color="#ffffff", background="#000000")
    rows, columns = np.nonzero(made.sum(axis=2))
    assert rows.size
    assert rows.min() >= 16 and rows.max() < 120 - 16
    assert columns.min() >= 16 and columns.max() < 200 - 16


def test_alignment_moves_the_text(shelf):
    places = {
        align: np.nonzero(card(shelf, text="Hi", align=align, color="#ffffff", background="#000000"))[
            1
        ].mean()
        for align in ("left", "center", "right")
    }
    assert places["left"] < 80 < places["center"] < 120 < places["right"]


@pytest.mark.parametrize("background", ["#ffffff", "#000000", "#808080", "#f9b24e", "#241a3d"])
def test_text_is_readable_on_any_ground(background, shelf):
    """WCAG contrast of the chosen colour is at least 4.5."""
    made = card(shelf, text="MMMM", fit="fill", background=background) / 255
    linear = np.where(made <= 0.04045, made / 12.92, ((made + 0.055) / 1.055) ** 2.4)
    light = linear @ np.array([0.2126, 0.7152, 0.0722])
    assert (light.max() + 0.05) / (light.min() + 0.05) >= 4.5


def test_letters_of_other_languages_are_drawn_as_they_are(shelf):
    assert not np.array_equal(card(shelf, text="Größe – naïve"), card(shelf, text="Grosse - naive"))
    assert not np.array_equal(card(shelf, text="Ночь"), card(shelf, text="????"))


def test_letters_that_no_font_has_are_replaced_not_boxed(shelf):
    assert np.array_equal(card(shelf, text="Größe 夜"), card(shelf, text="Größe ?"))


def test_a_font_must_be_a_font(shelf):
    ref = shelf.put(b"\0\1\0\0 not a font", "font/ttf")
    with pytest.raises(InvalidMany, match=r"text\.card\.font: is not a TrueType"):
        card(shelf, text="x", font=ref)


def svg(body, values=None, shelf=None, **more):
    template = body if body.lstrip().startswith("<?") or "<svg" in body else f"<svg {NS}>{body}</svg>"
    inputs = {"template": template, "values": values or {}, "width": 40, "height": 40, **more}
    return np.asarray(Image.open(io.BytesIO(run_tool("svg.template", inputs, shelf)[0].data)).convert("RGBA"))


def test_an_svg_is_rendered_with_its_values():
    made = svg(
        f'<svg {NS} viewBox="0 0 10 10"><rect width="10" height="10" fill="{{{{c}}}}"/></svg>',
        {"c": "#336699"},
    )
    assert made[20, 20].tolist() == [0x33, 0x66, 0x99, 255]


def test_an_svg_keeps_its_shape_and_is_centred():
    made = svg(f'<svg {NS} viewBox="0 0 10 5"><rect width="10" height="5" fill="#ffffff"/></svg>')
    assert made[20, 1, 3] == 255 and made[20, 38, 3] == 255
    assert made[2, 20, 3] == 0 and made[37, 20, 3] == 0


def test_svg_text_is_drawn_with_the_bundled_font():
    made = svg(
        f'<svg {NS} viewBox="0 0 40 40"><text x="2" y="30" font-size="30" fill="red">{{{{t}}}}</text></svg>',
        {"t": "<&>"},
    )
    assert made[..., 3].any()


def embedded(data, kind="png"):
    return f'<image width="9" height="9" href="data:image/{kind};base64,{base64.b64encode(data).decode()}"/>'


def bomb():
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    return png.SIGNATURE + png.chunk(b"IHDR", head) + png.chunk(b"IDAT", b"x") + png.END


def nested_uses(depth):
    parts = ['<g id="u0"><rect width="1" height="1"/></g>']
    parts += [f'<g id="u{i}">' + f'<use href="#u{i - 1}"/>' * 10 + "</g>" for i in range(1, depth)]
    return "<defs>" + "".join(parts) + f'</defs><use href="#u{depth - 1}"/>'


LAUGHS = '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg xmlns="x">&b;</svg>'
XXE = (
    '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/hostname">]><svg xmlns="x">&f;</svg>'
)
HOSTILE_SVG = {
    "entities": (LAUGHS, "doctype"),
    "external entity": (XXE, "doctype"),
    "doctype": (f"<!DOCTYPE svg><svg {NS}/>", "doctype"),
    "style sheet": (f'<?xml-stylesheet href="http://example.org/a.css"?><svg {NS}/>', "not_allowed"),
    "not xml": ("<svg", "not_xml"),
    "not svg": ("<html><svg/></html>", "not_svg"),
    "http image": ('<image href="http://example.org/a.png"/>', "outside_reference"),
    "file image": ('<image xlink:href="/etc/passwd"/>', "outside_reference"),
    "relative image": ('<image href="../secret.png"/>', "outside_reference"),
    "file use": ('<use href="other.svg#a"/>', "outside_reference"),
    "svg in data": ('<image href="data:image/svg+xml;base64,PHN2Zy8+"/>', "outside_reference"),
    "feImage": ('<filter id="f"><feImage href="file:///etc/passwd"/></filter>', "outside_reference"),
    "css url": ("<style>rect { fill: url(http://example.org/x) }</style>", "outside_reference"),
    "css import": ('<style>@import "http://example.org/x.css";</style>', "outside_reference"),
    "fill url": ("<rect fill=\"url( 'http://example.org/#a')\"/>", "outside_reference"),
    "script": ("<script>1</script>", "not_allowed"),
    "html inside": ("<foreignObject/>", "not_allowed"),
    "uses of uses": (nested_uses(9), "too_complex"),
    "self use": ('<g id="a"><use href="#a"/></g>', "circular"),
    "deep": ("<g>" * 200 + "</g>" * 200, "too_complex"),
    "many": ("<g/>" * 20_001, "too_complex"),
    "octaves": ('<filter id="f"><feTurbulence numOctaves="9999"/></filter>', "too_complex"),
    "image bomb": (embedded(bomb()), "too_many_pixels"),
    "not an image": (embedded(b"nothing"), "not_an_image"),
}


@pytest.mark.parametrize(("body", "code"), HOSTILE_SVG.values(), ids=HOSTILE_SVG)
def test_hostile_svg_is_refused_with_the_reason(body, code):
    with pytest.raises(InvalidMany) as caught:
        svg(body)
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == ("svg.template.template", code)


def test_an_embedded_image_is_drawn():
    data = io.BytesIO()
    Image.new("RGB", (4, 4), "#00ff00").save(data, "PNG")
    made = svg(f'<svg {NS} viewBox="0 0 9 9">{embedded(data.getvalue())}</svg>')
    assert made[20, 20].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize(
    "value",
    [
        '"/><image href="/etc/passwd"/><rect x="',
        "'/><script/>",
        "<![CDATA[",
        "&f;",
        "]]>",
        "<!--",
        "\0",
        "\ud800",
    ],
)
def test_values_cannot_break_out_of_their_place(value):
    """A hostile value is drawn as text, or refused; it never becomes an element."""
    template = f'<svg {NS} viewBox="0 0 9 9"><rect id="{{{{v}}}}" width="9" height="9" fill="#0000ff"/></svg>'
    try:
        made = svg(template, {"v": value})
    except InvalidMany:
        return
    assert made[20, 20].tolist() == [0, 0, 255, 255]
