"""Contact sheets: rows and columns of small images, with words beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 112  # pixels of a cell's longer side, at least: small images are enlarged by whole numbers
_LARGEST = 224
_GAP = 8
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
_HEADING, _CAPTION = 14, 12


def contact_sheet(
    images: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str],
    rows: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
) -> Image.Image:
    """Draws a table of images.

    Args:
        images: row by row, uint8 `[H, W, C]`, C = 1 or 3, all of one shape.
        columns: headings; a long one is broken after colons and commas.
        rows: headings, to the left.
        captions: words under each image, broken at line feeds; by default none.

    Returns:
        An RGB picture, black on white.
    """
    height, width = images[0][0].shape[:2]
    scale = max(1, -(-CELL // max(height, width))) if max(height, width) <= _LARGEST else _LARGEST / max(height, width)
    cell = round(width * scale), round(height * scale)
    heading, caption = ImageFont.load_default(size=_HEADING), ImageFont.load_default(size=_CAPTION)
    headings = [_broken(column, heading, cell[0]) for column in columns]
    beside = [_broken(row, heading, 140) for row in rows]
    top = max(len(lines) for lines in headings) * (_HEADING + 4) + 2 * _GAP
    left = max(int(heading.getlength(line)) for lines in beside for line in lines) + 2 * _GAP
    below = max((len(words.split("\n")) for line in captions or () for words in line if words), default=0)
    step = cell[0] + _GAP, cell[1] + _GAP + below * (_CAPTION + 4)
    sheet = Image.new("RGB", (left + len(columns) * step[0], top + len(rows) * step[1]), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, lines in enumerate(headings):
        # Headings stand on the images, however many lines they have.
        at = left + i * step[0], top - _GAP - len(lines) * (_HEADING + 4)
        draw.multiline_text(at, "\n".join(lines), _INK, heading, spacing=4)
    for j, lines in enumerate(beside):
        draw.multiline_text((_GAP, top + j * step[1]), "\n".join(lines), _INK, heading, spacing=4)
        for i, image in enumerate(images[j]):
            x, y = left + i * step[0], top + j * step[1]
            sheet.paste(_enlarged(image, cell), (x, y))
            if captions and captions[j][i]:
                draw.multiline_text((x, y + cell[1] + 2), captions[j][i], _FAINT, caption, spacing=4)
    return sheet


def _enlarged(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    enlarging = size[0] >= picture.width
    return picture.resize(size, Image.Resampling.NEAREST if enlarging else Image.Resampling.BOX)


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Lines no wider than `width` pixels where a break after a blank, colon, comma, equals sign or dash allows it."""
    parts, lines = [""], []
    for letter in text:
        parts[-1] += letter
        if letter in " :,=_-":
            parts.append("")
    for part in parts:
        if lines and font.getlength(lines[-1] + part) <= width:
            lines[-1] += part
        else:
            lines.append(part)
    return [line.strip() for line in lines]
