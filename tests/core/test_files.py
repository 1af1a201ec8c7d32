"""Files as such."""

import threading

import pytest

from core.files import replacing, sha256


def test_the_sum_is_that_of_the_standard(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, example B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "told.json"
    file.write_text("old")
    with replacing(file) as part:
        part.write_text("ne")
        assert file.read_text() == "old"
        part.write_text("new")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_what_breaks_off_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "told.json"
    file.write_text("old")

    def break_off():
        with replacing(file) as part:
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_two_that_write_at_once_do_not_mix(tmp_path):
    file = tmp_path / "told.json"
    both = threading.Barrier(2)

    def write(words):
        with replacing(file) as part:
            part.write_text(words[:4])
            both.wait(10)
            part.write_text(words)

    writers = [threading.Thread(target=write, args=(words,)) for words in ("one whole", "two whole")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert file.read_text() in ("one whole", "two whole")
    assert list(tmp_path.iterdir()) == [file]
