"""The documents as a site: it builds without a warning, everything is in it, and what pages show works as shown."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from html import unescape
from html.parser import HTMLParser
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
import yaml
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import write_image
from tfpix2pix.cli import app
from tfpix2pix.config.resolve import describe_keys, resolve_config
from tfpix2pix.data.formats import encode

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FAQ = (DOCS / "faq.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def strict_site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


class Elements(HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def pages_of(strict_site: Path) -> list[Path]:
    return sorted(path for path in strict_site.rglob("*.html") if "source" not in path.relative_to(strict_site).parts)


def test_every_page_of_docs_is_in_the_nav(strict_site):
    nav = {
        attributes["href"]
        for tag, attributes in Elements(strict_site / "index.html").tags
        if tag == "a" and "md-nav__link" in attributes.get("class", "")
    }
    for page in DOCS.rglob("*.md"):
        assert page.relative_to(DOCS).with_suffix(".html").as_posix() in nav, page
    assert {"changelog.html", "export/index.html", "export/serving/index.html", "export/on_device/index.html"} <= nav


def test_pages_load_nothing_from_other_hosts(strict_site):
    loaded = {
        attributes[key]
        for page in pages_of(strict_site)
        for tag, attributes in Elements(page).tags
        for key in ("src", "href")
        if key in attributes and (key == "src" or tag == "link")
    }
    assert "assets/images/favicon.png" in loaded
    assert not [url for url in loaded if re.match(r"(https?:)?//", url)]
    styles = [path.read_text(encoding="utf-8") for path in strict_site.rglob("*.css")]
    assert not re.findall(r"(?:@import|url\()\s*['\"]?https?:", "".join(styles))


def test_links_between_files_lead_somewhere(strict_site):
    for page in pages_of(strict_site):
        for tag, attributes in Elements(page).tags:
            url = attributes.get("href") or attributes.get("src") or ""
            if tag in ("a", "img") and url and not re.match(r"[a-z]+:|#", url) and page.name != "404.html":
                assert (page.parent / url.partition("#")[0]).exists(), f"{page.name}: {url}"


def test_tables_are_tables(strict_site):
    for page in pages_of(strict_site):
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"\| ?:?--", text), page.name
        assert not re.search(r"<p>[^<]*\n- ", text), f"{page.name}: a list without a blank line before it"


def test_formulas_are_formulas(strict_site):
    formulas = 0
    for page in pages_of(strict_site):
        text = page.read_text(encoding="utf-8")
        formulas += text.count("<math ")
        assert "<merror" not in text
        prose = re.sub(r"<(pre|code|math)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert not re.search(r"\\(mathcal|frac|log|lambda|mathbb)\b", prose), page.name
    assert formulas > 10 or not (DOCS / "notebooks").is_dir()


def commands() -> dict:
    """Every command of the program by its whole name."""

    commands, waiting = {}, [("tfpix2pix", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        inner = getattr(command, "commands", {})
        waiting += [(f"{name} {subcommand}", inner[subcommand]) for subcommand in inner]
        commands.update({} if inner else {name: command})
    return commands


def text_of(page: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_command_is_in_the_command_reference_with_its_example(strict_site):
    ids = {attributes.get("id") for _, attributes in Elements(strict_site / "commands.html").tags}
    text = text_of(strict_site / "commands.html")
    for name, command in commands().items():
        assert name.replace(" ", "-") in ids
        assert command.epilog.removeprefix("Example: ") in text
        for option in command.params:
            assert max(option.opts, key=len) in text or option.param_type_name == "argument"


def test_every_public_name_and_table_is_in_the_python_reference(strict_site):
    ids = {attributes.get("id") for _, attributes in Elements(strict_site / "reference.html").tags}
    assert {f"tfpix2pix.{name}" for name in p2p.__all__} <= ids
    assert "tfpix2pix.Translator.__call__" in ids
    assert set(TABLES) <= ids


def rows_of(page: str) -> list[str]:
    """The names in the rows of a page's tables, in their order."""
    return re.findall(r"^\| `([\w. ]+)` \|", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_table_of_commands_has_every_command_once():
    assert sorted(rows_of("commands.md")) == sorted(commands())


def test_the_tables_of_names_have_every_public_name_once():
    """The other rows are of modules: sections of the configuration, and tables."""
    names = rows_of("reference.md")
    assert sorted(name for name in names if "." not in name) == sorted(p2p.__all__)
    assert {f"tfpix2pix.{name}" for name in names} >= set(TABLES)


def test_every_name_of_the_tables_is_described_on_the_site():
    """On GitHub, which shows no comments, the tables are all of the page: no directive stands outside a comment."""
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    described = re.findall(r"^<!-- ::: tfpix2pix\.([\w.]+)", page, re.MULTILINE)
    assert described == rows_of("reference.md")
    assert page.count(":::") == len(described)


# What extending.md shows, in use. Its tables, by the name in the reference:

TABLES = (
    "tfpix2pix.data.SOURCES", "tfpix2pix.data.OPERATORS", "tfpix2pix.data.COLOR_SPACES", "tfpix2pix.data.doctor.CHECKS",
    "tfpix2pix.models.GENERATORS", "tfpix2pix.models.DISCRIMINATORS", "tfpix2pix.losses.GAN_LOSSES",
    "tfpix2pix.losses.TERMS", "tfpix2pix.training.SCHEDULES", "tfpix2pix.training.STRATEGIES",
    "tfpix2pix.training.TRACKERS",
    "tfpix2pix.training.health.DETECTORS", "tfpix2pix.metrics.METRICS", "tfpix2pix.export.EXPORTERS",
    "tfpix2pix.interop.IMPORTERS", "tfpix2pix.inference.remote.TRANSPORTS",
)  # fmt: skip
EXTENDING = (DOCS / "extending.md").read_text(encoding="utf-8").replace(" \\\n", "").split("\n## ")
BLOCKS = {
    section.partition("\n")[0]: re.findall(r"```python[^\n]*\n(.*?)```", section, re.DOTALL) for section in EXTENDING
}


def settings_of(*titles: str) -> list[str]:
    """The `--set`s of the lines under the blocks."""
    sections = [section for section in EXTENDING if section.partition("\n")[0] in titles]
    assert len(sections) == len(titles)
    lines = [line for section in sections for line in re.findall(r"^python mine.py.*$", section, re.MULTILINE)]
    words = [word for line in lines for word in shlex.split(line)]
    return [value for flag, value in pairwise(words) if flag == "--set"]


def run(*arguments: object) -> None:
    assert not app([str(argument) for argument in arguments], standalone_mode=False)


def train(out: Path, *settings: str, data: Path | None = None) -> None:
    changes = [word for setting in settings for word in ("--set", setting)]
    run("train", "smoke", "--run", out, *(("--data", data) if data else ()), *changes)


@pytest.fixture(scope="module")
def rows():
    """All blocks of extending.md, run as they stand; their names by section. The tables are as before afterwards."""
    places = {name: name.rpartition(".") for name in TABLES}
    tables = {name: getattr(import_module(module), table) for name, (module, _, table) in places.items()}
    before = {name: dict(table) for name, table in tables.items()}
    names = {}
    for title, blocks in BLOCKS.items():
        for block in blocks:
            names[title] = {"__name__": "mine"}
            exec(block, names[title])
    added = {name: tables[name].keys() - before[name].keys() for name in tables}
    yield SimpleNamespace(names=names, added=added)
    for name, table in tables.items():
        table.clear()
        table.update(before[name])


@pytest.fixture(scope="module")
def trained(rows, tmp_path_factory) -> Path:
    """A run of a few steps in which most of the rows are in use at once, started from the command line."""
    path = tmp_path_factory.mktemp("extended") / "run"
    settings = settings_of(
        "An operator", "A generator", "A discriminator", "A GAN loss", "A learning-rate schedule",
        "A distribution strategy", "A tracker", "A metric", "A term of the generator's objective",
    )  # fmt: skip
    train(path, *settings, "data.source=sample_photographs", "training.log_every_steps=1")
    return path


def test_every_table_has_a_block(rows):
    assert all(rows.added[name] for name in TABLES), rows.added


def test_rows_are_used_by_a_run(trained, rows):
    config = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))
    used = {
        "data.operator": "jpeg", "generator.kind": "dilated", "discriminator.kind": "whole_image",
        "discriminator.scales": 2,
        "objective.gan_loss": "wasserstein", "training.learning_rate_schedule": "warm_cosine",
        "training.strategy": "cpu", "training.best_by": "gmsd",
    }  # fmt: skip
    for key, name in used.items():
        section, _, key = key.partition(".")
        assert config[section][key] == name
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8")
    assert '"g/charbonnier"' in lines
    assert config["objective"]["weights"] == {"gan": 1, "l1": 0, "charbonnier": 100}
    assert config["training"]["trackers"] == ["print"]
    assert yaml.safe_load((trained / "trackers.json").read_text(encoding="utf-8")) == {"print": "run"}
    assert '"val/gmsd"' in lines
    card = yaml.safe_load((trained / "model_card.json").read_text(encoding="utf-8"))
    assert card["step"] == 4
    assert list((trained / "checkpoints").glob("best-*"))


def test_a_row_that_is_not_there_is_named_beside_those_that_are(rows):
    with pytest.raises(p2p.UserError, match="hinge.*wasserstein"):
        resolve_config("smoke", ["objective.gan_loss=wasserstien"])
    meanings = {key: meaning for key, _, meaning in describe_keys()}
    assert "warm_cosine" in meanings["training.learning_rate_schedule"]  # as `presets --keys` says it


def test_export_format(trained, rows, tmp_path):
    run("export", trained, "--format", "safetensors", "--out", tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    exported = p2p.load(tmp_path / "run.safetensors")
    assert np.array_equal(exported(image), p2p.load(trained)(image))


def test_metric_is_measured_by_evaluate(trained, rows, tmp_path):
    evaluation = p2p.evaluate(
        p2p.Request(trained), out=tmp_path / "out", metrics=("l1", "gmsd"), replicates=10, shown=1
    )
    assert 0 < evaluation.figures["gmsd"] < 1
    perfect = np.zeros((8, 8, 3), np.float32)
    assert rows.names["A metric"]["GMSD"].of(SimpleNamespace(translation=perfect, target=perfect)) == 0


def test_source_and_colour_space_and_transport(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with zipfile.ZipFile("pairs.zip", "w") as archive:
        for index in range(4):
            target = rng.integers(0, 256, (40, 40, 3), np.uint8)
            gray = np.asarray(Image.fromarray(target).convert("L"))[..., np.newaxis]
            archive.writestr(f"input/{index}.png", encode(gray, ".png"))
            archive.writestr(f"target/{index}.png", encode(target, ".png"))
    settings = ("training.steps=2", "training.validation_images=0", "generator.noise=none", "generator.levels=3")
    train(Path("run"), *settings_of("A data source", "A colour space"), *settings, data=Path("pairs.zip"))
    run("export", "run", "--format", "saved_model")
    from tfpix2pix.inference.remote.client import RemoteModel

    with RemoteModel("localhost:8501", "run", transport="folder") as model:
        served = model.translate(gray)
    local = p2p.load("run")(gray)
    assert local.shape == (40, 40, 3)  # an RGB image, whatever the network gives
    assert np.abs(served.astype(int) - local).max() <= 1
    luma = local.astype(float) @ (0.299, 0.587, 0.114)
    assert np.median(np.abs(luma - gray[..., 0])) < 2  # the input's own, but where colours are clipped


def test_colour_space_is_its_own_inverse(rows):
    names = rows.names["A colour space"]
    rgb = np.random.default_rng(0).uniform(-1, 1, (1, 5, 5, 3)).astype(np.float32)
    luma = (rgb @ np.float32((0.299, 0.587, 0.114)))[..., np.newaxis]
    assert np.abs(names["chroma_to_rgb"](luma, names["rgb_to_chroma"](rgb)) - rgb).max() < 1e-5


def test_importer(rows, tmp_path):
    from tfpix2pix.runs.networks import build_generator

    config = resolve_config("smoke")
    generator = build_generator(config, seed=3, noise_input=False)
    np.savez(tmp_path / "weights.npz", **{variable.path: variable.numpy() for variable in generator.variables})
    run("import", tmp_path / "weights.npz", "--out", tmp_path / "imported")
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 1)).astype(np.float32)
    translation = p2p.load(tmp_path / "imported")(image)
    assert np.abs(translation - generator(image, training=False)).max() < 1e-5


def test_check_of_the_data(rows, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for index in range(3):
        pair = rng.integers(0, 256, (64, 128, 3), np.uint8)
        if index == 1:
            pair[:, 64:] //= 20
        write_image(tmp_path / "nights" / "train" / f"{index}.png", pair)
    assert app(["data", "check", str(tmp_path / "nights")], standalone_mode=False) == 3
    assert "nearly black" in capsys.readouterr().out


def test_detector(rows):
    from tfpix2pix.training.health import Monitor

    monitor = Monitor()
    findings = [monitor.update({"step": step, "val/l1": l1}) for step, l1 in enumerate((0.5, 0.4, 0.6, 0.6, 0.6))]
    assert [finding.name for finding in findings[-1]] == ["worse_than_untrained"]
    assert not any(findings[:-1])


# What the questions name.


def test_files_that_pages_name_are_there():
    """A path is that from the repository or, as in docs/decisions.md, that within the package."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    named = {path for page in pages for path in re.findall(r"`([\w/]+/\w+\.py)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).is_file() and not (ROOT / "tfpix2pix" / path).is_file()] == []


def test_commands_of_the_faq_and_of_deployment_parse():
    code = FAQ + (DOCS / "deployment.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?:^|`)(tfpix2pix [^`\n]+)", code, re.MULTILINE)
    assert len(shown) > 20
    known = commands()
    for line in shown:
        words = shlex.split(line.partition(" > ")[0], comments=True)
        name = " ".join(words[: 3 if " ".join(words[:3]) in known else 2])
        known[name].make_context(name, words[len(name.split()) :])  # raises where an option or a value does not fit


def test_settings_of_the_faq_are_settings():
    keys = {key for key, _, _ in describe_keys()}
    settings = re.findall(r"(?:`|--set )((?:data|generator|discriminator|objective|training|inference)\.[^`\s]+)", FAQ)
    assert len(settings) > 30
    for setting in settings:
        key, equals, _ = setting.partition("=")
        assert key in keys, key
        if equals:
            together = {"training.micro_batches": ["training.batch_size=4"]}.get(key, [])
            resolve_config("facades", [*together, setting])


def test_answers_are_short_and_say_what_does_it():
    answers = re.findall(r"### (.+?)\n\n(.+?)(?=\n\n##|\s*\Z)", FAQ, re.DOTALL)
    assert len(answers) > 25
    for question, answer in answers:
        assert len(answer) < 900 and "\n" not in answer, question
        assert "`" in answer, question
