"""Files and folders appear whole or not at all."""

import pytest

from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import check_writable, whole_directory, whole_file


def test_a_file_appears_when_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with whole_file(path) as temporary:
        temporary.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_nothing_stays_behind_a_failure(tmp_path, whole):
    def fail():
        with whole(tmp_path / "thing") as temporary:
            (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
            raise KeyError

    pytest.raises(KeyError, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_is_one_sentence(tmp_path):
    def fail():
        with whole_file(tmp_path / "file"):
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="Received: No space left on device. Free space"):
        fail()


def test_an_earlier_file_survives_a_failure(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    pytest.raises(KeyError, fail)
    assert path.read_text() == "before"


def test_check_writable_creates_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Received: Not a directory at .*file. Choose another"):
        check_writable(tmp_path / "file" / "b")
