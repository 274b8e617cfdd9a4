"""Accuracy on corrupted images: noise, blur, contrast, brightness, pixelation and JPEG.

After Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
perturbations (2019, arXiv:1903.12261), whose definitions and severities are used: those of
ImageNet-C, and for images of up to 64 pixels those of CIFAR-10-C. Their weather, motion, zoom and
elastic corruptions are not among them: they need photographs of frost, or other libraries.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import nn

from trainers.data.image_data import Images, Labels
from trainers.determinism import derive_seed
from trainers.evaluators.accuracy import check_labelled, predict
from trainers.evaluators.robustness import attacked_images

SEVERITIES = (1, 2, 3, 4, 5)
_SMALL = 64
"""Side in pixels up to which the severities of CIFAR-10-C are used."""
# A few dozen MB of float64 at 224 pixels.
_AT_ONCE = 32

Pixels = np.ndarray
"""float64 (N, C, H, W), in [0, 1]."""


def corrupted(images: Images, name: str, severity: int, *, seed: int) -> Images:
    """Corrupt images: the same in every process and for every network.

    >>> images = np.full((1, 1, 2, 2), 100, np.uint8)
    >>> corrupted(images, "brightness", 1, seed=0)[0, 0].tolist()  # CIFAR-10-C adds 0.05 x 255
    [[112, 112], [112, 112]]

    Args:
        images: uint8 (N, C, H, W), with one or three channels.
        name: A name of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Decides the noise, with the name and the severity.

    Raises:
        ValueError: The name is unknown, or the severity is not one of five.
    """
    if name not in CORRUPTIONS or severity not in SEVERITIES:
        raise ValueError(
            f"a corruption is one of {', '.join(CORRUPTIONS)} with a severity of 1 to 5; got "
            f"{name!r} and {severity!r}."
        )
    is_small = max(images.shape[2:]) <= _SMALL
    strength = (_SMALL_STRENGTHS if is_small else _STRENGTHS)[name][severity - 1]
    rng = np.random.default_rng(derive_seed(seed, name, severity))
    found = np.empty_like(images)
    for first in range(0, len(images), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        changed = CORRUPTIONS[name](images[part] / 255.0, strength, rng)
        # Cut and not rounded, as those who defined them do.
        found[part] = (changed.clip(0, 1) * 255).astype(np.uint8)
    return found


def corruption_accuracy(
    network: nn.Module,
    images: Images,
    labels: Labels,
    *,
    samples: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> float:
    """Compute the mean accuracy over all corruptions and severities, in [0, 1].

    Args:
        network: As for `trainers.evaluators.accuracy.predict`.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        samples: The largest number of images; each is corrupted in every way.
        seed: Decides the noise. The images are those that attacks get.
        device: Where to compute.

    Raises:
        ValueError: There are no images, or the number of labels differs.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> images, labels = np.zeros((3, 1, 8, 8), np.uint8), np.zeros(3, np.int64)
    >>> 0 <= corruption_accuracy(network, images, labels, samples=2, seed=0) <= 1
    True
    """
    check_labelled(images, labels)
    chosen = attacked_images(labels, samples)
    shown, wanted = images[chosen], labels[chosen]
    right = [
        (predict(network, corrupted(shown, name, each, seed=seed), device=device) == wanted).mean()
        for name in CORRUPTIONS
        for each in SEVERITIES
    ]
    return float(np.mean(right))


def _gaussian_noise(x: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return x + rng.normal(size=x.shape, scale=strength)


def _shot_noise(x: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    return np.asarray(rng.poisson(x * strength) / strength)


def _impulse_noise(x: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Replace a share of all values by 0 or 1, as often the one as the other."""
    salt = rng.random(x.shape) < 0.5
    return np.where(rng.random(x.shape) < strength, salt, x)


def _gaussian_blur(x: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    # Imported here: most trials corrupt nothing.
    from scipy import ndimage

    blurred: Pixels = ndimage.gaussian_filter(x, (0, 0, strength, strength), mode="nearest")
    return blurred


def _defocus_blur(x: Pixels, strength: tuple[float, float], _: np.random.Generator) -> Pixels:
    """Average over a disk of some radius, whose edge is smoothed."""
    from scipy import ndimage

    radius, alias = strength
    reach, size = (8, 3) if radius <= 8 else (int(radius), 5)
    across = np.arange(-reach, reach + 1)
    disk = (across[:, None] ** 2 + across**2 <= radius**2).astype(np.float64)
    disk /= disk.sum()
    offsets = np.arange(size) - size // 2
    smooth = np.exp(-(offsets**2) / (2 * alias**2))
    smooth /= smooth.sum()
    disk = ndimage.correlate(disk, np.outer(smooth, smooth), mode="mirror")
    blurred: Pixels = ndimage.correlate(x, disk[None, None], mode="mirror")
    return blurred


def _contrast(x: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    means = x.mean(axis=(2, 3), keepdims=True)
    return np.asarray((x - means) * strength + means)


def _brightness(x: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Add to the value of HSV, which scales a color so that its hue and saturation stay."""
    value = x.max(axis=1, keepdims=True)
    brighter = (value + strength).clip(0, 1)
    scaled: Pixels = x * brighter / np.where(value > 0, value, 1)
    return np.where(value > 0, scaled, brighter)


def _pixelate(x: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    def change(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        small = (max(1, int(width * strength)), max(1, int(height * strength)))
        box = Image.Resampling.BOX
        return picture.resize(small, box).resize((width, height), box)

    return _by_picture(x, change)


def _jpeg(x: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    def change(picture: Image.Image) -> Image.Image:
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=int(strength))
        return Image.open(written)

    return _by_picture(x, change)


def _by_picture(x: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    found = []
    for each in np.rint(x * 255).astype(np.uint8):
        is_grey = len(each) == 1
        picture = Image.fromarray(each[0] if is_grey else each.transpose(1, 2, 0))
        array = np.asarray(change(picture))
        found.append(array[None] if is_grey else array.transpose(2, 0, 1))
    # Half a step more, so that the integers survive being cut.
    return (np.stack(found) + 0.5) / 255


CORRUPTIONS: Mapping[str, Callable[..., Pixels]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "gaussian_blur": _gaussian_blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg,
}
"""The corruptions: each changes pixels, with the strength of one severity."""

# https://github.com/hendrycks/robustness: ImageNet-C/create_c/make_imagenet_c.py
_STRENGTHS: Mapping[str, tuple[object, ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "gaussian_blur": (1, 2, 3, 4, 6),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg_compression": (25, 18, 15, 10, 7),
}
# The same repository: ImageNet-C/create_c/make_cifar_c.py
_SMALL_STRENGTHS: Mapping[str, tuple[object, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": (80, 65, 58, 50, 40),
}
