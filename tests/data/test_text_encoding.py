"""Encodings: found where that is sure, and told with place and readings where not."""

import gzip
from pathlib import Path

import pytest

from hf_tune.data.text_encoding import check_encoding, find_encoding, open_text
from hf_tune.input_error import InputError


CHINESE = "这个电影真的很好看，我非常喜欢。,好评\n服务太差了，再也不会来了。,差评\n" * 5  # noqa: RUF001
RUSSIAN = "Этот фильм мне очень понравился,хорошо\nУжасное обслуживание,плохо\n"  # noqa: RUF001
GERMAN = "Der Film war schön und großartig,gut\nDas Essen war übel und kühl,schlecht\n"
POLISH = "Film był świetny i zabawny,dobry\nObsługa była żałosna,zły\n"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("plain", "ascii", "ascii"),
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8-sig", "utf-8"),
        (CHINESE, "gbk", "gb18030"),
        (RUSSIAN, "cp1251", "cp1251"),
        (GERMAN, "cp1252", "cp1252"),
        ("この映画はとても面白かった。", "shift_jis", "cp932"),
        ("この映画はとても面白かった。", "euc_jp", "euc_jp"),
        ("이 영화는 정말 재미있었어요", "euc_kr", "cp949"),
        (CHINESE, "utf-16", "utf-16"),
        (GERMAN, "utf-32", "utf-32"),
    ],
)
def test_an_encoding_that_is_sure_is_found_and_reads_the_text(
    tmp_path: Path, text: str, encoding: str, found: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(("text,label\n" + text).encode(encoding))
    assert find_encoding(str(file)) == found
    assert file.read_bytes().decode("utf-8-sig" if found == "utf-8" else found).endswith(text)


@pytest.mark.parametrize(
    ("text", "encoding"), [(POLISH, "cp1250"), ("price 5€\n", "cp1252"), (RUSSIAN, "koi8_r"), (GERMAN, "cp850")]
)
def test_an_encoding_that_is_not_sure_is_refused_with_what_the_line_would_be(
    tmp_path: Path, text: str, encoding: str
) -> None:
    """charset-normalizer (3.5) takes the Polish lines for cp1252 and the Russian ones for Japanese."""
    file = tmp_path / "rows.csv"
    content = ("text,label\n" + text).encode(encoding)
    file.write_bytes(content)
    byte = next(place for place, value in enumerate(content) if value > 127)
    words = rf"rows.csv: line 2, byte {byte} \(0x{content[byte]:02x}\) is not UTF-8, and what else it is, is not sure"
    with pytest.raises(InputError, match=words) as caught:
        find_encoding(str(file))
    assert caught.value.at == ("load", "encoding") and "such as `encoding: cp125" in caught.value.hint
    if encoding.startswith("cp125"):
        first = next(place for place, sign in enumerate(text) if not sign.isascii())
        line = text.partition("\n")[0]
        assert repr(line[max(0, first - 6) : first + 18]) in caught.value.problem


@pytest.mark.parametrize(
    ("text", "encoding", "reading"),
    [
        (
            "Toimitus oli nopea ja tuote on hyvä.\nOlen pettynyt näytön laatuun, enkä osta tätä enää.\n",
            "cp1252",
            "hyvä",
        ),
        ("le café est très bon à Orléans déjà\n", "cp1252", "café"),
        (GERMAN, "mac_roman", "schön"),
    ],
)
def test_western_text_is_not_read_in_an_encoding_that_is_seldom_meant(
    tmp_path: Path, text: str, encoding: str, reading: str
) -> None:
    """They were read as Mac Roman, Baltic and Korean."""
    (tmp_path / "rows.csv").write_bytes((text * 60).encode(encoding))
    with pytest.raises(InputError, match="what else it is, is not sure") as caught:
        find_encoding(str(tmp_path / "rows.csv"))
    assert encoding != "cp1252" or reading in caught.value.problem


def test_one_broken_byte_among_utf_8_is_no_other_encoding(tmp_path: Path) -> None:
    """As cp1252 or gb18030 the whole file would be read, every sign beyond ASCII wrongly."""
    content = (GERMAN * 20).encode()
    (tmp_path / "rows.csv").write_bytes(content[:500] + b"\xff" + content[500:])
    line = content[:500].count(b"\n") + 1
    with pytest.raises(InputError, match=rf"line {line}, byte 500 \(0xff\) is not UTF-8, which the rest") as caught:
        find_encoding(str(tmp_path / "rows.csv"))
    assert "encoding_errors: replace" in caught.value.hint


def test_a_place_far_into_a_file_is_counted_from_its_start(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"0123456789\n" * 200_000 + b"caf\xe9 1\n")
    with pytest.raises(InputError, match=r"line 200001, byte 2200003 \(0xe9\) is not utf-8, as the recipe says"):
        check_encoding(str(tmp_path / "rows.csv"), "utf-8")


def test_an_encoding_that_the_recipe_gives_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(CHINESE.encode("utf-16"))
    check_encoding(str(file), "utf-16")
    with pytest.raises(InputError, match="is not gbk, as the recipe says; leave `encoding` out"):
        check_encoding(str(file), "gbk")
    with pytest.raises(InputError, match="there is no encoding 'utf8mb4'"):
        check_encoding(str(file), "utf8mb4")


def test_a_file_of_utf_16_that_is_cut_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("text,label\nschön,gut\n".encode("utf-16")[:-1])
    with pytest.raises(
        InputError, match=r"line 2, byte 42 .* is not utf-16, as which the file begins; save it as UTF-8"
    ):
        find_encoding(str(tmp_path / "rows.csv"))


def test_text_is_opened_without_a_mark_at_its_start_and_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfschoen\r\n")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfschoen\r\n"))
    for name, encoding in (("a.txt", "utf-8"), ("a.txt", "ascii"), ("a.txt", "UTF8"), ("a.txt.gz", "utf-8")):
        with open_text(str(tmp_path / name), encoding) as stream:
            assert stream.read() == "schoen\n"


def test_a_packed_file_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(CHINESE.encode("gbk")))
    assert find_encoding(str(tmp_path / "rows.csv.gz")) == "gb18030"
