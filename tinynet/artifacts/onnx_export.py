"""Export of a trained model to ONNX: raw rows in, labels and probabilities out, for use without tinynet."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import __version__
from tinynet.activations import NAMED, Activation, staircase
from tinynet.artifacts.model import Model, plain_model
from tinynet.data.datasets import Scaling
from tinynet.data.preparation import Preparation
from tinynet.data.tables import LARGEST
from tinynet.errors import ConfigError, InvalidTypeError, InvalidValueError, missing_extra
from tinynet.network import TwoLayerNet
from tinynet.storage.reading import FilePath
from tinynet.storage.writing import check_target, write_named

Array = npt.NDArray[Any]

TOLERANCE = 1e-6  # the largest difference of a probability between the file and the model
CHECKED_ROWS = 1000
MOST_BYTES = 2**31 - 2**20  # of weights: no protobuf message holds 2 GiB

SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")

GRAPH = """
<ir_version: 7, opset_import: ["": 13, "ai.onnx.ml": 2]>
tinynet (double[n_samples, {n_features}] X)
    => ({label_type}[n_samples] label, double[n_samples, {n_classes}] probabilities)
{{
    features = Identity(X)
    centred = Sub(features, offset)
    scaled = Div(centred, scale)
    hidden = MatMul(scaled, W1)
    a = Add(hidden, b1)
    {activation}
    output = MatMul(z, W2)
    logits = Add(output, b2)
    probabilities = Softmax<axis = -1>(logits)
    most_probable = ArgMax<axis = -1, keepdims = 0>(logits)
    label = Gather(class_names, most_probable)
}}
"""  # the oldest versions with float64 for all of it, so that old runtimes can read the file
ACTIVATIONS = {  # from a to z
    "tanh": "z = Tanh(a)",
    "sigmoid": "z = Sigmoid(a)",
    "relu": "z = Relu(a)",
    "silu": """one = Constant<value = double {1.0}>()
    minus_a = Neg(a)
    decay = Exp(minus_a)
    divisor = Add(one, decay)
    z = Div(a, divisor)""",  # onnxruntime 1.19 replaces a · Sigmoid(a) by an operator that has no float64
    "identity": "z = Identity(a)",
    "sign": "z = Sign(a)",
}
STAIRCASE = """one = Constant<value = double {{1.0}}>()
    minus_one = Constant<value = double {{-1.0}}>()
    half_steps = Constant<value = double {{{half_steps}}}>()
    step_height = Constant<value = double {{{step_height}}}>()
    clipped = Clip(a, minus_one, one)
    height = Add(clipped, one)
    climbed = Mul(height, half_steps)
    step = Round(climbed)
    stretched = Mul(step, step_height)
    z = Sub(stretched, one)"""


def export_onnx(model: Any, path: FilePath) -> float:
    """Write `model` as an ONNX file, once onnxruntime has found the same probabilities with it.

    Parameters
    ----------
    model : Model, TinyNetClassifier or Pipeline
        Of `load_model`, or one put together of a network, a scaling and names; a classifier that is fitted, by
        itself or behind one of scikit-learn's scalers, which goes into the file.
    path : path
        A new file, or an ONNX file to be replaced.

    Returns
    -------
    float
        The largest difference of a probability between onnxruntime and `model`, on 1,000 random rows.

    Raises
    ------
    ConfigError
        When onnx or onnxruntime is not installed.
    RunFolderError
        When `path` cannot be written, or holds something else than an ONNX file.
    InvalidValueError
        When the activation is not a named one, the weights take 2 GiB or more, or the difference is above 1e-6.
    InvalidTypeError
        When `model` is something else, or a pipeline of other steps.
    OSError
        When the disk is full; what was there stays.

    Notes
    -----
    The graph computes in float64 from end to end. Input "X": raw rows, shape (n_samples, n_columns). A model of a
    table with text has one input a column in its place, named as the column, shape (n_samples, 1): strings without
    blanks around them where it holds text, else float64. Outputs "label": strings, or int64 where the classes are
    called by whole numbers or have no names, shape (n_samples,), and "probabilities", shape (n_samples, n_classes).
    The metadata hold "class_names", "feature_names" and "columns" as JSON lists, and "activation". The graph refuses
    nothing: nan, or a mark of a gap in text, is filled where training filled gaps, else nan gives nan.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ConfigError([f"export: {missing_extra('onnx and onnxruntime', 'onnx')}"]) from error
    model = _model_of(model)
    target = Path(path)
    check_target(target, "an ONNX file", _is_onnx)
    content = _onnx_bytes(model)
    difference = _largest_difference(content, model)
    if not difference <= TOLERANCE:
        largest = max(np.abs(param).max() for param in model.net.params.values())
        raise InvalidValueError(
            f"onnxruntime finds other probabilities than tinynet, by up to {difference:g}; {TOLERANCE:g} is allowed; "
            f"the largest weight is {largest:g}, and with huge ones rounding decides"
        )
    write_named(target, content)
    return difference


def _model_of(fitted: Any) -> Model:
    """Return `fitted` if it is a model, or the model in a TinyNetClassifier or in a pipeline of a scaler and one."""
    if isinstance(fitted, Model):
        return fitted
    *before, classifier = [step for _, step in getattr(fitted, "steps", [("", fitted)])]
    net, kinds = getattr(classifier, "net_", None), [type(step).__name__ for step in before]
    takes = len(before) <= 1 and {*kinds} <= {*SCALERS} and not any(getattr(step, "clip", False) for step in before)
    if not isinstance(net, TwoLayerNet) or not takes:
        raise InvalidTypeError(
            "export takes a Model, or a fitted TinyNetClassifier, by itself or in a pipeline behind one of "
            f"{', '.join(SCALERS)} that does not clip, got {' and '.join([*kinds, type(classifier).__name__])}"
            + (", which is not fitted" if net is None and hasattr(classifier, "fit") else "")
        )
    model, classes = plain_model(net), classifier.classes_
    names = classes.tolist() if classes.dtype.kind in "iu" else map(str, classes.tolist())
    columns = getattr((before or [classifier])[0], "feature_names_in_", model.feature_names)
    scaling = model.scaling
    for scaler in before:
        scale = scaling.scale if scaler.scale_ is None else scaler.scale_
        offset = scaler.inverse_transform(np.zeros((1, len(scale))))[0]
        scaling = Scaling("stored", offset, 1 / scale if kinds == ["MinMaxScaler"] else scale)
    return Model(net, scaling, tuple(names), tuple(map(str, columns)))


def _onnx_bytes(model: Model) -> bytes:
    from onnx import TensorProto, helper, numpy_helper, parser

    net = model.net
    if 8 * net.n_parameters > MOST_BYTES:
        raise InvalidValueError(f"{net.n_parameters:,} parameters are too many: an ONNX file holds less than 2 GiB")
    (n_features, _), (n_classes,) = net.shapes["W1"], net.shapes["b2"]
    names: list[Any] = list(model.class_names or range(n_classes))
    numbered = all(isinstance(name, int) for name in names)
    sizes = {"n_features": n_features, "n_classes": n_classes, "label_type": "int64" if numbered else "string"}
    proto = parser.parse_model(GRAPH.format(activation=_operators(net.activation), **sizes))
    constants = net.params | {"offset": model.scaling.offset, "scale": model.scaling.scale}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    if model.preparation is not None:
        _put_preparation(proto.graph, model.preparation)
    kind, cells = (TensorProto.INT64, names) if numbered else (TensorProto.STRING, [name.encode() for name in names])
    proto.graph.initializer.append(helper.make_tensor("class_names", kind, [n_classes], cells))
    proto.producer_name, proto.producer_version = "tinynet", __version__
    lists = {"class_names": tuple(names), "feature_names": model.feature_names}
    if model.preparation is not None:
        lists |= {"columns": model.preparation.columns, "inputs": tuple(one.name for one in proto.graph.input)}
    metadata = {key: json.dumps(value, ensure_ascii=False) for key, value in lists.items()}
    helper.set_model_props(proto, metadata | {"activation": net.activation.name})
    return bytes(proto.SerializeToString())


def _put_preparation(graph: Any, preparation: Preparation) -> None:
    """Insert the operators that fill gaps and encode text before those of the network."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, features = [], []

    def constant(array: Array, name: str) -> str:
        graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def filled(values: str, fill: Array, name: str) -> str:
        gaps = node("IsNaN", [values], f"{name}/gaps")
        return node("Where", [gaps, constant(fill, f"{name}/fill"), values], f"{name}/filled")

    if not preparation.text:
        node("Identity", [filled("X", preparation.fills, "X")], "features")
    else:
        taken = {name for one in graph.node for name in (*one.input, *one.output)}
        graph.input.pop()
        column_axis = constant(np.array([1]), "features/axis")
        for column, fill, levels in zip(preparation.columns, preparation.fills, preparation.levels, strict=True):
            name = f"{column}_column" if column in taken else column
            kind = TensorProto.DOUBLE if levels is None else TensorProto.STRING
            graph.input.append(helper.make_tensor_value_info(name, kind, ["n_samples", 1]))
            if levels is None:
                features.append(filled(name, fill.reshape(1), name))
                continue
            keys = {level: place for place, level in enumerate(levels) if level is not None}
            if None in levels:
                keys |= dict.fromkeys(preparation.style.missing_marks, levels.index(None))
            numbered = {"keys_strings": list(keys), "values_int64s": list(keys.values()), "default_int64": len(levels)}
            code = node("LabelEncoder", [name], f"{name}/code", domain="ai.onnx.ml", **numbered)
            flat = node("Squeeze", [code, column_axis], f"{name}/flat")
            rows = constant(np.eye(len(levels) + 1, len(levels)), f"{name}/levels")  # all 0 for an unknown level
            features.append(node("Gather", [rows, flat], f"{name}/features"))
        node("Concat", features, "features", axis=1)
    nodes += graph.node[1:]
    del graph.node[:]
    graph.node.extend(nodes)


def _operators(activation: Activation) -> str:
    """Return the operators that lead from a to z."""
    function = activation.function
    if isinstance(function, partial) and function.func is staircase:
        steps = function.keywords["steps"]
        return STAIRCASE.format(half_steps=steps / 2, step_height=2 / steps)
    if activation.name in ACTIVATIONS and function in (NAMED[activation.name], getattr(np, activation.name, None)):
        return ACTIVATIONS[activation.name]
    raise InvalidValueError(
        f"activation {activation.name!r} is a function that tinynet has no ONNX operators for; "
        f"it has them for {', '.join(ACTIVATIONS)} and quantised:LEVELS"
    )


def _largest_difference(content: bytes, model: Model) -> float:
    """Return the largest difference of onnxruntime's probabilities to `model`'s, on random rows like its data."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    scaling, rng, preparation = model.scaling, np.random.default_rng(0), model.preparation
    X = rng.standard_normal((CHECKED_ROWS, len(scaling.scale))) * scaling.scale + scaling.offset
    X = X.clip(-LARGEST, LARGEST)
    if preparation is not None and not np.isnan(preparation.fills).any():
        X[rng.random(X.shape) < 0.1] = np.nan
    rows: Array = X
    given = {"X": X}
    if preparation is not None and preparation.text:
        columns = []
        for column, levels in zip(preparation.columns, preparation.levels, strict=True):
            if levels is None:
                columns.append(X[:, model.feature_names.index(column)].astype(object))
            else:
                gap = (*preparation.style.missing_marks, "")[0]
                words = [gap if level is None else level for level in levels]
                columns.append(rng.choice(np.array([*words, "a level unknown"], dtype=object), CHECKED_ROWS))
        rows = np.column_stack(columns)
        kinds = {"tensor(string)": object, "tensor(double)": np.float64}
        inputs = zip(session.get_inputs(), columns, strict=True)
        given = {one.name: column[:, None].astype(kinds[one.type]) for one, column in inputs}
    (probabilities,) = session.run(["probabilities"], given)
    return float(np.abs(probabilities - model.predict_proba(rows)).max())


def _is_onnx(path: Path) -> bool:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    if path.stat().st_size >= 2**31:  # protobuf's own limit
        return False
    model = ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        return False
    return len(model.graph.node) > 0
