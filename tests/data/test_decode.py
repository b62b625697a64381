from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import decode
from cnn_jax.data.decode import UnreadableImage, decode_image, fit_image
from cnn_jax.errors import DataError


def test_grey_and_rgb_are_read_unchanged(tmp_path, save, noise):
    grey, colour = noise(0, 5, 7), noise(1, 5, 7, 3)
    np.testing.assert_array_equal(decode_image(save(tmp_path / "g.png", grey))[..., 0], grey)
    np.testing.assert_array_equal(decode_image(save(tmp_path / "c.png", colour)), colour)
    assert decode_image(tmp_path / "g.png").shape == (5, 7, 1)


def test_one_bit_is_black_and_white(tmp_path, save):
    bits = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(decode_image(save(tmp_path / "b.png", Image.fromarray(bits)))[..., 0], bits * 255)


def test_sixteen_bit_grey_is_scaled_and_not_saturated(tmp_path, save):
    wide = np.array([[0, 128, 129, 257], [32767, 32768, 65534, 65535]], np.uint16)
    expected = np.rint(wide / 65535 * 255)
    np.testing.assert_array_equal(decode_image(save(tmp_path / "w.png", Image.fromarray(wide)))[..., 0], expected)
    np.testing.assert_array_equal(decode_image(save(tmp_path / "w.tif", Image.fromarray(wide)))[..., 0], expected)


def test_sixteen_bit_colour_keeps_its_range(tmp_path):
    # Pillow cannot write 16-bit RGB, so the PNG is put together by hand.
    wide = np.array([[[0, 257 * 100, 65535]]], ">u2")
    rows = b"\x00" + wide.tobytes()
    (tmp_path / "w.png").write_bytes(_png(1, 1, 16, 2, rows))
    np.testing.assert_array_equal(decode_image(tmp_path / "w.png"), [[[0, 100, 255]]])


def test_palette_becomes_its_colours(tmp_path, save):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(decode_image(save(tmp_path / "p.png", image)), [[[10, 20, 30], [200, 100, 50]]])


def test_alpha_is_composited_on_white(tmp_path, save):
    rgba = np.array([[[200, 0, 100, 255], [200, 0, 100, 0], [200, 0, 100, 51]]], np.uint8)
    expected = np.rint(rgba[..., :3] * (rgba[..., 3:] / 255) + 255 * (1 - rgba[..., 3:] / 255))
    np.testing.assert_allclose(decode_image(save(tmp_path / "a.png", rgba)), expected, atol=1)
    grey_alpha = Image.merge("LA", (Image.new("L", (2, 2), 40), Image.new("L", (2, 2), 0)))
    np.testing.assert_array_equal(decode_image(save(tmp_path / "la.png", grey_alpha)), np.full((2, 2, 1), 255))


def test_transparent_palette_colour_is_white(tmp_path, save):
    image = Image.new("P", (1, 1))
    image.putpalette([10, 20, 30])
    np.testing.assert_array_equal(decode_image(save(tmp_path / "t.gif", image, transparency=0)), [[[255, 255, 255]]])


def test_cmyk_becomes_rgb(tmp_path, save):
    # Cyan ink absorbs red: (255, 0, 0, 0) in CMYK is (0, 255, 255) in RGB.
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    pixels = decode_image(save(tmp_path / "c.jpg", image, quality=100))
    np.testing.assert_allclose(pixels, np.broadcast_to([0, 255, 255], (8, 8, 3)), atol=3)


def test_content_and_not_the_name_decides(tmp_path, save, noise):
    image = noise(0, 4, 4, 3)
    save(tmp_path / "real.png", image).rename(tmp_path / "photo.jpg")
    np.testing.assert_array_equal(decode_image(tmp_path / "photo.jpg"), image)


def _truncated(path, save, noise):
    data = save(path, noise(0, 64, 64, 3)).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _bomb(path, save, noise):
    path.write_bytes(_png(50_000, 50_000, 8, 0, b""))


def _animated(path, save, noise):
    Image.new("RGB", (4, 4)).save(path, format="GIF", save_all=True, append_images=[Image.new("RGB", (4, 4), "red")])


BROKEN = {
    "truncated.png": (_truncated, "truncated"),
    "truncated.jpg": (_truncated, "truncated"),
    "empty.png": (lambda path, *_: path.write_bytes(b""), "0 bytes"),
    "text.png": (lambda path, *_: path.write_text("hello"), "not an image"),
    "script.jpg": (lambda path, *_: path.write_text("%!PS-Adobe-3.0 EPSF-3.0"), "not an image"),
    "bomb.png": (_bomb, "too large"),
    "animated.gif": (_animated, "2 frames"),
    "float.tif": (lambda path, save, _: save(path, np.ones((2, 2), np.float32)), "32-bit"),
    "folder.png": (lambda path, *_: path.mkdir(), "cannot be opened"),
    "absent.png": (lambda *_: None, "cannot be opened"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_with_the_reason(tmp_path, save, noise, name):
    make, reason = BROKEN[name]
    make(tmp_path / name, save, noise)
    with pytest.raises(DataError, match=reason) as caught:
        decode_image(tmp_path / name)
    assert caught.value.exit_status == 3
    assert str(tmp_path / name) in caught.value.message
    assert "\n" not in caught.value.message


def test_pixel_limit_holds_before_decoding(tmp_path, save, noise, monkeypatch):
    path = save(tmp_path / "a.png", noise(0, 9, 9))
    monkeypatch.setattr(decode, "MAX_PIXELS", 81)
    assert decode_image(path).shape == (9, 9, 1)
    monkeypatch.setattr(decode, "MAX_PIXELS", 80)
    with pytest.raises(DataError, match="9x9"):
        decode_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_any_flipped_byte_gives_an_image_or_a_named_file(tmp_path, noise, kind):
    good = io.BytesIO()
    Image.fromarray(noise(3, 16, 16, 3)).save(good, format=kind)
    generator = np.random.default_rng(7)
    path = tmp_path / f"flip.{kind.lower()}"
    for _ in range(60):
        data = bytearray(good.getvalue())
        data[generator.integers(len(data))] ^= 1 << generator.integers(8)
        path.write_bytes(data)
        try:
            image = decode_image(path)
        except DataError as error:
            assert str(path) in error.message  # noqa: PT017
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3


def test_paths_of_any_bytes_are_shown_on_one_line():
    assert decode.shown(b"caf\xe9\n/\x1b[31m") == "caf\\xe9\\n/\\x1b[31m"
    assert decode.shown("straße/猫.png") == "straße/猫.png"


def test_pad_centres_on_black(noise):
    image = noise(0, 28, 28, 1)
    padded = fit_image(image, (32, 32), "pad")
    np.testing.assert_array_equal(padded, np.pad(image, ((2, 2), (2, 2), (0, 0))))
    with pytest.raises(UnreadableImage, match="28x28 pixels, too large"):
        fit_image(image, (20, 32), "pad")


def test_resize_shrinks_by_area_after_the_shorter_side_and_crops_the_centre():
    # A gradient along the width: halved, every pixel is about the mean of its two; the centre is cut out of 16 columns.
    image = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None] * 8, (16, 32, 3))
    small = fit_image(image, (8, 8), "resize")
    assert small.shape == (8, 8, 3)
    expected = (np.arange(4, 12) * 2 + 0.5) * 8
    np.testing.assert_allclose(small[4, :, 1], expected, atol=1)
    assert fit_image(image[..., :1], (40, 24), "resize").shape == (40, 24, 1)


def test_resize_does_not_alias():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    inner = fit_image(stripes, (16, 16), "resize")[2:-2, 2:-2]
    assert abs(int(inner.min()) - 127) < 20
    assert abs(int(inner.max()) - 127) < 20


def test_without_fit_another_size_is_refused(noise):
    with pytest.raises(UnreadableImage, match=r"7x5 pixels, not 6x6.*fit=resize"):
        fit_image(noise(0, 5, 7, 3), (6, 6), "none")


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
