"""Figures of hwsim/view as SVG that stands in the page itself: no file, no identity twice, and colours that follow the page.

Each colour becomes a CSS variable. In a dark page greys change places with each other (ink is light on dark paper) and hues
become lighter, in the same order. A figure with pixels (a heat map) keeps its colours and its white paper: the colours of words
on its cells were chosen for them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from colorsys import hls_to_rgb, rgb_to_hls
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hwsim.view.figure_file import METADATA, in_our_style
from hwsim.view.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHITE = "#ffffff"
SVG, LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
_COLOUR = re.compile(r"#([0-9a-f]{6})\b")
PAGE = {WHITE.removeprefix("#"): "paper", INK.removeprefix("#"): "ink"}
"""Colours of a figure that are those of the page itself."""
_GREY = 0.08
"""Saturation below which a colour is a grey."""
INK_LIGHTNESS, PAPER_LIGHTNESS = 0.92, 0.115
"""Of black and of white in a dark page."""


@in_our_style
def inline_svg(figure: Figure, name: str, words: str) -> str:
    """The figure as an `<svg>` element. `name` is put before each of its identities; `words` say what is to be seen."""
    held = io.BytesIO()
    figure.savefig(held, format="svg", metadata=METADATA["svg"])
    root = ElementTree.fromstring(held.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    follows = root.find(f".//{{{SVG}}}image") is None
    for node in root.iter():
        node.tag = node.tag.removeprefix(f"{{{SVG}}}")
        if LINK in node.attrib:
            node.set("href", node.attrib.pop(LINK))
        for key in ("fill", "stroke"):
            if _COLOUR.search(node.get(key, "")):  # a variable is allowed in a style only
                node.set("style", f"{key}: {node.attrib.pop(key)}; {node.get('style', '')}".rstrip("; "))
        for key, value in node.attrib.items():
            node.set(key, _renamed(key, value, name, follows))
    title = ElementTree.Element("title", {"id": f"{name}-title"})
    title.text = words
    root.insert(0, title)
    for key in ("width", "height"):
        del root.attrib[key]
    root.set("role", "img")
    if not follows:
        root.set("class", "pixels")
    root.set("aria-labelledby", f"{name}-title")
    return ElementTree.tostring(root, encoding="unicode")


def _renamed(key: str, value: str, name: str, follows: bool) -> str:
    """An attribute with identities of this figure, and with colours as variables where these follow the page."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    value = re.sub(r"url\(#", f"url(#{name}-", value)
    if key != "style" or not follows:
        return value
    return _COLOUR.sub(lambda found: f"var(--{PAGE.get(found[1], 'x' + found[1])})", value)


def colours_of(texts: Iterable[str]) -> list[str]:
    """The colours, as six digits, that the SVGs name."""
    return sorted({found for text in texts for found in re.findall(r"var\(--x([0-9a-f]{6})\)", text)})


def in_the_dark(colour: str) -> str:
    """A colour of six digits as it is in a dark page."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, light, saturation = rgb_to_hls(red, green, blue)
    if saturation < _GREY or light in (0, 1):
        light = INK_LIGHTNESS + (PAPER_LIGHTNESS - INK_LIGHTNESS) * light
    else:
        light, saturation = 0.36 + 0.56 * light, 0.72 * saturation
    return "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(hue, light, saturation))
