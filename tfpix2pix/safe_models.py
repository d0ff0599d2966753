"""Opens models of unknown origin safely: checks SavedModels and Keras files before TensorFlow or Keras reads them.

A graph of TensorFlow can read and write files, and a Keras file can name code. Operations and classes that are not
known to be harmless are refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import tensorflow as tf
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry

from tfpix2pix.errors import UserError, listed
from tfpix2pix.files import plain_path
from tfpix2pix.safe_files import parse_json, read_member, read_regular_file

GRAPH, FINGERPRINT = "saved_model.pb", "fingerprint.pb"
DATA = ("variables", "assets")  # folders with nothing but regular files

# The operations that networks compute with: arithmetic, images, variables, loops and calls. None of them reads or
# writes a file, opens a connection, or runs Python or native code from the model.
CALLS = """
    Assert Case CheckNumerics Const EnsureShape Enter Exit FakeParam Identity IdentityN If LoopCond Merge
    NextIteration NoOp PartitionedCall Placeholder PlaceholderWithDefault PreventGradient StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile StopGradient Switch While
"""
VARIABLES = """
    AssignAddVariableOp AssignSubVariableOp AssignVariableOp DestroyResourceOp HashTableV2 LookupTableFindV2
    LookupTableImportV2 LookupTableSizeV2 ReadVariableOp ResourceGather ResourceGatherNd ResourceScatterAdd
    ResourceScatterUpdate VarHandleOp VarIsInitializedOp VariableShape
"""
LISTS = """
    EmptyTensorList TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGradV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
    TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListScatterIntoExistingList
    TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
"""
ARITHMETIC = """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan Atan2
    Atanh BatchMatMul BatchMatMulV2 BatchMatMulV3 BesselI0e BesselI1e Betainc Bincount BitwiseAnd BitwiseOr
    BitwiseXor Bucketize Cast Ceil Cholesky ClipByValue Complex ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum
    CumulativeLogsumexp DenseBincount Diag DiagPart Digamma Div DivNoNan Einsum Elu Equal Erf Erfc Erfinv
    EuclideanNorm Exp Expm1 FFT FFT2D FFT3D Floor FloorDiv FloorMod Greater GreaterEqual HistogramFixedWidth IFFT
    IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Igamma Igammac Imag InTopKV2 Inv Invert IsFinite IsInf IsNan L2Loss
    LeakyRelu LeftShift Less LessEqual Lgamma LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul
    MatrixBandPart MatrixDeterminant MatrixDiagPartV3 MatrixDiagV3 MatrixInverse MatrixSetDiagV3 MatrixSolve
    MatrixTriangularSolve Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NotEqual NthElement Polygamma
    PopulationCount Pow Prod Qr RFFT RFFT2D RFFT3D Range Real RealDiv Reciprocal Relu Relu6 RightShift Rint Round
    Rsqrt SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select SelectV2 SelfAdjointEigV2 Selu Sigmoid
    Sign Sin Sinh Softmax Softplus Softsign SparseMatMul SparseTensorDenseMatMul Sqrt Square SquaredDifference Sub
    Sum Svd Tan Tanh TopK TopKV2 TruncateDiv TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum Xdivy Xlog1py Xlogy Zeta
"""
ARRAYS = """
    BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset ConcatV2
    DataFormatDimMap DataFormatVecPermute DepthToSpace DynamicPartition DynamicStitch ExpandDims ExtractImagePatches
    ExtractVolumePatches Fill Gather GatherNd GatherV2 InvertPermutation ListDiff LowerBound MirrorPad OneHot
    OnesLike Pack Pad PadV2 ParallelDynamicStitch Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd
    Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND SpaceToDepth SparseToDense Split SplitV Squeeze StridedSlice
    TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate
    Tile Transpose Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where
    ZerosLike
"""
NETWORKS = """
    AvgPool AvgPool3D BiasAdd BlockLSTM BlockLSTMV2 Conv Conv2D Conv2DBackpropFilter Conv2DBackpropInput Conv3D
    Conv3DBackpropInputV2 DepthwiseConv2dNative Dequantize Dilation2D FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel FractionalAvgPool FractionalMaxPool FusedBatchNorm
    FusedBatchNormV2 FusedBatchNormV3 LRN LSTMBlockCell MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax
    QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2
"""
IMAGES = """
    AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize DecodeAndCropJpeg
    DecodeBase64 DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng DecodeRaw DecodeWebP DrawBoundingBoxesV2
    EncodeBase64 EncodeJpeg EncodeJpegVariableQuality EncodePng ExtractGlimpseV2 ExtractJpegShape HSVToRGB
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppressionV2 NonMaxSuppressionV3
    NonMaxSuppressionV4 NonMaxSuppressionV5 RGBToHSV ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ScaleAndTranslate
"""
TEXT = """
    AsString ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin
    StringLength StringLower StringSplitV2 StringStrip StringToHashBucketFast StringToNumber StringUpper Substr
"""
RANDOM = """
    Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip RngSkip
    StatefulStandardNormalV2 StatefulUniform StatefulUniformInt StatelessMultinomial StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomUniform StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
    StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal
    StatelessTruncatedNormalV2 TruncatedNormal
"""
ALLOWED = frozenset(
    "".join((CALLS, VARIABLES, LISTS, ARITHMETIC, ARRAYS, NETWORKS, IMAGES, TEXT, RANDOM)).split()
)  # TensorFlow has 1,462


SAVER = frozenset({"DisableCopyOnRead", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
ADVICE = "Add `trust` if you trust its author (docs/security.md)."


def load_saved_model(path: Path, *, trust: bool = False, advice: str = ADVICE) -> Any:
    """Loads a SavedModel folder. Its signatures can then be called.

    Unless `trust` is set, all operations of its graph must be in `ALLOWED`. `advice` ends the error text if one is not.

    Raises:
        UserError: it is not a SavedModel, is damaged, or has other operations.
    """
    if (path / FINGERPRINT).exists():  # TensorFlow prints a traceback if it is damaged
        _parsed(path, FINGERPRINT, FingerprintDef())
    if not trust:
        _check(_parsed(path, GRAPH, SavedModel()), path, advice)
    for file in (file for folder in DATA for file in (path / folder).glob("*")):
        if not file.is_file():  # TensorFlow would wait for a pipe, and read a device for ever
            raise _damaged(path)
    try:
        with plain_path(path) as plain:
            return tf.saved_model.load(plain)
    except Exception as error:  # protobuf, the checkpoint reader and the loader raise different errors
        raise _damaged(path) from error


def _parsed(path: Path, name: str, message: Any) -> Any:
    try:
        message.ParseFromString(read_regular_file(path / name))
    except Exception as error:  # protobuf's DecodeError, whose module depends on the version
        raise _damaged(path) from error
    return message


def _damaged(path: Path) -> UserError:
    present = (path / GRAPH).exists()
    state = "cannot be read: it is damaged" if present else f"has no {GRAPH}" if path.exists() else "does not exist"
    return UserError(f"A SavedModel must be a whole folder with {GRAPH} in it. Received {path}, which {state}. "
                     f"Download or export it again.")  # fmt: skip


def _check(saved: SavedModel, path: Path, advice: str) -> None:
    if not saved.meta_graphs:
        raise _damaged(path)
    beyond = sorted({operation for graph in saved.meta_graphs for operation in operations(graph)} - ALLOWED)
    swaps = any(_may_swap_functions(graph) for graph in saved.meta_graphs)
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):  # as TensorFlow decides
        received = "one of TensorFlow 1 or of several graphs, with start-up code that runs when it is loaded"
    elif swaps:
        received = "one with functions that can replace each other"
    elif beyond:
        received = f"one with {listed(beyond, most=3)}"
    else:
        return
    raise UserError(
        f"A SavedModel must hold nothing but the operations of networks, because others can read and write files. "
        f"Received {received}, in {path}. {advice}"
    )


def operations(graph: Any) -> Iterator[str]:
    """Yields the names of all operations of a MetaGraphDef, except those of `SAVER` in the functions by which
    TensorFlow would save the model again.

    Every SavedModel has these functions. They are reached from the nodes that its `saver_def` names, which loading does
    not import. The file's author chooses those nodes, so no other operation is left out there.
    """
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    saver = {
        name.partition(":")[0]
        for name in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name)
    }  # fmt: skip
    nodes = [node for node in graph.graph_def.node if node.name not in saver]
    of_saver = _reached([node for node in graph.graph_def.node if node.name in saver], functions)
    objects = graph.object_graph_def
    entered = {*objects.concrete_functions, *(set(functions) - of_saver)}
    for node in objects.nodes:
        entered |= {*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name}
    gradients = {entry.function_name: entry.gradient_func for entry in graph.graph_def.library.gradient}
    entered |= {gradients[name] for name in entered & set(gradients)}
    run = entered | _reached(nodes, functions)
    run |= _reached([node for name in run if name in functions for node in functions[name].node_def], functions)
    for body in (nodes, *(functions[name].node_def for name in run if name in functions)):
        yield from (node.op for node in body if node.op not in functions)
    for name in of_saver - run:
        yield from (node.op for node in functions[name].node_def if node.op not in SAVER and node.op not in functions)


def _may_swap_functions(graph: Any) -> bool:
    """Returns True if a function's name does not tell what is run: two functions share it, it is an operation's name,
    or TensorFlow may replace one function by another (`api_implements`)."""
    library = graph.graph_def.library.function
    names = [function.signature.name for function in library]
    return (
        len(set(names)) < len(names)
        or any(op_def_registry.get(name) is not None for name in names)
        or any("api_implements" in function.attr for function in library)
    )


def _reached(nodes: Iterable[Any], functions: dict[str, Any]) -> set[str]:
    """Returns the names of all functions that the nodes call, directly or through other functions."""
    reached: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for name in _called(waiting.pop()):
            if name in functions and name not in reached:
                reached.add(name)
                waiting.extend(functions[name].node_def)
    return reached


def _called(node: Any) -> Iterator[str]:
    yield node.op  # a function may stand as an operation
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


# The classes and functions that a model's configuration may name. A file with others is not opened. They are listed by
# name, because Keras finds classes and functions by module and name.
MODELS = "Functional Sequential Model"
LAYERS = """
    Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D
    BatchNormalization CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose Cropping1D
    Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Flatten GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU
    MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum Multiply PReLU Permute ReLU RepeatVector Rescaling
    Reshape Resizing SeparableConv1D SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization Subtract UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
"""
PARTS = """
    Constant DTypePolicy GlorotNormal GlorotUniform HeNormal HeUniform L1 L1L2 L2 LecunNormal LecunUniform MaxNorm
    MinMaxNorm NonNeg Ones Orthogonal Policy RandomNormal RandomUniform TruncatedNormal UnitNorm VarianceScaling Zeros
    __ellipsis__ __keras_tensor__ __slice__
"""
OPERATIONS = ("keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.image")  # modules of classes that compute
ACTIVATIONS = """
    elu exponential gelu hard_sigmoid leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu softmax softplus
    softsign swish tanh
"""
CLASSES, FUNCTIONS = frozenset((MODELS + LAYERS + PARTS).split()), frozenset(ACTIVATIONS.split())
CORE, COMPUTES = "keras.src.ops.core", ("Cast", "Slice", "StopGradient")  # the others of this module call functions
MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
MOST_EXPANSION = 100  # bytes in memory for each byte of the file: weights hardly compress
SPARED_BYTES = 2**20  # parts up to this size may expand by any factor


PIX2PIX = "tfpix2pix>Pix2Pix"  # Keras's name of training/pix2pix.py's class


class UnsafeLayer(ValueError):
    """Reports a layer that does more than compute."""


def load_keras_file(
    path: Path, *, custom_objects: Mapping[str, Any] | None = None, beside: Sequence[str] = (), trust: bool = False
) -> keras.Model:
    """Loads the model of a `.keras` file without compiling it.

    Args:
        custom_objects: classes by their names in the file.
        beside: files that the archive may hold beside Keras's own.
        trust: load layers that run code of the file or read other files.

    Raises:
        UnsafeLayer: it has such layers and `trust` is not set.
        UserError: it holds a whole Pix2Pix.
        ValueError, KeyError, OSError, …: it is damaged. Keras and h5py raise errors of many types.
    """
    check_not_in_training(path)
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if not trust and (strange := sorted(name for name in names - {*MEMBERS, *beside} if not name.endswith("/"))):
            raise UnsafeLayer(f"it has the file {strange[0]!r}, which no network needs")
        for member in archive.infolist():
            check_expansion(member.filename, member.file_size, member.compress_size)
        if not trust:
            check_layers(parse_json(read_member(archive, "config.json")), custom_objects or {})
        for name in (name for name in archive.namelist() if name.endswith(".h5")):
            with archive.open(name) as file:
                check_hdf5(file)
    return keras.models.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=not trust)


def check_not_in_training(path: Path) -> None:
    """Raises UserError if a `.keras` file holds a whole Pix2Pix, as `Pix2Pix.save` and `ModelCheckpoint` write it."""
    try:
        with zipfile.ZipFile(path) as archive:
            registered = parse_json(read_member(archive, "config.json")).get("registered_name")
    except Exception:  # not a file of Keras at all: the caller says so
        return
    if registered == PIX2PIX:
        raise UserError(
            f"A .keras file must hold a generator alone. Received {path}, a whole Pix2Pix with its optimisers. Open it "
            f"in Python: `from tfpix2pix import Pix2Pix`, then `keras.saving.load_model`."
        )


def check_hdf5(file: Any) -> None:
    """Raises ValueError if an HDF5 file (path or open file) refers to data in other files, or claims more than it
    holds."""
    with h5py.File(file) as content:
        waiting, seen = [content["/"]], set()
        while waiting:
            group = waiting.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ValueError(f"its part {name!r} lies elsewhere")
                part = group[name]
                address = h5py.h5o.get_info(part.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(part, h5py.Group):
                    waiting.append(part)
                elif isinstance(part, h5py.Dataset):
                    if part.external or part.is_virtual:
                        raise ValueError(f"its part {name!r} lies elsewhere")
                    check_expansion(name, part.nbytes, part.id.get_storage_size())


def check_expansion(name: str, in_memory_bytes: int, stored_bytes: int) -> None:
    """Raises ValueError if a part of a file would unpack to far more bytes than are stored."""
    if in_memory_bytes > SPARED_BYTES + MOST_EXPANSION * stored_bytes:
        raise ValueError(f"its part {name!r} claims {in_memory_bytes / 1e6:.0f} MB and holds {stored_bytes} bytes")


def check_layers(configuration: Any, custom_objects: Mapping[str, Any]) -> None:
    """Raises UnsafeLayer if a model's configuration names a class or function that is neither in `custom_objects` nor
    one of Keras's that only compute."""
    for part in _objects(configuration):
        name, module = part["class_name"], part.get("module")
        if name == "function":
            known = part.get("config") in FUNCTIONS and module in (None, "builtins", "keras.activations")
        else:
            of_keras = module is None or module == "keras" or str(module).startswith("keras.")
            operation = (module in OPERATIONS and re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)) or (
                module == CORE and name in COMPUTES
            )
            known = name in custom_objects or (of_keras and (name in CLASSES or operation))
        if not known:
            received = (
                f"the function {part.get('config')!r}" if name == "function" else f"{name} of {module or 'keras'}"
            )
            raise UnsafeLayer(f"it has {received}, which is not among the layers that are opened")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the parts of a Keras configuration that name a class."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            if isinstance(part.get("class_name"), str):
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
