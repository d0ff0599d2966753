"""Groups of pairs and folds of groups: nothing of a group is on two sides, and every group is held out once."""

import io
import json
import re
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli, write_image
from tests.data.doctor.helpers import combine, examined, make_set, scene, told
from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.division import Division
from tfpix2pix.data.doctor import as_table, examine, write_html
from tfpix2pix.data.groups import beginning, division_of, names_shown
from tfpix2pix.data.opening import open_sources, without_unreadable
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import names_of_split
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.resuming import DataRecord

NAMES = [f"patient-{patient:02}_slice-{index}" for patient in range(12) for index in range(1 + patient % 5)]
PATTERN = "patient-*_"


def divided(names, seed=0, **data):
    """(train, val) of names by the settings `data`."""
    return [set(names_of_split(names, split, DataConfig(**data), seed)) for split in ("train", "val")]


def patients(names):
    return {name.partition("_")[0] for name in names}


class TestNoGroups:
    """Data without groups and folds are divided as before."""

    @pytest.mark.parametrize(
        ("data", "seed", "held_out"),
        [
            ({}, 0, ["05", "10", "16", "26", "28"]),
            ({"split_rule": "rank"}, 7, ["12", "15", "16", "20", "25", "29"]),
        ],
    )
    def test_exact_names_of_earlier_versions(self, data, seed, held_out):
        names = [f"{number:02}" for number in range(30)]
        assert names_of_split(names, "val", DataConfig(**data), seed) == held_out
        assert names_of_split(names, "val", DataConfig(**data, group=None, folds=None, fold=None), seed) == held_out

    def test_runs_and_cards_of_earlier_versions_have_no_such_keys(self):
        settings = Config().model_dump(mode="json")
        for key in ("group", "folds", "fold"):
            assert settings["data"].pop(key) is None
        assert make_config(settings) == Config()
        card = json.loads(ModelCard.of(Config(), 0).to_json())
        for key in ("group", "folds", "fold"):
            card["config"]["data"].pop(key, None)
        assert ModelCard.from_json(json.dumps(card), "a card").config.data.group is None


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "name", "key"),
        [
            ("patient-*_", "patient-017_slice-3", "patient-017_"),
            ("patient-*_", "patient-017_slice_3", "patient-017_"),  # the first place of the text
            ("patient-*_", "patient-_3", None),  # at least one character
            ("patient-*_", "patient-017", None),
            ("patient-*_", "a patient-017_3", None),  # from the beginning
            ("*/", "site 1/scan 2/3", "site 1/"),
            ("*/*/", "site 1/scan 2/3", "site 1/scan 2/"),
            ("**_", "a_b_c", "a_b_"),
            ("*_", "__x", "__"),
            ("[*]", "[1].png", "[1]"),  # nothing else is a sign
            ("caf\u00e9*_", "cafe\u03011_2", "caf\u00e91_"),  # as macOS writes it
        ],
    )
    def test_the_beginning_that_matches_is_the_group(self, pattern, name, key):
        assert beginning(name, pattern) == key

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (
                {"group": "patient"},
                r"must be a pattern .* with `\*` for what differs, or null\. Received 'patient' with",
            ),
            ({"group": " ", "source": "table"}, r"with `\*` .* or the name of a column, or null\. Received ' '"),
            ({"group": "patient-*"}, r"must end with the text .* Received 'patient-\*', in which"),
            ({"group": "a*_", "source": "openmoji"}, r"pairs of your own\. Received a\*_ with `data.source: openmoji`"),
            ({"folds": 5}, r"must be given together\. Received `data.folds: 5` alone\. Add `data.fold`"),
            ({"fold": 2}, r"must be given together\. Received `data.fold: 2` alone\. Add `data.folds`"),
            ({"folds": 5, "fold": 6}, r"from 1 to `data.folds`, 5 here\. Received 6\. Choose"),
            ({"folds": 5, "fold": 1, "source": "sample_photographs"}, r"pairs of your own\. Received 5 with"),
            ({"folds": 5, "fold": 0}, r"`data\.fold` must be .*1"),
            ({"folds": 1, "fold": 1}, r"`data\.folds` must be .*2"),
        ],
    )
    def test_settings_that_do_not_fit(self, data, message):
        with pytest.raises(UserError, match=message):
            make_config({"data": data})


class TestGroups:
    @pytest.mark.parametrize("rule", ["hash", "rank"])
    @given(seed=st.integers(0, 2**31 - 1), fraction=st.sampled_from([0.01, 0.2, 0.5, 0.99]))
    def test_no_group_is_on_both_sides(self, rule, seed, fraction):
        train, val = divided(NAMES, seed, group=PATTERN, held_out_fraction=fraction, split_rule=rule)
        assert train and val and train | val == set(NAMES)
        assert patients(train).isdisjoint(patients(val))

    def test_a_group_keeps_its_split_when_others_come_or_go(self):
        train, val = divided(NAMES, group=PATTERN)
        gone = sorted(patients(val))[0]
        assert divided([name for name in NAMES if not name.startswith(gone)], group=PATTERN) == [
            train, {name for name in val if not name.startswith(gone)},
        ]  # fmt: skip
        more_train, more_val = divided([*NAMES, *(f"patient-{number}_0" for number in range(100, 200))], group=PATTERN)
        assert train < more_train and val < more_val

    def test_by_rank_the_share_is_of_groups(self):
        _, val = divided(NAMES, group=PATTERN, held_out_fraction=0.25, split_rule="rank")
        assert len(patients(val)) == 3

    def test_several_targets_of_an_input_stay_with_their_group(self):
        names = [f"{name}{more}" for name in NAMES for more in ("", "#2", "#3")]
        for seed in range(20):
            train, val = divided(names, seed, group="patient-*_slice", held_out_fraction=0.5)
            assert {name.partition("#")[0] for name in train}.isdisjoint(name.partition("#")[0] for name in val)
            assert patients(train).isdisjoint(patients(val))

    @pytest.mark.parametrize("names", [["patient-1_a", "b", "c"], ["b"]])
    def test_a_name_without_a_group_is_named(self, names):
        message = r"must match the beginning of every pair's name\. Received 'patient-\*_', which does not match 'b'"
        with pytest.raises(UserError, match=message + (" and 1 other." if len(names) > 1 else r"\.")):
            divided(names, group=PATTERN)

    def test_one_group_cannot_be_divided(self):
        names = ["patient-1_a", "patient-1_b"]
        message = r"two groups or more.* Received one alone, 'patient-1_', by `data.group: patient-\*_`\."
        for rule in ("hash", "rank"):
            with pytest.raises(UserError, match=message):
                divided(names, group=PATTERN, split_rule=rule)
            assert divided(names, group=PATTERN, split_rule=rule, held_out_fraction=0) == [set(names), set()]

    @pytest.mark.parametrize("source", ["combined", "photographs", "folders"])
    def test_every_source_of_files_takes_a_pattern(self, tmp_path, source):
        for side in ("input", "target") if source == "folders" else ("",):
            for name in NAMES:
                (tmp_path / side).mkdir(exist_ok=True)
                (tmp_path / side / f"{name}.png").touch()
        config = DataConfig(source=source, dir=str(tmp_path), group=PATTERN)
        train, val = (SOURCES[source](config, split, 0) for split in ("train", "val"))
        assert [set(train.names), set(val.names)] == divided(NAMES, group=PATTERN)
        assert not train.divided and not val.divided


class TestColumns:
    def table(self, folder, rows, columns="input,target,Patient", **data):
        for name in {part for row in rows for part in row.split(",")[:2]}:
            write_image(folder / name, np.zeros((8, 8, 3), np.uint8))
        (folder / "pairs.csv").write_text("\n".join([columns, *rows]) + "\n")
        return DataConfig.model_validate(
            {"source": "table", "dir": str(folder / "pairs.csv"), "group": "patient", "image_size_px": 8, **data}
        )

    def opened(self, config, seed=0):
        return {split: SOURCES["table"](config, split, seed) for split in SPLITS}

    def test_a_column_holds_the_groups(self, tmp_path):
        rows = [f"{index}.png,y.png, p{index % 4} " for index in range(16)]
        config = self.table(tmp_path, rows, held_out_fraction=0.5)
        for seed in range(10):
            sources = self.opened(config, seed)
            train, val = ({int(name) % 4 for name in sources[split].names} for split in ("train", "val"))
            assert train and val and train | val == {0, 1, 2, 3} and train.isdisjoint(val)
            assert all(set(source.groups) == {f"p{n}" for n in ns} for source, ns in
                       zip(sources.values(), (train, val), strict=False))  # fmt: skip
        assert len(without_unreadable(sources["train"]).groups) == len(sources["train"])

    def test_a_pattern_over_names_works_too(self, tmp_path):
        rows = [f"{index % 4}_{index}.png,y.png" for index in range(8)]
        sources = self.opened(self.table(tmp_path, rows, "input,target", group="*_", held_out_fraction=0.5))
        train, val = ({name[0] for name in sources[split].names} for split in ("train", "val"))
        assert train and val and train.isdisjoint(val) and sources["train"].groups == []

    @pytest.mark.parametrize(
        ("rows", "columns", "message"),
        [
            (["a.png,a.png"], "input,target",
             r"must be a column .* Received 'patient', and .*csv with input, target\."),
            (["a.png,a.png,1", "b.png,b.png, "], "input,target,patient",
             r"and a group in the column patient and, .* Received no patient in line 3 of "),
            (["a.png,a.png,1", "a.png,b.png,2"], "input,target,patient",
             r"of one input must be of one group.* Received 'a' in '1' and in '2' by `data.group: patient`"),
            (["a.png,a.png,1", "b.png,b.png,1"], "input,target,patient",
             r"two groups or more.* Received one alone, '1'"),
        ],
    )  # fmt: skip
    def test_a_table_that_gives_no_groups(self, tmp_path, rows, columns, message):
        with pytest.raises(UserError, match=message):
            self.opened(self.table(tmp_path, rows, columns))

    def test_lines_without_a_group_can_be_left_out(self, tmp_path):
        config = self.table(tmp_path, ["a.png,a.png,1", "b.png,b.png,", "c.png,c.png,2"], on_error="skip")
        sources = self.opened(config)
        assert {*sources["train"].names, *sources["val"].names} == {"a", "c"}
        assert "Received no patient in line 3" in sources["train"].skipped[0].message

    def test_the_doctor_knows_the_groups_of_a_table_with_a_column_split(self, tmp_path):
        rows = [f"{index}.png,y{index}.png,{group},{split}" for index, (group, split) in enumerate(
            [("a", "train"), ("b", "train"), ("b", "val"), ("c", "val"), ("b", "train")])]  # fmt: skip
        config = self.table(tmp_path, rows, "input,target,patient,split")
        assert list(self.opened(config)["train"].names) == ["0", "1", "4"]
        (found,) = [finding for finding in examine(config).findings if finding.kind == "group"]
        assert found.names == ("train/1", "val/2", "train/4")
        assert found.message == "The group 'b' has pairs in several splits: 2 in train and 1 in val; 1 of 3 do."


class TestFolds:
    @given(
        st.integers(0, 2**31 - 1),
        st.integers(2, 12),
        st.sampled_from([None, PATTERN]),
        st.sampled_from(["hash", "rank"]),
    )
    def test_every_group_is_held_out_once(self, seed, folds, group, rule):
        parts = [divided(NAMES, seed, folds=folds, fold=fold, group=group, split_rule=rule)
                 for fold in range(1, folds + 1)]  # fmt: skip
        held_out = [sorted(patients(val) if group else val) for _, val in parts]
        assert sorted(chain(*held_out)) == sorted(patients(NAMES) if group else NAMES)  # each once
        assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
        assert all(train.isdisjoint(val) and train | val == set(NAMES) for train, val in parts)

    def test_they_depend_on_the_seed_and_not_on_the_order_of_files_or_the_share(self):
        first = divided(NAMES, 1, folds=4, fold=2)
        assert divided(NAMES[::-1], 1, folds=4, fold=2, held_out_fraction=0.0) == first
        assert divided(NAMES, 0, folds=4, fold=2, split_seed=1) == first != divided(NAMES, 0, folds=4, fold=2)

    def test_targets_of_one_input_are_in_one_fold(self):
        names = [f"{number}{more}" for number in range(6) for more in ("", "#2")]
        vals = [divided(names, folds=3, fold=fold)[1] for fold in (1, 2, 3)]
        assert [len({name.partition("#")[0] for name in val}) for val in vals] == [2, 2, 2]
        assert [len(val) for val in vals] == [4, 4, 4]

    @pytest.mark.parametrize(("group", "folds", "what"), [(PATTERN, 13, "groups, 12"), (None, 40, "inputs, 33")])
    def test_there_are_as_many_groups_as_folds_at_least(self, group, folds, what):
        with pytest.raises(UserError, match=f"at most the number of {what} here. Received {folds}. Set fewer"):
            divided(NAMES, folds=folds, fold=1, group=group)

    def test_data_that_are_divided_have_no_folds(self, combined_dir, tmp_path):
        config = least_config(data={"dir": str(combined_dir), "folds": 2, "fold": 1}).data
        message = (
            r"pairs that nothing else divides\. Received 2 for .*, which is divided into train, val or test\. Leave"
        )
        for read in (open_sources, examine):
            with pytest.raises(UserError, match=message):
                read(config, 0)
        assert len(SOURCES["combined"](config, "val", 0)) == 2  # a run of folds can be measured on other data
        table = TestColumns().table(tmp_path, ["a.png,a.png,train"], "input,target,split", group=None, folds=2, fold=1)
        with pytest.raises(UserError, match=r"csv, which its column split divides\."):
            open_sources(table, 0)

    def test_shards_hold_all_pairs_whatever_the_fold(self, tmp_path):
        load_tensorflow()
        make_set(tmp_path / "pairs", train=6, val=0)
        folder = tmp_path / "pairs" / "train"
        files = DataConfig(dir=str(folder), image_size_px=32, folds=3, fold=2)
        assert write_shards(files, str(tmp_path / "shards")) == {"all": 6}
        shards = files.model_copy(update={"source": "shards", "dir": str(tmp_path / "shards")})
        for split in ("train", "val"):
            assert SOURCES["shards"](shards, split, 0).names == SOURCES["combined"](files, split, 0).names
        assert len(open_sources(shards, 0)["val"]) == 2


class TestDoctor:
    @pytest.fixture
    def leaky(self, tmp_path):
        """Groups a_ to d_ in train/ and e_ in val/, of which b_ and c_ have pairs in both."""
        for number, name in enumerate(("train/a_0", "train/b_0", "train/b_1", "train/c_0", "train/d_0", "val/b_2",
                                       "val/c_1", "val/c_2", "val/e_0", "test/c_3")):  # fmt: skip
            write_image(tmp_path / f"{name}.png", combine(*scene(number)))
        return tmp_path

    def test_groups_in_several_splits_are_findings(self, leaky):
        result = examined(leaky, group="*_")
        assert told(result) == [
            ("group", "", ("train/b_0", "val/b_2", "train/b_1")),
            ("group", "", ("train/c_0", "val/c_1", "test/c_3", "val/c_2")),
        ]
        assert [finding.message for finding in result.findings] == [
            "The group 'b_' has pairs in several splits: 2 in train and 1 in val; 2 of 5 do.",
            "The group 'c_' has pairs in several splits: 1 in train, 2 in val and 1 in test; 2 of 5 do.",
        ]
        assert [file.rpartition("/")[2] for file in result.findings[0].files] == ["b_0.png", "b_2.png", "b_1.png"]
        assert examined(leaky).findings == ()  # nothing is known of groups

    def test_all_are_named_however_few_pairs_are_read(self, leaky):
        data = DataConfig(dir=str(leaky), group="*_", image_size_px=32)
        assert examine(data, at_most=1).kinds == {"group": 2}

    def test_a_split_by_groups_has_none(self, tmp_path):
        for number in range(8):
            write_image(tmp_path / f"{number // 2}_{number}.png", combine(*scene(number)))
        assert examined(tmp_path, group="*_", held_out_fraction=0.5).kinds == {}

    def test_on_the_command_line_and_on_the_page(self, leaky, tmp_path):
        page = tmp_path / "page.html"
        code, out, _ = run_cli("data", "check", leaky, "--set", 'data.group="*_"', "--html", page)
        assert code == 3
        for text in (out, page.read_text(encoding="utf-8")):
            assert "several splits" in text and "Move its pairs into one split" in text
        assert "train/b_0, val/b_2 and train/b_1" in " ".join(out.replace("│", " ").split())

    def test_a_name_that_the_pattern_does_not_match_is_an_error(self, leaky):
        with pytest.raises(UserError, match=r"which does not match 'b_0' and 3 others"):
            examined(leaky, group="a*0")


class TestDivision:
    """The numbers of groups are said before a training, by `data check` and by the record of a run."""

    @staticmethod
    def sources(**groups):
        names = {split: [f"{group}{n}" for group in of for n in range(2)] for split, of in groups.items()}
        return {split: Source(of, read=None) for split, of in names.items()}

    def test_groups_are_counted_and_those_held_out_named(self):
        sources = self.sources(train=[f"spec{n}_" for n in range(7)], val=["spec7_"], test=["spec8_", "spec9_"])
        division = Division.of(sources, DataConfig(group="spec*_"))
        assert division.sentence == (
            "14 training pairs of 7 groups, 2 held-out pairs of 1 group (spec7), "
            "4 test pairs of 2 groups (spec8 and spec9)"
        )
        assert division.group_counts == {"train": 7, "val": 1, "test": 2}
        assert division.warnings == []  # the test pairs have intervals

    def test_many_names_are_shortened(self):
        sources = self.sources(train=["x_"], val=[f"s{n}_" for n in range(6)])
        assert Division.of(sources, DataConfig(group="*_")).sentence == (
            "2 training pairs of 1 group, 12 held-out pairs of 6 groups (s0, s1, s2, s3 and 2 more)"
        )

    @pytest.mark.parametrize(
        ("more", "divided", "advice"),
        [
            ({}, False, "Raise `data.held_out_fraction`, or set `data.folds`."),
            ({"folds": 3, "fold": 1}, False, "Evaluate the translations of all folds together (docs/splits.md)."),
            ({}, True, "Put pairs of more groups into val."),
        ],
    )
    def test_one_group_is_warned_of(self, more, divided, advice):
        sources = self.sources(train=["a_", "b_"], val=["c_"])
        sources = {split: replace(source, divided=divided) for split, source in sources.items()}
        (warning,) = Division.of(sources, DataConfig(group="*_", **more)).warnings
        assert warning == f"One held-out group (c) gives metrics no interval. {advice}"

    @pytest.mark.parametrize("val", [[], ["c_", "d_"]])
    def test_none_and_two_are_not(self, val):
        assert Division.of(self.sources(train=["a_"], val=val), DataConfig(group="*_")).warnings == []

    def test_without_groups(self):
        division = Division.of(self.sources(train=["a_"], val=["c_"]), DataConfig())
        assert (division.sentence, division.warnings) == ("2 training and 2 held-out pairs", [])
        assert division.group_counts is None

    @pytest.mark.parametrize(
        ("groups", "shown"),
        [
            (["spec1_", "spec2_"], ["spec1", "spec2"]),
            (["a-", "a_"], ["a-", "a_"]),
            (["_", "b_"], ["_", "b_"]),
            (["a/", "b#"], ["a/", "b#"]),
        ],
    )
    def test_names_lose_the_separator_if_they_still_differ(self, groups, shown):
        assert names_shown(groups) == dict(zip(groups, shown, strict=True))

    def test_the_check_and_the_first_line_of_a_run_say_it(self, tmp_path):
        for number in range(8):
            write_image(tmp_path / "d" / f"s{number // 2}_{number}.png", combine(*scene(number)))
        data = DataConfig(dir=str(tmp_path / "d"), group="s*_", held_out_fraction=0.01, image_size_px=32)
        result = examine(data)
        assert result.pairs == {"train": 6, "val": 2, "test": 0}
        (name,) = result.groups["val"]
        assert sorted([*result.groups["train"], name]) == ["s0", "s1", "s2", "s3"]
        warning = (
            f"One held-out group ({name}) gives metrics no interval. "
            "Raise `data.held_out_fraction`, or set `data.folds`."
        )
        assert [note for note in result.notes if "group" in note] == [warning]
        sentence = f"6 training pairs of 3 groups, 2 held-out pairs of 1 group ({name})"
        page, console = tmp_path / "page.html", Console(file=io.StringIO(), width=200)
        write_html(result, data, 0, page)
        console.print(as_table(result))
        assert f"pairs: {sentence}\n" in console.file.getvalue() and sentence in page.read_text(encoding="utf-8")
        console = Console(file=io.StringIO(), width=200)
        config = least_config(data=data.model_dump(mode="json"), training={"steps": 1})
        p2p.train(config, run_dir=tmp_path / "run", console=console)
        said = console.file.getvalue()
        assert f": {sentence}, 8 of them read" in said and warning in said


class TestRuns:
    @pytest.fixture
    def folder(self, tmp_path):
        for number in range(10):
            write_image(tmp_path / "pairs" / f"{number // 2}_{number}.png", combine(*scene(number)))
        return tmp_path / "pairs"

    def test_shortcuts_of_the_command(self, folder):
        train = ("train", "facades", "--dry-run", "--data", folder)
        small = ("--set", "data.image_size_px=32", "--set", "generator.levels=3", "--set", "generator.base_filters=4",
                 "--set", "discriminator.receptive_field_px=16")  # fmt: skip
        code, out, _ = run_cli(*train, *small, "--folds", 3, "--fold", 1, "--set", 'data.group="*_"')
        assert code == 0
        (name,) = re.findall(r"\n8 training pairs of 4 groups, 2 held-out pairs of 1 group \((\d)\)\.\n", out)
        assert f"One held-out group ({name}) gives metrics no interval. " in out
        assert "Evaluate the translations of all folds together (docs/splits.md)." in out
        code, out, _ = run_cli(*train, *small, "--folds", 3, "--fold", 3, "--set", 'data.group="*_"')
        assert code == 0 and "6 training pairs of 3 groups, 4 held-out pairs of 2 groups (" in out
        assert "One held-out group" not in out
        code, _, err = run_cli(*train, *small, "--folds", 3)
        assert code == 2 and "`data.folds` and `data.fold` must be given together. Received `data.folds: 3`" in err
        code, _, err = run_cli(*train, *small, "--folds", 3, "--fold", 4)
        assert code == 2 and "3 here. Received 4." in err

    def test_a_run_records_its_split_and_is_not_resumed_on_another(self, folder, tmp_path, quiet):
        data = {"dir": str(folder), "group": "*_", "folds": 5, "fold": 2, "split_seed": 3}
        run = p2p.train(least_config(data=data, training={"steps": 1}), run_dir=tmp_path / "run", console=quiet)
        (period,) = json.loads((run.path / "data.json").read_text())["periods"]
        assert period["division"] == {"rule": "folds", "seed": 3, "group": "*_", "folds": 5, "fold": 2}
        val = SOURCES["combined"](DataConfig(**data), "val", 0).names
        assert sorted(period["splits"]["val"]) == sorted(val) and len(val) == 2
        assert len(period["splits"]["train"]) == 8
        assert period["groups"] == {"train": 4, "val": 1}
        before, again = (run.path / "data.json").read_bytes(), {"run_dir": run.path, "resume": True, "console": quiet}
        p2p.train(**again, overrides=("training.steps=2",))
        assert (run.path / "data.json").read_bytes() == before
        with pytest.raises(UserError, match="data.fold 2 -> 3"):
            p2p.train(**again, overrides=("data.fold=3",))
        with pytest.raises(UserError, match="data that it was trained on. Received others: train lacks .*val lacks"):
            DataRecord.of(RunDirectory(run.path)).check_unchanged({"train": {}, "val": {}})

    @pytest.mark.parametrize(
        ("rule", "more"), [("hash", {"held_out_fraction": 0.2}), ("rank", {"held_out_fraction": 0.5})]
    )
    def test_the_record_of_a_share(self, rule, more):
        division = division_of(DataConfig(split_rule=rule, **more), 4)
        assert division == {"rule": rule, "seed": 4, "group": None, **more}
