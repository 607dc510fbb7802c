"""Settings from the file, the environment and the flags."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import SettingsError
from indexer.settings import KEYS, Settings, check_picture_names, check_suffixes
from indexer.settings.settings_file import key_lines, load

EXAMPLE = Path(__file__).parents[3] / "deploy" / "config.example.toml"
READERS = frozenset({b".ogg", b".mp3"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def complaint(config: Path, text: str) -> str:
    """The error for a file with this text, without the path of its folder."""
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(config, environ={})
    return str(caught.value).removeprefix(f"{config.parent}/")


# Where values come from


def test_without_anything_every_setting_is_its_default() -> None:
    settings = load(environ={"HOME": "/home/ann"})
    assert settings == Settings(db=Path("/home/ann/.local/share/music-indexer/library.db"))


def test_the_data_folder_of_the_desktop_is_obeyed_if_absolute() -> None:
    assert load(environ={"XDG_DATA_HOME": "/data"}).db == Path("/data/music-indexer/library.db")
    relative = load(environ={"XDG_DATA_HOME": "data", "HOME": "/h"})
    assert relative.db == Path("/h/.local/share/music-indexer/library.db")


def test_a_flag_beats_the_environment_and_the_environment_beats_the_file(config: Path) -> None:
    config.write_text('db = "/file.db"\nworkers = 1\nstill = 5')
    environ = {"INDEXER_DB": "/environment.db"}
    assert load(config, environ={}).db == Path("/file.db")
    assert load(config, environ=environ).db == Path("/environment.db")
    settings = load(config, Path("/flag.db"), environ, workers=3, still=None)
    assert (settings.db, settings.workers, settings.still) == (Path("/flag.db"), 3, 5.0)


@pytest.mark.parametrize("text", ["/a\0b", "/a\ud800b"])
def test_a_text_that_no_path_can_be_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--db .*expected a path"):
        load(db=Path(text), environ={})
    with pytest.raises(SettingsError, match=r"--artwork-cache .*expected a path"):
        load(environ={}, artwork_cache=text)
    with pytest.raises(SettingsError, match="is no path"):
        load(Path(text), environ={})
    config = tmp_path / "config.toml"
    config.write_text('[roots.A]\npath = "/a\\u0000b"\n')
    with pytest.raises(SettingsError, match=r"roots\.A\.path .*expected a path"):
        load(config, environ={})


def test_an_index_is_the_same_by_any_link_that_leads_to_it(tmp_path: Path) -> None:
    """Else it had a lock beside each name, and two daemons would keep it at once."""
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "library.db"
    (tmp_path / "real" / "near.db").symlink_to("library.db")
    (tmp_path / "far.db").symlink_to("real/near.db")
    assert load(db=tmp_path / "far.db", environ={}).db == real  # not made yet
    real.touch()
    assert load(environ={"INDEXER_DB": str(tmp_path / "far.db")}).db == real
    circle = tmp_path / "circle.db"
    circle.symlink_to(circle)
    assert load(db=circle, environ={}).db == circle


@pytest.mark.parametrize("becomes", ["nothing", "a file", "another link"])
def test_a_link_that_is_replaced_while_it_is_followed_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    link = tmp_path / "library.db"
    link.symlink_to("first.db")
    lstat = os.lstat

    def replaced(path: Path) -> os.stat_result:
        status = lstat(path)
        monkeypatch.undo()
        link.unlink()
        if becomes == "a file":
            link.touch()
        elif becomes == "another link":
            link.symlink_to("second.db")
        return status

    monkeypatch.setattr(os, "lstat", replaced)
    found = tmp_path / "second.db" if becomes == "another link" else link
    assert load(db=link, environ={}).db == found


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_a_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "library.db"
    link.symlink_to("other.db")
    os.lchown(link, 65534, 65534)
    assert load(db=link, environ={}).db == link
    (tmp_path / "other.db").touch()
    assert load(db=link, environ={}).db == link
    os.chown(tmp_path / "other.db", 65534, 65534)
    assert load(db=link, environ={}).db == tmp_path / "other.db"


def test_an_empty_variable_is_as_good_as_none(config: Path) -> None:
    config.write_text('db = "/file.db"')
    assert load(config, environ={"INDEXER_DB": "", "INDEXER_CONFIG": ""}).db == Path("/file.db")


def test_the_file_is_found_by_flag_then_variable_then_desktop_folder(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load(environ=environ).still == 2.0
    default = tmp_path / "music-indexer" / "config.toml"
    default.parent.mkdir()
    default.write_text("still = 3")
    assert load(environ=environ).still == 3.0
    named = tmp_path / "named.toml"
    named.write_text("still = 4")
    environ["INDEXER_CONFIG"] = str(named)
    assert load(environ=environ).still == 4.0
    flag = tmp_path / "flag.toml"
    flag.write_text("still = 5")
    assert load(flag, environ=environ).still == 5.0


@pytest.mark.parametrize("environ", [{}, {"INDEXER_CONFIG": "/nowhere/config.toml"}])
def test_a_named_file_that_is_missing_is_an_error(environ: dict[str, str]) -> None:
    config = None if environ else Path("/nowhere/config.toml")
    with pytest.raises(SettingsError, match=r"^/nowhere/config.toml: No such file"):
        load(config, environ=environ)


def test_paths_in_the_file_count_from_its_folder_and_others_from_here(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('db = "here.db"\n[roots.a]\npath = "../music"\n[roots.b]\npath = "~/b"')
    settings = load(config, environ={"HOME": "/home/ann"})
    assert settings.db == config.parent / "here.db"
    assert settings.roots == {"a": config.parent / "../music", "b": Path("/home/ann/b")}
    monkeypatch.chdir("/")
    assert load(environ={"INDEXER_DB": "tmp/x.db"}).db == Path("/tmp/x.db")
    assert load(db=Path("tmp/x.db"), environ={}).db == Path("/tmp/x.db")


def test_a_database_path_that_is_not_utf8_is_taken() -> None:
    path = Path(os.fsdecode(b"/tmp/\xff.db"))
    assert load(db=path, environ={}).db == path


# Valid values


def test_suffixes_are_lower_case_with_a_dot(config: Path) -> None:
    config.write_text('suffixes = ["MP3", ".Flac"]')
    assert load(config, environ={}).suffixes == (".mp3", ".flac")


def test_without_suffixes_all_that_have_a_reader_are_indexed() -> None:
    assert check_suffixes(load(environ={}), READERS) == {b".mp3", b".ogg"}


def test_only_the_chosen_suffixes_are_indexed() -> None:
    settings = load(environ={}, suffixes=("mp3",))
    assert check_suffixes(settings, READERS) == {b".mp3"}


def test_a_suffix_without_a_reader_names_its_line_and_those_that_have_one(config: Path) -> None:
    config.write_text('\nsuffixes = ["mp3", "wma"]')
    with pytest.raises(SettingsError) as caught:
        check_suffixes(load(config, environ={}), READERS)
    assert str(caught.value) == (
        f"{config}:2: suffixes: there is no reader for .wma; expected some of .mp3 .ogg"
    )


def test_a_whole_number_of_seconds_will_do(config: Path) -> None:
    config.write_text("held = 5")
    assert load(config, environ={}).held == 5.0


def test_workers_default_to_the_cores_of_this_process() -> None:
    assert load(environ={}).worker_count == len(os.sched_getaffinity(0))
    assert load(environ={}, workers=7).worker_count == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('still = "two"', '1: still = "two": expected a number of seconds, such as 2.0'),
        ("still = true", "1: still = true: expected a number of seconds"),
        ("still = -1", "1: still = -1: expected a number of seconds"),
        ("still = nan", "1: still = NaN: expected a number of seconds"),
        ("still = inf", "1: still = Infinity: expected a number of seconds"),
        ("reader_timeout = 0", "1: reader_timeout = 0: expected a number of seconds above 0"),
        ("\n\nworkers = 0", "3: workers = 0: expected a whole number, 1 or more"),
        ("workers = 1.5", "1: workers = 1.5: expected a whole number, 1 or more"),
        (
            f"keep_missing = {10**18}",
            f"1: keep_missing = {10**18}: expected a whole number, 0 or more (at most 1000000000)",
        ),
        (
            f"worker_memory = {10**18}",
            f"1: worker_memory = {10**18}: expected a whole number of megabytes, 64 or more",
        ),
        ("small_work = -1", "1: small_work = -1: expected a whole number, 0 or more"),
        ("leases = 1", "1: leases = 1: expected true or false"),
        ('group = ""', '1: group = "": expected a name in quotes'),
        ('group = "no-such"', '1: group = "no-such": expected the name of a group of this machine'),
        ("db = 1", "1: db = 1: expected a path in quotes"),
        ('suffixes = "mp3"', '1: suffixes = "mp3": expected a list of suffixes'),
        ("suffixes = []", "1: suffixes = []: expected a list of suffixes"),
        ('suffixes = ["a/b"]', '1: suffixes = ["a/b"]: expected a list of suffixes'),
        ("roots = 1", "1: roots = 1: expected [roots.NAME] with a path"),
        ("[[roots]]", "1: roots = [{}]: expected [roots.NAME] with a path"),
        ("\n[roots.a]\n", '2: roots.a: expected a line path = "/the/folder"'),
        ("[roots]\na = 1", '2: roots.a: expected a line path = "/the/folder"'),
        ("[roots.a]\n\npath = 1", "3: roots.a.path = 1: expected a path in quotes"),
        ('[roots."a/b"]\npath = "/a"', "1: roots.a/b: expected a name without slashes"),
        ('[roots.".."]\npath = "/a"', "1: roots...: expected a name without slashes"),
        ('[roots." "]\npath = "/a"', "1: roots. : expected a name without slashes"),
        ("retry_first = 20", "1: retry_first is 20.0, but retry_longest is 10.0: expected"),
    ],
)
def test_a_bad_value_names_key_file_and_line_and_what_would_be_right(
    config: Path, text: str, expected: str
) -> None:
    assert complaint(config, text).startswith(f"config.toml:{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("still = 2\nheId = 3", "2: heId is not a setting: did you mean held?"),
        (
            "[roots.a]\npath = '/a'\npaht = 1",
            "3: roots.a.paht is not a setting: did you mean path?",
        ),
        ("[origins]", "1: origins is not a setting: the settings are db, group,"),
        ("qqq = 1", "1: qqq is not a setting: the settings are db, group,"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_name(
    config: Path, text: str, expected: str
) -> None:
    assert complaint(config, text).startswith(f"config.toml:{expected}")


def test_a_bad_flag_or_variable_is_named_as_it_was_given() -> None:
    with pytest.raises(SettingsError, match=r"^--small-work -3: expected a whole number"):
        load(environ={}, small_work=-3)
    with pytest.raises(SettingsError, match=r"^--smal-work is not a setting: did you mean small_"):
        load(environ={}, smal_work=3)


@pytest.mark.parametrize(
    ("text", "line"),
    [("still = 2\nheld = = 3\nx = 1", 2), ("still = 2\nheld = [1,\n", 2), ("a = 1\na = 2\n\n", 2)],
)
def test_a_syntax_error_names_file_and_line(config: Path, text: str, line: int) -> None:
    assert complaint(config, text).startswith(f"config.toml:{line}: not valid TOML: ")


def test_a_byte_order_mark_is_no_part_of_the_file(config: Path) -> None:
    config.write_text("still = 7.0\n", encoding="utf-8-sig")
    assert load(config, environ={}).still == 7.0
    config.write_bytes(b"\xef\xbb\xbfstill = 7.0\nheld = -1\n")
    with pytest.raises(SettingsError, match=r"config.toml:2: held"):
        load(config, environ={})
    config.write_bytes(b"\xef\xbb\xbfa = 1\n# \xff\n")
    with pytest.raises(SettingsError, match=r"config.toml:2: not UTF-8"):
        load(config, environ={})


def test_a_file_that_is_not_utf8_names_the_line(config: Path) -> None:
    config.write_bytes(b'still = 2\ngroup = "\xff"\n')
    with pytest.raises(SettingsError, match=r"config.toml:2: not UTF-8"):
        load(config, environ={})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 100_000, "brackets within brackets too often"),
        ("a = " + "{b = " * 50_000, "brackets within brackets too often"),
        ("#" * (1 << 20) + "#", "larger than 1 MB"),
    ],
    ids=["arrays", "tables", "large"],
)
def test_a_file_that_no_person_writes_is_told_in_a_line(
    config: Path, text: str, words: str
) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError, match=words):
        load(config, environ={})
    with pytest.raises(SettingsError, match="larger than 1 MB"):
        load(Path("/dev/zero"), environ={})


def test_a_database_needs_a_name(config: Path) -> None:
    config.write_text('db = "/"')
    with pytest.raises(
        SettingsError, match=r'config.toml:1: db = "/": expected the path of a file'
    ):
        load(config, environ={})
    with pytest.raises(SettingsError, match=r"INDEXER_DB=/: expected the path of a file"):
        load(environ={"INDEXER_DB": "/"})


# Origins of values


def test_a_later_error_can_tell_where_a_setting_was_made(config: Path) -> None:
    config.write_text('\ngroup = "audio"\nworkers = 2')
    settings = load(config, environ={"INDEXER_DB": "/x.db"}, workers=3)
    said = [settings.said(key) for key in ("group", "db", "workers", "still")]
    assert said == [f"{config}:2: group", "INDEXER_DB", "--workers", "still"]


def test_the_line_of_a_key_is_where_its_statement_begins() -> None:
    text = '''\
# still = 1
still = 2 # held = 3
text = """
held = 4
"""
list = [ # [roots.no]
  1,

  2,
]
held = 5

[roots . "my music"] # c
path = '#"'
a.b = { c = 1 }
[[many]]
x = 1
[[many]]
'''
    assert key_lines(text) == {
        ("still",): 2,
        ("text",): 3,
        ("list",): 6,
        ("held",): 11,
        ("roots",): 13,
        ("roots", "my music"): 13,
        ("roots", "my music", "path"): 14,
        ("roots", "my music", "a"): 15,
        ("roots", "my music", "a", "b"): 15,
        ("roots", "my music", "a", "b", "c"): 15,
        ("many",): 16,
        ("many", "x"): 17,
    }


def test_windows_line_ends_do_not_move_the_lines() -> None:
    assert key_lines("a = 1\r\nb = [\r\n2]\r\n[c]\r\nd = 1") == {
        ("a",): 1,
        ("b",): 2,
        ("c",): 4,
        ("c", "d"): 5,
    }


filler = st.lists(st.sampled_from(["", "# k3 = 1", "  ", '# """', "#[x]", "# k1 = ["]), max_size=3)
statement = st.sampled_from(
    ['"""\nk2 = 1\n[x]\n"""', "[\n1, # k3 = 1\n]", "'''\n\n# '''", "{ a = 1 }", '"#["', "2"]
)


@given(st.lists(st.tuples(filler, statement), max_size=6))
def test_every_key_of_a_file_has_the_line_on_which_its_name_stands(
    parts: list[tuple[list[str], str]],
) -> None:
    lines: list[str] = []
    expected = {}
    for number, (above, value) in enumerate(parts):
        lines += above
        expected[f"k{number}",] = len(lines) + 1
        lines += f"k{number} = {value}".split("\n")
    found = key_lines("\n".join(lines))
    assert {path: line for path, line in found.items() if len(path) == 1} == expected


# The example


def uncommented() -> str:
    return re.sub(r"^#(?=[a-z\[])", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_example_loads_as_it_is_and_changes_nothing() -> None:
    environ = {"HOME": "/home/ann"}
    assert load(EXAMPLE, environ=environ) == load(environ=environ)


def test_the_example_names_every_key_in_the_order_of_the_settings() -> None:
    assert tuple(tomllib.loads(uncommented())) == KEYS


def test_the_example_shows_the_defaults(config: Path) -> None:
    config.write_text(uncommented(), encoding="utf-8")
    shown = load(config, environ={"HOME": "/home/ann"})
    default = load(environ={"HOME": "/home/ann"})
    different = {key for key in KEYS if getattr(shown, key) != getattr(default, key)}
    without = {
        "group",
        "workers",
        "suffixes",
        "redis",
        "roots",
        "reconcile_hour",
        "artwork_cache",
        "hooks",
    }
    assert different == without
    assert not any(getattr(default, key) for key in different)


def test_the_example_says_what_it_means_to_leave_a_key_without_default_out() -> None:
    paragraphs = EXAMPLE.read_text(encoding="utf-8").split("\n\n")
    for key in ("group", "workers", "suffixes", "redis", "reconcile_hour"):
        (about,) = [text for text in paragraphs if re.search(rf"^#{key} =", text, re.MULTILINE)]
        assert "Left out: " in about


LONGEST = {"retry_longest", "queue_retry_longest"}


def test_the_example_gives_every_number_its_unit() -> None:
    for part in re.split(r"(?<=\d)\n|\n\n", EXAMPLE.read_text(encoding="utf-8")):
        if found := re.search(r"^#(\w+) = [\d.]+$", part, re.MULTILINE):
            own_words = (
                found[1] in {"workers", "reconcile_hour", "queue_retries", "batch"} | LONGEST
            )
            units = r"\b(Seconds|Files|Days|Hours|Megabytes)\."
            assert own_words or re.search(units, part), found[1]


@pytest.mark.parametrize("text", [
    'ignored_names = ["Live/Bootlegs"]', 'album_cover_files = ["art/cover"]',
    'web_hosts = ["https://music.example.org"]', 'web_hosts = ["music.example.org:8080"]',
])  # fmt: skip
def test_a_name_that_nothing_can_have_is_refused(config: Path, text: str) -> None:
    assert "expected a list of names" in complaint(config, text)


def test_addresses_are_names_of_machines(config: Path) -> None:
    config.write_text('web_hosts = ["nas", "fe80::1", "192.168.0.7"]')
    assert load(config, environ={}).web_hosts == ("nas", "fe80::1", "192.168.0.7")


def test_names_of_pictures_have_no_suffix_of_pictures() -> None:
    settings = Settings(db=Path("/x.db"), artist_image_files=("artist", "St. Vincent"))
    check_picture_names(settings, (b".jpg",))
    wrong = Settings(db=Path("/x.db"), album_cover_files=("Cover.JPG",))
    with pytest.raises(SettingsError, match=r"album_cover_files: 'Cover.JPG': .*such as \"cover\""):
        check_picture_names(wrong, (b".jpg",))
