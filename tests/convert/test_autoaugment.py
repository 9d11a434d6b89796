"""AutoAugment: every operation against its definition on the pixels, and the policy as a whole against its published numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from hwsim.training import autoaugment  # noqa: E402
from hwsim.training.autoaugment import POLICY, SIGNED, UNSIGNED, apply, auto_augmented  # noqa: E402

FILL = (9, 8, 7)


def picture(seed: int = 1, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 230, (side, side, 3), dtype=np.uint8)


def by(name: str, magnitude: int, negative: bool = False, pixels: np.ndarray | None = None) -> np.ndarray:
    image = Image.fromarray(picture() if pixels is None else pixels)
    return np.asarray(apply(name, image, magnitude, negative, FILL))


def test_the_policy_has_the_25_sub_policies_of_table_7() -> None:
    """Counted in the paper's table."""
    steps = [step for pair in POLICY for step in pair]
    assert len(POLICY) == 25
    assert Counter(name for name, _, _ in steps) == {
        "equalize": 9, "auto_contrast": 7, "translate_y": 5, "brightness": 4, "color": 5, "sharpness": 5, "solarize": 4,
        "invert": 3, "contrast": 2, "shear_y": 2, "translate_x": 2, "posterize": 1, "rotate": 1}
    assert sum(p for _, p, _ in steps) == pytest.approx(26.5)
    assert {name for name, _, _ in steps} <= set(SIGNED) | set(UNSIGNED)
    assert POLICY[0] == (("invert", 0.1, 7), ("contrast", 0.2, 6))
    assert POLICY[24] == (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 1))


@pytest.mark.parametrize("name", [*SIGNED, "solarize", "posterize"])
def test_no_magnitude_is_no_change(name: str) -> None:
    assert np.array_equal(by(name, 0), picture())


@pytest.mark.parametrize("name", SIGNED)
def test_a_sign_has_two_ways_and_a_larger_magnitude_goes_further(name: str) -> None:
    far = [np.abs(by(name, m).astype(int) - picture()).mean() for m in (2, 9)]
    assert 0 < far[0]
    assert not np.array_equal(by(name, 9), by(name, 9, negative=True))
    assert far[1] > 0.9 * far[0]


def test_moving_operations_move_and_bring_in_the_fill_colour() -> None:
    x = picture()
    for negative, rows in ((False, slice(0, 14)), (True, slice(18, 32))):  # 150 of 331 pixels of 32: 14
        y = by("translate_y", 9, negative)
        assert (y[rows] == FILL).all()
        assert np.array_equal(y[14:] if not negative else y[:18], x[:18] if not negative else x[14:])
        assert np.array_equal(by("translate_x", 9, negative, x.swapaxes(0, 1)), y.swapaxes(0, 1))
    y = by("shear_x", 9)
    for row in range(32):  # a row moves by .3 of its number
        for column in range(32):
            at = int(np.floor(column + 0.5 + 0.3 * (row + 0.5)))
            assert (y[row, column] == (x[row, at] if at < 32 else FILL)).all()
    assert np.array_equal(by("shear_y", 9, pixels=x.swapaxes(0, 1)), y.swapaxes(0, 1))
    assert (by("rotate", 9)[0, 0] == FILL).all()


def test_colour_operations_are_their_formulas() -> None:
    x = picture().astype(int)
    grey = np.asarray(Image.fromarray(picture()).convert("L")).astype(int)[..., None]
    for magnitude in (3, 9):
        for sign in (1, -1):
            factor = 1 + sign * magnitude / 10
            for name, other in (("brightness", 0), ("color", grey), ("contrast", int(grey.mean() + 0.5))):
                expected = np.clip(other + factor * (x - other), 0, 255)
                assert np.abs(by(name, magnitude, sign < 0) - expected).max() <= 1, name
    assert np.array_equal(by("invert", 5), 255 - picture())
    assert np.array_equal(by("posterize", 9), picture() & 0xF0)
    assert np.array_equal(by("posterize", 7), picture() & 0xF8)
    assert np.array_equal(by("solarize", 3), np.where(picture() < 170, picture(), 255 - picture()))
    stretched = by("auto_contrast", 0)
    assert (stretched.min(), stretched.max()) == (0, 255)
    dark = picture(side=128) // 4
    flat = np.bincount(by("equalize", 0, pixels=dark)[..., 0].ravel(), minlength=256).cumsum() / 128**2
    assert np.abs(flat[[63, 127, 191]] - [0.25, 0.5, 0.75]).max() < 0.05, "equal shares of dark and bright"


def test_a_batch_is_the_generators_and_every_image_has_a_sub_policy_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.stack([picture()] * 4000)[:, :8, :8]
    mean = (0.5, 0.4, 0.3)
    seen: Counter[tuple[str, int]] = Counter()

    def watched(name: str, image: Image.Image, magnitude: int, negative: bool, fill: object) -> Image.Image:
        seen[name, magnitude] += 1
        assert fill == (128, 102, 76)
        return image

    first, again, other = (auto_augmented(images[:200], mean, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first.reshape(200, -1), axis=0)) > 25, "two ways of most"
    monkeypatch.setattr(autoaugment, "apply", watched)
    auto_augmented(images, mean, torch.Generator().manual_seed(5))
    wanted: Counter[tuple[str, int]] = Counter()
    for pair in POLICY:
        for name, probability, magnitude in pair:
            wanted[name, magnitude] += round(probability * 4000 / 25)
    for key, count in wanted.items():
        assert abs(seen[key] - count) <= 5 * (count + 1) ** 0.5 + 1, key
    assert seen.keys() <= {key for key, count in wanted.items() if count}


def test_grey_images_are_augmented_too_and_those_given_stay() -> None:
    images = np.stack([picture()[..., :1]] * 50)
    before = images.copy()
    out = auto_augmented(images, (0.5,), torch.Generator().manual_seed(1))
    assert out.shape == images.shape
    assert (out != images).any()
    assert np.array_equal(images, before)
