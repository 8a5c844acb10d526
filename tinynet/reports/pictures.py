"""Pictures of a network: the classes over the plane of two features, and the weights of the first layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.datasets import Dataset
from tinynet.network import TwoLayerNet
from tinynet.reports.html import Html, grid, image, paragraph, png, section
from tinynet.reports.palette import N_COLOURS, REGIONS
from tinynet.reports.svg import SHAPES, Series, axis_of, chart

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
    n_classes = net.shapes["b2"][0]
    edge, near = np.zeros((SIDE, SIDE), dtype=bool), np.zeros((n_classes, n_classes), dtype=bool)
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        edge[here] |= classes[here] != classes[there]
        near[classes[here], classes[there]] = near[classes[there], classes[here]] = True
    colour = np.arange(n_classes) % N_COLOURS
    for k in range(N_COLOURS, n_classes):  # a colour that no neighbour before it has, its own if that is free
        free = [c for c in np.roll(np.arange(N_COLOURS), -colour[k]) if c not in colour[:k][near[k, :k]]]
        colour[k] = free[0] if free else colour[k]
    pixels = np.full((SIDE, SIDE, 4), REGION, dtype=np.uint8)
    pixels[..., :3] = np.array([[*bytes.fromhex(one[1:])] for one in REGIONS])[colour[classes]]
    pixels[edge] = EDGE
    return pixels


def boundary_section(net: TwoLayerNet, data: Dataset) -> Html:
    """Draw the predicted class over the plane of the two features, in their own units, and samples on top."""
    part, X, labels = "test", data.X_test, data.y_test
    if not len(X):
        part, X, labels = "training", data.X_train, data.y_train
    raw = X * data.scaling.scale + data.scaling.offset
    x, y = (axis_of(name, [column]) for name, column in zip(data.feature_names, raw.T, strict=True))
    every = math.ceil(len(X) / MAX_DOTS)
    shown, own = raw[::every], labels[::every]
    series = []
    for k, name in enumerate(data.class_names):
        dots, style = shown[own == k], f"dot edged r{k % N_COLOURS}"
        series.append(Series(name, dots[:, 0], dots[:, 1], style, shape=k % len(SHAPES), key=f"class {name}"))
    words = f"The plane of {x.label} and {y.label}, coloured by predicted class."
    which = "The" if every == 1 else f"{len(shown)} of the"
    caption = f"{which} {len(X):,} {part} samples over the predicted classes"
    plane = png(regions(net, (x.low, x.high), (y.low, y.high), data.scaling))
    drawing = chart("Decision boundary", words, series, x, y, caption=caption, background=plane)
    return section("Decision boundary", grid("charts", [drawing]))


def first_layer_section(net: TwoLayerNet, shape: tuple[int, int]) -> Html:
    """Draw the weights of each hidden unit as an image, the units with the largest weights to the classes first."""
    W1, strength = net.params["W1"], np.linalg.norm(net.params["W2"], axis=1)
    units = np.argsort(-strength, kind="stable")[:MAX_UNITS]
    pictures = []
    for unit in units:
        weights, largest = W1[:, unit].reshape(shape), np.abs(W1[:, unit]).max()
        uri = png(weights / (largest or 1.0), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
        words = f"hidden unit {unit}: weights up to {largest:.3g}, to the classes {strength[unit]:.3g}"
        pictures.append(image(uri, words))
    drawn = "all" if len(units) == W1.shape[1] else f"the {len(units)} strongest of"
    words = (
        f"The weights from the image to {drawn} {W1.shape[1]} hidden units, red above 0 and blue below, each unit on "
        "its own scale; first come the units with the largest weights to the classes."
    )
    return section("First layer", paragraph(words, "note"), grid("units", pictures))
