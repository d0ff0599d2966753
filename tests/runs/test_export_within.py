"""A size to keep: the most faithful file that keeps it, or the sentence that says which network would."""

import json

import pytest

from tests.conftest import run_cli
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.export import EXPORTERS
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.export_within import Choice, _none_meets, count_parameters, export_within, narrower
from tfpix2pix.runs.networks import build_generator


@pytest.fixture(scope="module")
def sizes(smoke_run):
    """MB of the weights of the smoke run in 32, 16 and 8 bits."""
    parameters = count_parameters(RunDirectory(smoke_run.path).config())
    return {bits: parameters * bits / 8e6 for bits in (32, 16, 8)}


@pytest.mark.parametrize(("bits", "quantization"), [(32, "none"), (16, "float16"), (8, "dynamic")])
def test_the_most_faithful_that_fits(smoke_run, tmp_path, sizes, bits, quantization):
    report, choices = export_within(smoke_run.path, "tflite", tmp_path, sizes[bits] + 0.2)
    assert report.quantization == quantization
    assert report.size_mb <= sizes[bits] + 0.2
    assert [choice.quantization for choice in choices if choice.meets] == [quantization]
    assert [file.name for file in tmp_path.iterdir()] == [report.path.rsplit("/", 1)[1]]


def test_one_that_turns_out_too_large_is_not_left(smoke_run, tmp_path, sizes, monkeypatch):
    """Its weights would fit; the graph beside them does not."""
    monkeypatch.setattr(
        "tfpix2pix.runs.export_within.expected_size_mb", lambda parameters, bits: parameters * bits / 8e6
    )
    with pytest.raises(UserError, match="must have at most"):
        export_within(smoke_run.path, "tflite", tmp_path, sizes[8] * 1.001)
    assert list(tmp_path.iterdir()) == []


def test_none_fits(smoke_run, tmp_path, sizes):
    with pytest.raises(UserError, match=r"at most 0.02 MB .*in MB: none about .*, int8 about 0.3. Raise `target"):
        export_within(smoke_run.path, "tflite", tmp_path, 0.02)
    assert list(tmp_path.iterdir()) == []


def test_a_narrower_network_that_would_fit_is_named():
    """The paper's generator in 8 MB."""
    config = resolve_config("facades", [])
    choices = [Choice(name, 54.4 * bits / 8, meets=False) for name, bits in (("none", 32), ("int8", 8))]
    message = _none_meets(config, "tflite", 8.0, choices)
    assert "Received, in MB: none about 217.6, int8 about 54.4" in message
    assert "`--set generator.base_filters=24` gives about 7.8 MB in int8. Its own `target_mb` finds" in message


@pytest.mark.parametrize(("format", "size_mb"), [("web", 19.4), ("html", 8.0)])
def test_a_page_without_a_model_that_is_too_large_is_named(format, size_mb):
    config = resolve_config("smoke", [])
    message = _none_meets(config, format, 2.0, [Choice("dynamic", size_mb + 1, meets=False)])
    assert message.endswith(f"Raise `target_mb`: the page has {size_mb} MB without any model.")


def test_the_narrower_network_has_the_size_it_is_said_to_have():
    config = resolve_config("facades", [])
    filters, size_mb = narrower(config, 8.0, 8)
    changed = resolve_config("facades", [f"generator.base_filters={filters}"])
    parameters = build_generator(changed, seed=None).count_params()
    assert parameters / 1e6 <= size_mb <= 8.0
    assert narrower(config, 0.001, 8) is None


def test_one_that_is_refused_makes_way_for_the_next(smoke_run, tmp_path, sizes, monkeypatch):
    import tfpix2pix.runs.export_within as budget

    export_run = budget.export_run

    def refuses_dynamic(*arguments, quantize, **options):
        if quantize == "dynamic":
            raise RunError("An export must agree with the trained generator within 35 dB.")
        return export_run(*arguments, quantize=quantize, **options)

    monkeypatch.setattr(budget, "export_run", refuses_dynamic)
    report, choices = export_within(smoke_run.path, "tflite", tmp_path, sizes[8] + 0.2)
    assert report.quantization == "int8"
    assert choices[-2].refused


def test_from_the_command_line(smoke_run, tmp_path, sizes):
    budget = f"{sizes[16] + 0.2:.3f}"
    code, out, err = run_cli(
        "export", smoke_run.path, "--format", "tflite", "--out", tmp_path, "--target-mb", budget, "--json"
    )
    assert code == 0, err
    answer = json.loads(out)
    assert answer["exports"][0]["quantization"] == "float16"
    assert [choice["quantization"] for choice in answer["budget"]] == ["none", "float16"]


def test_a_page_has_a_program_beside_its_model():
    """A budget is that of everything that a visitor loads."""
    config = resolve_config("facades", [])
    assert narrower(config, 19.5, 8, EXPORTERS["web"].size_mb) is None
    filters, size_mb = narrower(config, 24.0, 8, EXPORTERS["html"].size_mb)
    assert size_mb == pytest.approx(narrower(config, 12.0, 8)[1] * 4 / 3 + 8) and filters == 24
