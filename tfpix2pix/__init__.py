"""pix2pix (Isola et al., CVPR 2017) in TensorFlow and Keras 3: pairs go in, a translator comes out.

Names are imported when first used, so that `import tfpix2pix` and the command line's help wait for nothing.
"""

from typing import TYPE_CHECKING

from tfpix2pix._version import __version__
from tfpix2pix.lazy import lazy_attributes
from tfpix2pix.quiet import load_tensorflow

_NAMES = {
    "Config": "tfpix2pix.config",
    "ModelCard": "tfpix2pix.card",
    "Objective": "tfpix2pix.losses.objective",
    "Pix2Pix": "tfpix2pix.training.pix2pix",
    "Request": "tfpix2pix.examples.request",
    "Translator": "tfpix2pix.inference",
    "UserError": "tfpix2pix.errors",
    "build_patchgan": "tfpix2pix.models.patchgan",
    "build_resnet": "tfpix2pix.models.resnet",
    "build_unet": "tfpix2pix.models.unet",
    "diversity": "tfpix2pix.evaluation.images",
    "evaluate": "tfpix2pix.evaluating",
    "export_run": "tfpix2pix.exporting",
    "import_weights": "tfpix2pix.importing",
    "load": "tfpix2pix.artefacts",
    "resolve_config": "tfpix2pix.resolve",
    "train": "tfpix2pix.experiment",
    "translate_files": "tfpix2pix.translate",
}
_WITHOUT_TENSORFLOW = ("Config", "ModelCard", "Request", "UserError", "resolve_config")
__all__ = ["__version__", *sorted(_NAMES)]
_lazy = lazy_attributes(__name__, _NAMES)


def __getattr__(name: str) -> object:
    if name in _NAMES and name not in _WITHOUT_TENSORFLOW:
        load_tensorflow()  # without its notes: they look like errors, and tell a user nothing
    return _lazy(name)


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from tfpix2pix.artefacts import load
    from tfpix2pix.card import ModelCard
    from tfpix2pix.config import Config
    from tfpix2pix.errors import UserError
    from tfpix2pix.evaluating import evaluate
    from tfpix2pix.evaluation.images import diversity
    from tfpix2pix.examples.request import Request
    from tfpix2pix.experiment import train
    from tfpix2pix.exporting import export_run
    from tfpix2pix.importing import import_weights
    from tfpix2pix.inference import Translator
    from tfpix2pix.losses.objective import Objective
    from tfpix2pix.models.patchgan import build_patchgan
    from tfpix2pix.models.resnet import build_resnet
    from tfpix2pix.models.unet import build_unet
    from tfpix2pix.resolve import resolve_config
    from tfpix2pix.training.pix2pix import Pix2Pix
    from tfpix2pix.translate import translate_files
