"""LiteRT.js: from a folder or once from a registry, as it was published; and the mistakes of `export --format web`."""

import base64
import gzip
import re
import shutil
from pathlib import Path

import pytest

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tests.export.web.pages import made, served
from tfpix2pix.cli.export import notes_on_page
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.export import Options, web
from tfpix2pix.export.web import runtime
from tfpix2pix.export.web.page import joined
from tfpix2pix.files import CACHE_VARIABLE
from tfpix2pix.pages import asset, page_tag
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.planned_export import planned_card

FETCHED = runtime.cached_folder


@pytest.fixture
def npm_less(tmp_path, monkeypatch):
    """An empty cache, and no settings of npm. Gives the folder that a registry at `registry` serves."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "cached_folder", FETCHED)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "registry" / "@litertjs" / "core" / "-"
    folder.mkdir(parents=True)
    return folder


def test_it_is_fetched_once_and_again_if_it_is_damaged(litert, npm_less, tmp_path, monkeypatch):
    archive = npm_less / f"core-{runtime.VERSION}.tgz"
    shutil.copy(next(litert.parent.glob("*.tgz")), archive)
    with served(tmp_path / "registry") as address:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        assert "loadLiteRt" in runtime.obtain().core
        folder = FETCHED()
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == runtime.FILES.keys()
        (folder / runtime.CORE).write_text("other")
        assert "loadLiteRt" in runtime.obtain().core
        archive.unlink()
        assert "loadLiteRt" in runtime.obtain().core  # without the registry
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_another_archive_is_refused_and_removed(npm_less, tmp_path, monkeypatch):
    (npm_less / f"core-{runtime.VERSION}.tgz").write_bytes(b"another")
    with served(tmp_path / "registry") as address:
        monkeypatch.setenv("npm_config_registry", address)
        with pytest.raises(UserError, match=r"must have the SHA-512 PlGmb.*Received another from .*name a folder of"):
            runtime.obtain()
    assert list(FETCHED().parent.iterdir()) == []


def test_a_registry_that_is_not_there_is_an_error(npm_less, tmp_path, monkeypatch):
    with served(tmp_path / "registry") as address:
        monkeypatch.setenv("npm_config_registry", f"{address}missing/")
        with pytest.raises(UserError, match=r"404.*name a folder of @litertjs/core 2.5.3, unpacked, by `runtime`"):
            runtime.obtain()
    monkeypatch.setenv("npm_config_registry", address)
    with pytest.raises(RunError, match=r"must arrive whole.*then Connection refused\..*by `runtime`"):
        runtime.obtain(attempts=1)


def test_the_registry_is_npms(npm_less, tmp_path, monkeypatch):
    assert runtime.registry() == "https://registry.npmjs.org"
    (tmp_path / "npmrc").write_text("fund=false\nregistry = https://mirror.example/npm/\n")
    assert runtime.registry() == "https://mirror.example/npm"
    (tmp_path / ".npmrc").write_text("@litertjs:registry=https://scope.example\nregistry=https://here.example\n")
    assert runtime.registry() == "https://scope.example"
    monkeypatch.setenv("npm_config_registry", "https://first.example/")
    assert runtime.registry() == "https://first.example"


def test_a_folder_must_hold_the_package_as_it_was_published(litert, tmp_path):
    assert runtime.obtain(litert).binaries.keys() == runtime.BUILDS.keys()
    with pytest.raises(UserError, match=r"Received .*, in which dist/index.js cannot be read: No such file"):
        runtime.obtain(tmp_path)
    shutil.copytree(litert, tmp_path / "package")
    damaged = tmp_path / "package" / "wasm" / "litert_wasm_internal.wasm"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"in which wasm/litert_wasm_internal.wasm has another SHA-512: it is damaged"):
        runtime.obtain(tmp_path / "package")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "tflite", "--single-file"), "--single-file must go with --format web. Received --format tflite"),
        (
            ("--format", "tflite", "--runtime", "x"),
            "must go with the format web or html. Received it for tflite",
        ),
        (
            ("--format", "web", "--runtime", "missing"),
            "must be the unpacked npm package @litertjs/core 2.5.3",
        ),
        (("--format", "web", "--size", "32", "--size", "64"), "--size must be given once for --format web"),
        (("--format", "web", "--io", "uint8"), "of web must be one of: float32"),
        (("--format", "web", "--quantize", "bfloat16"), "of web must be one of: none, float16, dynamic, int8"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(options, message, smoke_run, tmp_path):
    code, _, err = run_cli("export", smoke_run.path, "--out", tmp_path / "out", *options)
    assert code == 2 and message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "format", "asked", "has_noise"),
    [
        ({}, "html", None, False), ({}, "web", None, False), ({}, "html", "on", True), ({}, "tflite", None, False),
        ({"generator": {"noise": "gaussian"}}, "html", None, False),
        ({"generator": {"noise": "modulation"}}, "html", None, True),
        ({"generator": {"noise": "modulation"}}, "html", "off", False),
        ({"generator": {"noise": "modulation"}}, "tflite", None, False),
        ({"objective": {"weights": {"mode_seeking": 1}}}, "web", None, True),
        ({"inference": {"noise": "on"}}, "web", None, True), ({}, "saved_model", None, True),
    ],
)  # fmt: skip
def test_a_page_has_noise_if_the_model_was_made_for_variety(changes, format, asked, has_noise, tmp_path):
    config, directory = tiny_config(**changes), RunDirectory(tmp_path)
    directory.write_config(config)
    directory.write_card(ModelCard.of(config, 1, noise_size=8))
    assert bool(planned_card(directory, format, Options(noise=asked)).noise_size) == has_noise


@pytest.mark.parametrize("examples", [True, False])
def test_examples_are_held_out_inputs_unless_they_are_left_out(examples, litert, smoke_run, tmp_path):
    option = "--examples" if examples else "--no-examples"
    code, out, err = run_cli(
        "export", smoke_run.path, "--format", "web", "--single-file", "--out", tmp_path, option, "--runtime", litert
    )
    assert code == 0, err
    assert "The page has one answer to each drawing" in out and "--noise on adds other answers." in out
    text = (tmp_path / "smoke-32px.html").read_text(encoding="utf-8")
    assert "Another" not in text[: text.index("<script")]
    assert (text.count("<img ") > 3) == examples
    assert 'href="https://scikit-image.org' in text  # the data's attribution


@pytest.mark.parametrize(
    ("attribution", "examples", "words"),
    [(None, True, ["held-out inputs", "are not stated"]), (None, False, ["are not stated"]), ("Ann, CC BY", False, [])],
)
def test_it_is_said_what_a_page_shows_of_ones_own_data(attribution, examples, words, tmp_path):
    data = DataConfig(dir=str(tmp_path), attribution=attribution)
    notes = list(notes_on_page(data, None, examples=examples))
    assert len(notes) == len(words) and all(word in note for word, note in zip(words, notes, strict=True))
    assert not any("held-out" in note for note in notes_on_page(data, tmp_path / "gone", examples=True))


def test_a_folder_is_replaced_if_it_is_asked_for(litert, smoke_run, tmp_path):
    """Without folders in it, so that every file can take the place of the one before."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "CNAME").write_text("mine")
    with pytest.raises(UserError, match="must not overwrite another"):
        p2p.export_run(smoke_run.path, "web", tmp_path / "site")
    for _ in range(2):
        path = Path(p2p.export_run(smoke_run.path, "web", tmp_path / "site", overwrite=True).path)
    assert path == tmp_path / "site" and (path / "CNAME").read_text() == "mine"
    assert all(entry.is_file() for entry in path.iterdir())
    assert p2p.load(path).card.name == "smoke"


@pytest.mark.parametrize("damage", [lambda text: text.replace("packed-model", "packed"), lambda text: text[:-600_000]])
def test_a_damaged_page_is_refused(damage, litert, tmp_path):
    path = made(tmp_path)
    text = path.read_text(encoding="utf-8")
    start = text.index('id="packed-model">')
    path.write_text(damage(text[: start + 700_000]) + "</script>", encoding="utf-8")
    with pytest.raises(UserError, match="page.html, which is damaged|must be whole and hold model_card.json"):
        p2p.load(path)


def test_a_page_that_unpacks_to_too_much_is_refused(litert, tmp_path):
    path = made(tmp_path)
    bomb = base64.b64encode(gzip.compress(bytes(1 << 28))).decode()
    text = re.sub('id="packed-model">[^<]*', f'id="packed-model">{bomb}', path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"must hold its model whole. Received .*page.html, which is damaged"):
        p2p.load(path)


def test_the_licence_is_the_projects():
    root = Path(__file__).parents[3]
    assert asset(web.__name__, "LICENSE.txt") == (root / "LICENSE").read_text(encoding="utf-8")


def test_pages_are_recognised_by_the_tag_that_they_have():
    assert page_tag(web.KIND).encode() == web.TAG


def test_modules_are_joined_in_scopes_of_their_own():
    first = "const hidden = 1;\nexport const seen = hidden + 1;\nexport async function later() {}\n"
    second = 'import { seen } from "./first.js";\nconst hidden = seen;\nfunction of() { return hidden; }\n'
    second += "export { of };\n"
    last = 'import { of } from "../second.js";\nexport function all() { return of(); }\n'
    assert joined({"first": first, "second": second}, last) == (
        "const of_first = (() => {\nconst hidden = 1;\nconst seen = hidden + 1;\nasync function later() {}\n\n"
        "return { seen, later };\n})();\n"
        "const of_second = (() => {\nconst { seen } = of_first;\nconst hidden = seen;\n"
        "function of() { return hidden; }\n\n\nreturn { of };\n})();\n"
        "const { of } = of_second;\nexport function all() { return of(); }\n"
    )
