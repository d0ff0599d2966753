"""Names that docs/extending.md gave in earlier versions still work, and say where they are now."""

import importlib
import sys

import pytest

from tfpix2pix.moved import MODULES


@pytest.mark.parametrize("old", MODULES)
def test_an_old_module_gives_what_the_new_one_has(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(FutureWarning, match=f"^{old} has moved. Import it as {MODULES[old]}\\.$"):
        module = importlib.import_module(old)
    new = importlib.import_module(MODULES[old])
    names = [name for name in vars(new) if not name.startswith("_")]
    assert names
    assert all(getattr(module, name) is getattr(new, name) for name in names)


def test_a_row_that_is_added_under_the_old_name_is_in_the_table(monkeypatch):
    from tfpix2pix.metrics import METRICS

    with pytest.warns(FutureWarning, match=r"^tfpix2pix\.evaluation\.METRICS has moved\. Import it from .*metrics\.$"):
        from tfpix2pix.evaluation import METRICS as old
    assert old is METRICS


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module("tfpix2pix.no_such_module")
