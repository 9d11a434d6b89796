"""Training images: what they are normalised to, and what augmentation may do to them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hwsim.sources.normaliser import Normaliser  # noqa: E402
from hwsim.training.augment import Augmentation, augmented  # noqa: E402


def batch(count: int = 64, size: int = 12) -> torch.Tensor:
    """Images in which every pixel tells where it comes from, and none is the mean colour 0."""
    return (torch.arange(size * size).reshape(1, 1, size, size) + 1.0).repeat(count, 1, 1, 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_normalised_pixels_have_the_mean_and_deviation_taken_out() -> None:
    images = torch.randint(0, 256, (5, 4, 6, 3), dtype=torch.uint8)
    got = Normaliser((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))(images)
    expected = (images.permute(0, 3, 1, 2) / 255 - torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)) / torch.tensor(
        [0.2, 0.25, 0.5]).reshape(3, 1, 1)
    assert torch.allclose(got, expected, atol=1e-5)


def test_shrunk_images_are_averages_of_the_normalised_pixels() -> None:
    images = torch.randint(0, 256, (5, 4, 6, 3), dtype=torch.uint8)
    whole, shrunk = Normaliser((0.5,) * 3, (0.2,) * 3)(images), Normaliser((0.5,) * 3, (0.2,) * 3, shrink=2)(images)
    assert shrunk.shape == (5, 3, 2, 3)
    assert torch.allclose(shrunk, whole.reshape(5, 3, 2, 2, 3, 2).mean((3, 5)), atol=1e-6)


def test_without_augmentation_nothing_changes() -> None:
    assert torch.equal(augmented(batch(), Augmentation(False, 0, 0), seeded(1)), batch())


def test_half_of_the_images_are_mirrored() -> None:
    got = augmented(batch(400), Augmentation(True, 0, 0), seeded(1))
    mirrored = (got == batch(400).flip(3)).flatten(1).all(1)
    same = (got == batch(400)).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 160 < mirrored.sum() < 240


@pytest.mark.parametrize("shift", [1, 4])
def test_images_move_up_to_the_shift_and_the_mean_colour_comes_in(shift: int) -> None:
    x, size = batch(600), 12
    got = augmented(x, Augmentation(False, shift, 0), seeded(2))
    padded = torch.nn.functional.pad(x[:1], [shift] * 4)
    seen = set()
    for image in got:
        for dy in range(2 * shift + 1):
            for dx in range(2 * shift + 1):
                if torch.equal(image, padded[0, :, dy:dy + size, dx:dx + size]):
                    seen.add((dy, dx))
    assert len(seen) == (2 * shift + 1) ** 2, "every place is possible"
    assert len({tuple(image.flatten().tolist()) for image in got}) == len(seen), "and nothing else"


def test_cutout_takes_one_square_that_may_reach_over_the_edge() -> None:
    gone = augmented(batch(500), Augmentation(False, 0, 4), seeded(3))[:, 0] == 0
    height, width = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.flatten(1).sum(1), height * width), "a rectangle"
    assert height.max() == width.max() == 4
    assert height.min() == 2, "a centre at the edge leaves half"


def test_the_same_generator_gives_the_same_batch() -> None:
    how = Augmentation(True, 4, 6)
    assert torch.equal(augmented(batch(), how, seeded(5)), augmented(batch(), how, seeded(5)))
    assert not torch.equal(augmented(batch(), how, seeded(5)), augmented(batch(), how, seeded(6)))
