"""SavedModels opened with care: a graph of TensorFlow can read and write files, so a stranger's is looked at first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry

from tfpix2pix.errors import UserError
from tfpix2pix.foreign import read_regular_file

GRAPH, FINGERPRINT = "saved_model.pb", "fingerprint.pb"
DATA = ("variables", "assets")  # folders that hold files alone

# What networks compute with: arithmetic, images, variables, loops and calls. No operation of the list reads or writes
# a file, opens a connection, or runs Python or native code from the model.
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
)  # of TensorFlow's own 1,462


SAVER = frozenset({"DisableCopyOnRead", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
ADVICE = "Add --trust if you trust whoever made it (docs/security.md)."


def load_saved_model(path: Path, *, trust: bool = False, advice: str = ADVICE) -> Any:
    """Loads a SavedModel folder for calling its signatures.

    Unless `trust` is set, its graph must hold operations of `ALLOWED` alone. `advice` ends the message of one that
    holds others.

    Raises:
        UserError: it is no SavedModel, is damaged, or has operations beyond those.
    """
    if (path / FINGERPRINT).exists():  # TensorFlow prints a traceback if it is damaged
        _parsed(path, FINGERPRINT, FingerprintDef())
    if not trust:
        _check(_parsed(path, GRAPH, SavedModel()), path, advice)
    for file in (file for folder in DATA for file in (path / folder).glob("*")):
        if not file.is_file():  # TensorFlow waits for a pipe, and reads a device for ever
            raise _damaged(path)
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # protobuf, the checkpoint reader and the loader have errors of their own
        raise _damaged(path) from error


def _parsed(path: Path, name: str, message: Any) -> Any:
    try:
        message.ParseFromString(read_regular_file(path / name))
    except Exception as error:  # protobuf's DecodeError, wherever its version keeps it
        raise _damaged(path) from error
    return message


def _damaged(path: Path) -> UserError:
    there = (path / GRAPH).exists()
    state = "cannot be read: it is damaged" if there else f"has no {GRAPH}" if path.exists() else "does not exist"
    return UserError(f"A SavedModel must be a whole folder with {GRAPH} in it. Received {path}, which {state}. "
                     f"Fetch or export it again.")  # fmt: skip


def _check(saved: SavedModel, path: Path, advice: str) -> None:
    if not saved.meta_graphs:
        raise _damaged(path)
    beyond = sorted({operation for graph in saved.meta_graphs for operation in operations(graph)} - ALLOWED)
    swaps = any(_may_swap_functions(graph) for graph in saved.meta_graphs)
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):  # as TensorFlow decides
        what = "one of TensorFlow 1 or of several graphs, whose start-up code runs when it is loaded"
    elif swaps:
        what = "one whose functions can take each other's place"
    elif beyond:
        more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
        what = f"one with {', '.join(beyond[:3])}{more}"
    else:
        return
    raise UserError(
        f"A SavedModel must hold nothing but the operations of networks, because others can read and write files. "
        f"Received {what}, in {path}. {advice}"
    )


def operations(graph: Any) -> Iterator[str]:
    """Yields the names of all operations of a MetaGraphDef, but for those of `SAVER` in the functions by which
    TensorFlow would save the model anew.

    Every SavedModel has these functions. They are reached from the nodes that its `saver_def` names, which loading does
    not import. The file's author chooses those nodes, so no other operation is left out there.
    """
    functions = {each.signature.name: each for each in graph.graph_def.library.function}
    saver = {
        name.partition(":")[0]
        for name in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name)
    }  # fmt: skip
    nodes = [node for node in graph.graph_def.node if node.name not in saver]
    of_saver = _reached([node for node in graph.graph_def.node if node.name in saver], functions)
    objects = graph.object_graph_def
    entered = {*objects.concrete_functions, *(set(functions) - of_saver)}
    for each in objects.nodes:
        entered |= {*each.function.concrete_functions, each.bare_concrete_function.concrete_function_name}
    gradients = {each.function_name: each.gradient_func for each in graph.graph_def.library.gradient}
    entered |= {gradients[name] for name in entered & set(gradients)}
    run = entered | _reached(nodes, functions)
    run |= _reached([node for name in run if name in functions for node in functions[name].node_def], functions)
    for body in (nodes, *(functions[name].node_def for name in run if name in functions)):
        yield from (node.op for node in body if node.op not in functions)
    for name in of_saver - run:
        yield from (node.op for node in functions[name].node_def if node.op not in SAVER and node.op not in functions)


def _may_swap_functions(graph: Any) -> bool:
    """Tells whether a function's name does not say what is run: two have it, it is an operation's name, or TensorFlow
    may put one function in another's place (`api_implements`)."""
    library = graph.graph_def.library.function
    names = [each.signature.name for each in library]
    return (
        len(set(names)) < len(names)
        or any(op_def_registry.get(name) is not None for name in names)
        or any("api_implements" in each.attr for each in library)
    )


def _reached(nodes: Iterable[Any], functions: dict[str, Any]) -> set[str]:
    """Names of the functions that nodes call, and those that these call."""
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
        yield from (each.name for each in value.list.func)
