"""pix2pix (Isola et al., CVPR 2017) in TensorFlow and Keras 3: pairs go in, a translator comes out.

Names are imported when first used, so that `import tfpix2pix` and the command line's help are fast.
"""

import sys
from typing import TYPE_CHECKING

from tfpix2pix._version import __version__
from tfpix2pix.moved import finder
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.tables import lazy_attributes

_NAMES = {
    "Config": "tfpix2pix.config",
    "ModelCard": "tfpix2pix.config.card",
    "Objective": "tfpix2pix.losses.objective",
    "Pix2Pix": "tfpix2pix.training.pix2pix",
    "StyledPix2Pix": "tfpix2pix.training.styled",
    "Request": "tfpix2pix.evaluation.request",
    "Translator": "tfpix2pix.inference.translator",
    "UserError": "tfpix2pix.errors",
    "build_global": "tfpix2pix.models.resnet",
    "build_local_enhancer": "tfpix2pix.models.enhancer",
    "build_patchgan": "tfpix2pix.models.patchgan",
    "build_style_encoder": "tfpix2pix.models.encoder",
    "build_resnet": "tfpix2pix.models.resnet",
    "build_unet": "tfpix2pix.models.unet",
    "distill": "tfpix2pix.runs.distill",
    "diversity": "tfpix2pix.metrics.images",
    "evaluate": "tfpix2pix.evaluation.evaluate",
    "export_run": "tfpix2pix.runs.export",
    "import_weights": "tfpix2pix.runs.import_weights",
    "load": "tfpix2pix.runs.load",
    "resolve_config": "tfpix2pix.config.resolve",
    "train": "tfpix2pix.runs.train",
    "translate_files": "tfpix2pix.inference.files",
}
_WITHOUT_TENSORFLOW = ("Config", "ModelCard", "Request", "UserError", "resolve_config")
__all__ = ["__version__", *sorted(_NAMES)]
_lazy = lazy_attributes(__name__, _NAMES)
sys.meta_path.append(finder)


def __getattr__(name: str) -> object:
    if name in _NAMES and name not in _WITHOUT_TENSORFLOW:
        load_tensorflow()  # without its start-up messages, which look like errors
    return _lazy(name)


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from tfpix2pix.config import Config
    from tfpix2pix.config.card import ModelCard
    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.errors import UserError
    from tfpix2pix.evaluation.evaluate import evaluate
    from tfpix2pix.evaluation.request import Request
    from tfpix2pix.inference.files import translate_files
    from tfpix2pix.inference.translator import Translator
    from tfpix2pix.losses.objective import Objective
    from tfpix2pix.metrics.images import diversity
    from tfpix2pix.models.encoder import build_style_encoder
    from tfpix2pix.models.enhancer import build_local_enhancer
    from tfpix2pix.models.patchgan import build_patchgan
    from tfpix2pix.models.resnet import build_global, build_resnet
    from tfpix2pix.models.unet import build_unet
    from tfpix2pix.runs.distill import distill
    from tfpix2pix.runs.export import export_run
    from tfpix2pix.runs.import_weights import import_weights
    from tfpix2pix.runs.load import load
    from tfpix2pix.runs.train import train
    from tfpix2pix.training.pix2pix import Pix2Pix
    from tfpix2pix.training.styled import StyledPix2Pix
