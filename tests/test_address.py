"""The repository's address: one setting in pyproject.toml, and files that say the same, with an address and without."""

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import address as addresses  # noqa: E402

HERE = "https://github.com/someone/tfpix2pix"  # stands for the address that the project will have
COLAB = "https://colab.research.google.com/github/someone/tfpix2pix/blob/main/notebooks/train_in_colab.ipynb"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
UNSET = '# Repository = "https://github.com/OWNER/tfpix2pix"'


def with_setting(address: str, root: Path) -> None:
    """Gives pyproject.toml in `root` an address; "": none."""
    file = root / "pyproject.toml"
    text = re.sub(r'^(# )?Repository = ".*"$', UNSET, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert text.count(UNSET) == 1
    file.write_text(text.replace(UNSET, f'Repository = "{address}"') if address else text, encoding="utf-8")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the files that show an address, without one."""
    for path in (ROOT / "pyproject.toml", *addresses.files()):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    with_setting("", tmp_path)
    addresses.apply(tmp_path)
    return tmp_path


def markdown(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def test_all_files_agree_with_pyproject():
    for path, text in addresses.written().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make address`"


def test_pip_knows_the_setting():
    tomllib = pytest.importorskip("tomllib", reason="of Python 3.11 and newer")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"].get("Repository", "") == addresses.setting()


def test_a_change_of_the_setting_alone_makes_every_file_disagree(checkout):
    with_setting(HERE, checkout)
    for path, text in addresses.written(checkout).items():
        assert path.read_text(encoding="utf-8") != text, path
        assert HERE in text, path


def test_the_script_writes_the_address_everywhere_and_takes_it_out_again(checkout):
    before = {path: path.read_bytes() for path in addresses.files(checkout)}
    assert not any(b"someone/" in content for content in before.values())
    with_setting(HERE, checkout)
    assert addresses.apply(checkout) == list(before)
    assert addresses.apply(checkout) == []
    assert f"repo_url: {HERE}\n" in (checkout / "mkdocs.yml").read_text()
    assert f"repository-code: {HERE}\n" in (checkout / "CITATION.cff").read_text()
    assert f"({COLAB})" in (checkout / "README.md").read_text() and (ROOT / addresses.BADGE).is_file()
    assert "(https://someone.github.io/tfpix2pix/try.html)" in (checkout / "README.md").read_text()
    for path in (checkout / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert COLAB.replace("train_in_colab", path.stem) in "".join(cells[0]["source"])
        assert f'ADDRESS = "{HERE}"  # @param' in "".join(next(c for c in cells if c["cell_type"] == "code")["source"])
    with_setting("https://example.org/other/tfpix2pix", checkout)
    addresses.apply(checkout)
    assert not any("someone/" in path.read_text() or "colab.research" in path.read_text() for path in before)
    with_setting("", checkout)
    addresses.apply(checkout)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_name_pages_that_are_there(path, checkout):
    """No link is relative, because it would lead nowhere in Colab. Without an address pages are named as text."""
    copy = checkout / "notebooks" / path.name
    assert f"](https://{'github'}" not in markdown(copy)
    names = re.findall(addresses.PAGE, markdown(copy))
    assert names
    for name in names:
        file, _, anchor = name.partition("#")
        text = (ROOT / file).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        slugs = [re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings]
        assert not anchor or anchor in slugs, name
    with_setting(HERE, checkout)
    addresses.apply(checkout)
    links = re.findall(r"\]\(([^)]+)\)", markdown(copy))
    assert {f"{HERE}/blob/main/{name}" for name in names} <= set(links)
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.parametrize(
    "wrong", ["github.com/a/b", "https://github.com/a/b/", "https://github.com/a/b.git", "https://x", ""]
)
def test_what_cannot_be_an_address_is_refused(wrong, checkout):
    (checkout / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{wrong}"\n')
    with pytest.raises(ValueError, match=r"must be an https address .* Received '.*'. Write it like https://"):
        addresses.written(checkout)


def test_the_site_asks_the_repositorys_host_for_nothing():
    """The theme's link to the repository would load stars and forks from there."""
    pytest.importorskip("mkdocs", reason="needs tfpix2pix[docs]")
    import material

    part = Path(material.__path__[0], "templates", "partials", "source.html").read_text(encoding="utf-8")
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "site" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    assert hooks.ASKS_HOST in part
    assert "data-md-component" not in hooks.on_post_page(part) and 'class="md-source"' in hooks.on_post_page(part)
