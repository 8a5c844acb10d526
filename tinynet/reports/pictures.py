"""Pictures of a network: the classes over the plane of two features, and the weights of the first layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.datasets import Dataset
from tinynet.network import TwoLayerNet
from tinynet.reports.html import Html, figure, grid, image, paragraph, png, section
from tinynet.reports.palette import N_COLOURS, REGIONS
from tinynet.reports.svg import SHAPES, Series, axis_of, chart, key

Array = npt.NDArray[Any]

MAX_UNITS = 60  # drawn as images
MAX_DOTS = 400
SIDE = 240  # pixels of a decision boundary
REGION, EDGE = 70, (90, 100, 112, 255)  # how much of a region's colour is seen, of 255; the line between regions


def regions(net: TwoLayerNet, x: tuple[float, float], y: tuple[float, float], scaling: Any = None) -> Array:
    """Return the classes that `net` predicts between two values of either feature, as RGBA pixels, the top row first.

    Regions that have a border in common differ in colour, however many classes there are; `scaling` is applied to
    the features before the network sees them.
    """
    plane = np.stack(np.meshgrid(np.linspace(*x, SIDE), np.linspace(*y, SIDE)[::-1]), axis=-1).reshape(-1, 2)
    classes = net.predict(plane if scaling is None else scaling.transform(plane)).reshape(SIDE, SIDE)
    pixels = np.full((SIDE, SIDE, 4), REGION, dtype=np.uint8)
    pixels[..., :3] = _region_colours(classes, net.shapes["b2"][0])[classes]
    edge = np.zeros_like(classes, dtype=bool)
    edge[:-1] |= classes[:-1] != classes[1:]
    edge[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    pixels[edge] = EDGE
    return pixels


def _region_colours(classes: Array, n_classes: int) -> Array:
    """Return a colour for each class: its own up to twelve classes, beyond them one that no neighbour has."""
    colours = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in REGIONS])
    number = np.arange(n_classes) % N_COLOURS
    if n_classes > N_COLOURS:
        pairs = np.concatenate(
            [
                np.stack([classes[:-1], classes[1:]], -1).reshape(-1, 2),
                np.stack([classes[:, :-1], classes[:, 1:]], -1).reshape(-1, 2),
            ]
        )
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        for k in range(n_classes):
            near = {int(number[i + j - k]) for i, j in pairs if k in (i, j) and i + j - k < k}
            number[k] = next((c for c in np.roll(np.arange(N_COLOURS), -int(number[k])) if c not in near), number[k])
    return np.asarray(colours[number])


def boundary_section(net: TwoLayerNet, data: Dataset) -> Html:
    """Draw the predicted class over the plane of the two features, in their own units, and samples on top."""
    X, labels, part = data.X_test, data.y_test, "test"
    if not len(X):
        X, labels, part = data.X_train, data.y_train, "training"
    raw = X * data.scaling.scale + data.scaling.offset
    axes = [axis_of(name, [column]) for name, column in zip(data.feature_names, raw.T, strict=True)]
    pixels = regions(net, (axes[0].low, axes[0].high), (axes[1].low, axes[1].high), data.scaling)
    shown, series, entries = np.arange(len(X))[:: math.ceil(len(X) / MAX_DOTS)], [], []
    for k, name in enumerate(data.class_names):
        own = raw[shown][labels[shown] == k]
        style, shape = f"dot edged r{k % N_COLOURS}", k % len(SHAPES)
        series.append(Series(name, own[:, 0], own[:, 1], style, shape=shape))
        entries.append((f"class {name}", style, shape))
    words = f"The plane of {data.feature_names[0]} and {data.feature_names[1]}, coloured by predicted class."
    drawing = chart("Decision boundary", words, series, axes[0], axes[1], png(pixels))
    which = "The" if len(shown) == len(X) else f"{len(shown)} of the"
    caption = f"{which} {len(X):,} {part} samples over the predicted classes"
    return section("Decision boundary", grid("charts", [figure(drawing, caption, key(entries))]))


def first_layer_section(net: TwoLayerNet, shape: tuple[int, int]) -> Html:
    """Draw the weights of each hidden unit as an image, the units with the largest weights to the classes first."""
    W1, strength = net.params["W1"], np.linalg.norm(net.params["W2"], axis=1)
    units = np.argsort(-strength, kind="stable")[:MAX_UNITS]
    pictures = []
    for unit in units:
        weights = W1[:, unit].reshape(shape)
        uri = png(weights / (np.abs(weights).max() or 1.0), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
        words = f"hidden unit {unit}: weights up to {np.abs(weights).max():.3g}, to the classes {strength[unit]:.3g}"
        pictures.append(Html(image(uri, words).replace("<img", f'<img title="{words}"', 1)))
    drawn = "all" if len(units) == W1.shape[1] else f"the {len(units)} strongest of"
    words = (
        f"The weights from the image to {drawn} {W1.shape[1]} hidden units, red above 0 and blue below, each unit on "
        "its own scale; first come the units with the largest weights to the classes."
    )
    return section("First layer", paragraph(words, "note"), grid("units", pictures))
