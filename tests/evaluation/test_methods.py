"""The text for a methods section: what a run and its evaluation have recorded, and nothing else."""

import json
import re

import pytest

from tests.conftest import tiny_config
from tfpix2pix.config.card import DataPeriod, ModelCard, Origin
from tfpix2pix.evaluation import methods
from tfpix2pix.evaluation.folder import DataRecord, FigureRecord, ProtocolRecord, Record
from tfpix2pix.evaluation.methods import Facts, methods_text, sessions
from tfpix2pix.losses import GAN_LOSSES, TERMS
from tfpix2pix.metrics import METRICS
from tfpix2pix.models import GENERATORS
from tfpix2pix.references import REFERENCES, cited
from tfpix2pix.runs.directory import RunDirectory

CITATION = re.compile(r"[A-Z]\w+(?: et al\.| & [A-Z]\w+) \d{4}")
ENVIRONMENT = {
    "format_version": 1,
    "networks": {
        "generator": {"trainable_parameters": 54321, "levels": 3}, "discriminator": {"trainable_parameters": 987},
    },
    "periods": [
        {"from_step": 0, "versions": {"tfpix2pix": "0.1.0", "python": "3.11.7", "tensorflow": "2.20.0"},
         "system": "Linux 6 x86_64", "cpu": "A CPU", "gpus": [], "replicas": 1},
        {"from_step": 3, "versions": {"tfpix2pix": "0.1.1", "python": "3.12.1", "tensorflow": "2.21.0", "cuda": "12.5"},
         "system": "Linux 7 x86_64", "cpu": "A CPU", "gpus": ["NVIDIA A", "NVIDIA A"], "replicas": 2},
    ],
}  # fmt: skip
DATA = {
    "format_version": 1,
    "periods": [
        {"from_step": 0, "splits": {"train": {"a_1": "", "a_2": "", "b_1": ""}, "val": {"c_1": ""}},
         "division": {"rule": "folds", "seed": 9, "group": "*_", "folds": 5, "fold": 2},
         "groups": {"train": 2, "val": 1}},
    ],
}  # fmt: skip
LINES = [
    {"step": 1, "time_s": 10.0},
    {"step": 2, "time_s": 31.4},
    {"step": 2, "val/l1": 1},
    {"step": 3, "time_s": 70.2},
]


def card_of(attribution="Jane Doe, CC0.", **changes):
    config = tiny_config(
        data={"dir": "d", "image_size_px": [32, 64], "group": "*_", "target_channels": 1, "target_range": [-5, 2.5],
              "target_unit": "m/s", "out_of_range": "clip", "jitter_ratio": 1.25, "attribution": attribution},
        generator={"base_filters": 24, "max_filters_factor": 4},
        objective={"weights": {"l1": 30, "feature_matching": 7}, "gan_loss": "lsgan"},
        training={"batch_size": 6, "learning_rate": 0.0003, "discriminator_learning_rate": 0.0007,
                  "learning_rate_schedule": "cosine", "precision": "float32", "steps": 12},
        seed=41,
    )  # fmt: skip
    periods = (DataPeriod(from_step=0, pairs={"train": 3, "val": 1}, digest="x"),)
    return ModelCard.of(config, 11, **{"data_periods": periods, **changes})


def record_of(figures=None, **more):
    metric = FigureRecord(metric="ssim", value=0.5, low=0.4, high=0.6, better="higher")
    return Record(
        format_version=1, name="a", package_version="0.1.2", data=DataRecord(dir="d", split="val", images=17, of=19),
        protocol=ProtocolRecord(seed=3, size_px=[32, 64], fit="resize", replicates=1500, covered=0.95, noise="on",
                                statistics="moving", variants=4),
        **{"figures": {"ssim": metric} if figures is None else figures,
           "protocols": {"ssim": METRICS["ssim"].protocol}, **more},
    )  # fmt: skip


@pytest.fixture
def directory(tmp_path):
    for name, content in (("environment.json", ENVIRONMENT), ("data.json", DATA)):
        (tmp_path / name).write_text(json.dumps(content))
    return RunDirectory(tmp_path)


def text_of(directory, card=None, record=None, lines=LINES):
    return methods_text(record or record_of(), Facts.of_run(directory, card or card_of(), lines))


@pytest.mark.parametrize(
    "sentence",
    [
        "the U-Net of pix2pix (Isola et al. 2017), with 24 filters in its first layer, 96 at most, 3 levels and 54,321 "
        "trainable parameters.",
        "first layer and 987 trainable parameters. It sees the input beside the image.",
        "the adversarial term (weight 1), L1 (weight 30) and feature matching (Wang et al. 2018) (weight 7).",
        "The adversarial loss is least squares (Mao et al. 2017); the discriminator's is multiplied by 0.5.",
        "The data are pairs of images, 3 to train on and 1 held out (val). Their origin: Jane Doe, CC0.",
        "Groups of pairs (`*_`) were held out as fold 2 of 5, divided with seed 9: 2 groups to train on and 1 group "
        "held out (val). No group has pairs in two splits.",
        "resized to 32 × 64 px (height × width).",
        "pairs are enlarged by 1.25 and cropped at random",
        "and targets have 1 channel. Mapped to [−1, 1] are the target from −5 to 2.5 m/s. Values beyond are clipped.",
        "The weights are those of step 11 of 12, with a batch of 6 and seed 41.",
        "a learning rate of 0.0003 (0.0007 for the discriminator), β1 0.5 and β2 0.999; the schedule of the rate is "
        "`cosine`.",
        "The precision is float32. The training took 70 s by its log.",
        "From step 0 on, the training was computed on A CPU under Linux 6 x86_64, with tfpix2pix 0.1.0, TensorFlow "
        "2.20.0 and Python 3.11.7.",
        "From step 3 on, the training was computed on NVIDIA A and NVIDIA A (2 devices share a batch) under Linux 7 "
        "x86_64, with tfpix2pix 0.1.1, TensorFlow 2.21.0, Python 3.12.1 and CUDA 12.5.",
        "17 of 19 pairs of the split val were evaluated with tfpix2pix 0.1.2. Measured at 32x64 px (height x width), "
        "to which images of another size are resized.",
        "The metrics are ssim, as defined below.",
        "Translations are made with noise on and the statistics `moving`.",
        "Intervals cover 95 %: percentiles of 1,500 bootstrap replicates (Chamandy et al. 2012), which resample images "
        "(seed 3)",
        "- ssim: structural similarity (Wang et al. 2004)",
        "- P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros.",
    ],
)
def test_it_says_what_is_recorded(directory, sentence):
    assert sentence in text_of(directory)


def test_an_old_run_has_fewer_sentences_and_no_guesses(directory):
    whole = text_of(directory)
    directory.environment.unlink()
    directory.data_record.unlink()
    old = text_of(directory, card_of(data_periods=(), attribution=""), lines=[]).partition("## Metrics")[0]
    for fact in ("parameters", "pairs of images", "fold", "Groups of pairs", "computed on", "took", "origin"):
        assert fact in whole, fact
        assert fact not in old, fact
    assert "TensorFlow" not in old and "24 filters" in old


def test_a_damaged_record_counts_as_none(directory):
    directory.environment.write_text("{")
    directory.data_record.write_text("[]")
    text = text_of(directory)
    assert "computed on" not in text and "fold" not in text and "3 to train on" in text


def test_a_record_of_data_without_a_division_says_nothing_of_one(directory):
    period = {"from_step": 0, "splits": {"train": {"a_1": ""}, "val": {"a_2": ""}}}
    directory.data_record.write_text(json.dumps({"format_version": 1, "periods": [period]}))
    assert "held out by" not in text_of(directory) and "divide" not in text_of(directory)
    divided = {**period, "division": None, "groups": {"train": 1, "val": 1}}
    directory.data_record.write_text(json.dumps({"format_version": 1, "periods": [divided]}))
    text = text_of(directory)
    assert "Folders, a column of a table or the source itself divide the pairs." in text
    assert "The pairs are of groups (`*_`): 1 group to train on and 1 group held out (val)." in text
    assert "No group" not in text  # a is in both


def test_an_import_has_no_training(directory):
    origin = Origin(kind="pytorch", file="latest_net_G.pth")
    text = text_of(directory, card_of(origin=origin))
    assert "The weights were imported from latest_net_G.pth (pytorch)." in text
    assert "Adam" not in text and "minimises" not in text and "filters" not in text


def test_images_of_another_program_have_their_evaluation_alone():
    text = methods_text(record_of(), Facts())
    assert text.startswith("# Methods\n\n17 of 19 pairs of the split val were evaluated")
    assert "Isola" not in text and "Adam" not in text


def test_without_intervals_and_metrics_it_says_nothing_of_them():
    text = methods_text(record_of(figures={}, protocols={}), Facts())
    assert "Intervals" not in text and "The metrics" not in text and "## " not in text


def test_files_of_the_size_are_not_said_to_be_resized():
    at_size, others = [(32, 64), (32, 64)], [(32, 64), None]
    assert "32x64 px (height x width), the size of the files." in methods_text(record_of(), Facts(), None, at_size)
    for stored in (others, [(64, 64)], []):
        assert "to which images of another size are resized." in methods_text(record_of(), Facts(), None, stored)


def test_one_is_singular_and_weights_are_said():
    record = record_of()
    data = record.data.model_copy(update={"images": 1, "of": 1, "groups": 1})
    weighted = tiny_config(data={"source": "folders", "dir": "d", "weight": "mask"}).data
    text = methods_text(record.model_copy(update={"data": data}), Facts(), weighted)
    assert "1 of 1 pair of the split val, of 1 group, was evaluated with tfpix2pix 0.1.2." in text
    assert "The figures count pixels by their weights (`data.weight`)." in text
    assert "weights" not in methods_text(record, Facts(), weighted.model_copy(update={"weight": None}))


def test_a_training_without_a_discriminator_has_none(directory):
    config = tiny_config(objective={"name": "l1", "gan_loss": "none"})
    text = text_of(directory, ModelCard.of(config, 1))
    assert "discriminator" not in text and "The generator minimises the sum of L1 (weight 100)." in text


def test_the_time_of_each_session_counts_once():
    assert sessions(LINES) == (70.2,)
    assert sessions([*LINES, {"step": 4, "time_s": 5.0}, {"step": 5, "time_s": 9.5}]) == (70.2, 9.5)
    assert sessions([]) == ()


def test_every_citation_has_its_reference_and_every_reference_is_cited():
    texts = [row.protocol for row in METRICS.values()]
    texts += [row.title for table in (GENERATORS, TERMS, GAN_LOSSES) for row in table.values()]
    texts.append(open(methods.__file__, encoding="utf-8").read())
    keys = set(CITATION.findall(" ".join(texts)))
    assert keys == REFERENCES.keys()
    for key, publication in REFERENCES.items():
        assert publication.endswith(f"{key[-4:]}.") or key == "Chamandy et al. 2012"
        assert key.split(" ")[0].replace("Binkowski", "Bińkowski") in publication
    assert cited("as in Long et al. 2015.") == [REFERENCES["Long et al. 2015"]]
