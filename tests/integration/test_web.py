"""`indexer web` as other programs see it: the real program, asked by HTTP."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import pytest

from tests.corpus import Tree, plant, tagged
from tests.covers import hash_of, picture
from tests.daemons import watching
from tests.http_client import ask, login
from tests.programs import CHECKOUT, Running, eventually, rows, run, started

NASTY = """<img src=x onerror="alert(1)"><script>alert(2)</script> & 'x' \u202e{{ 7*7 }}"""
COVER = picture("blue", (900, 900))
TREE: Tree = {
    "Björk/Post/01 Army of Me.mp3": tagged(
        ".mp3", title="Army of Me", artist="Björk", album="Post", date="1995", track="1"
    ),
    "Björk/Post/02 Hyperballad.flac": tagged(
        ".flac", title="Hyperballad", artist="Björk", album="Post", date="1995", track="2"
    ),
    "Björk/Post/cover.jpg": COVER,
    "Odd/nasty.mp3": tagged(".mp3", title=NASTY, artist=NASTY, album=NASTY),
    "Odd/long.mp3": tagged(".mp3", title="long " + "x" * 1_000_000, artist="Long"),
    "Odd/nothing.mp3": tagged(".mp3"),
    b"Odd/not utf-8 \xff.mp3": tagged(".mp3", title="Bytes"),
    "Odd/broken.flac": b"fLaC",
}  # fmt: skip


class Served(NamedTuple):
    """The pages of an index, by a program that runs."""

    url: str
    running: Running


@contextmanager
def web(
    db: Path, *words: str | Path, env: Mapping[str, str] | None = None, config: str | None = None
) -> Iterator[Served]:
    """The real program on a free port, once it says where."""
    with started("web", "--port", "0", *words, db=db, env=env, config=config) as running:
        line = running.line()
        found = re.match(r"Page: (http://\S+:\d+)$", line)
        assert found is not None, line
        yield Served(found[1], running)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "Music"
    plant(folder, TREE)
    os.symlink("/etc/hostname", folder / "Odd" / "outside.mp3")
    return folder


@pytest.fixture(scope="module")
def index(music: Path) -> Path:
    db = music.parent / "index" / "library.db"
    run("rebuild", music, db=db)
    return db


@pytest.fixture(scope="module")
def served(index: Path) -> Iterator[Served]:
    with web(index, config="web_audio = true\n") as running:
        yield running


def track_id(index: Path, title: str) -> int:
    return int(rows(index, "SELECT id FROM library WHERE title = ?", title)[0][0])


def album_id(index: Path, title: str) -> int:
    return int(rows(index, "SELECT id FROM albums WHERE title = ?", title)[0][0])


LISTS = [
    "search", "albums", "artists", "changes", "problems", "duplicates", "playlists", "work",
]  # fmt: skip


# ---- what is shown


@pytest.mark.parametrize("path", ["/", *(f"/{one}" for one in LISTS)])
def test_each_page_is_shown(path: str, served: Served) -> None:
    answer = ask(served.url, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<h1" in answer.text


@pytest.mark.parametrize("name", LISTS)
def test_each_list_is_also_data(name: str, served: Served) -> None:
    as_json = ask(served.url, f"/{name}.json?q=post")
    assert as_json.headers["Content-Type"] == "application/json"
    assert json.loads(as_json.body)
    as_csv = ask(served.url, f"/{name}.csv?q=post")
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    head = next(csv.reader([as_csv.text.partition("\r\n")[0]]))  # a title is too long for csv
    assert len(head) > 2
    assert ask(served.url, f"/{name}.xml").status == 404


def test_a_search_finds_artists_albums_and_tracks(served: Served, index: Path) -> None:
    told = json.loads(ask(served.url, "/search.json?q=bjork").body)
    assert [one["artist"] for one in told["artists"]] == ["Björk"]
    assert [one["title"] for one in told["albums"]] == ["Post"]
    assert {one["title"] for one in told["tracks"]} == {"Army of Me", "Hyperballad"}
    page = ask(served.url, "/search?q=bjork").text
    assert f'href="/albums/{album_id(index, "Post")}"' in page
    assert page.index("<h2>Artists") < page.index("<h2>Albums") < page.index("<h2>Tracks")


def test_a_slip_is_mended_and_said(served: Served) -> None:
    page = ask(served.url, "/search?q=hyperbalad").text
    assert "Hyperballad" in page
    assert 'Nothing has <bdi dir="auto">hyperbalad</bdi>' in page


def test_of_a_very_long_text_it_is_said_what_was_not_looked_for(served: Served) -> None:
    said = "its last 24 characters were not looked for"
    assert said in ask(served.url, "/search?q=bjork" + "+" * 1016 + "joy").text
    assert said in ask(served.url, "/search?q=" + "q" * 1024).text
    assert "not looked for" not in ask(served.url, "/search?q=bjork" + "+" * 2000).text
    page = ask(served.url, "/search?q=" + "-q+" * 300 + "hyperbalad").text  # 910: all of it
    assert 'Nothing has <bdi dir="auto">hyperbalad</bdi>' in page


def test_a_search_that_is_none_says_what_is_wrong(served: Served) -> None:
    answer = ask(served.url, "/search?q=" + quote("year:abc"))
    assert (answer.status, "That was not understood" in answer.text) == (400, True)
    assert '<input id="q" name="q" type="search" value="year:abc"' in answer.text


def test_single_things_have_their_pages(served: Served, index: Path) -> None:
    track, album = track_id(index, "Hyperballad"), album_id(index, "Post")
    ((artist,),) = rows(index, "SELECT id FROM artists WHERE name = 'Björk'")
    assert "Hyperballad" in ask(served.url, f"/albums/{album}").text
    assert "Post" in ask(served.url, f"/artists/{artist}").text
    page = ask(served.url, f"/tracks/{track}").text
    assert "Music/Björk/Post/02 Hyperballad.flac" in page
    times = rows(index, f"SELECT added_at, indexed_at FROM library WHERE id = {track}")[0]
    for shown in (f"{one[:10]} {one[11:16]} UTC" for one in times):
        assert shown in page
    assert "Album artists" in page
    assert "Albumartists" not in page
    assert json.loads(ask(served.url, f"/tracks/{track}.json").body)["title"] == "Hyperballad"
    assert len(json.loads(ask(served.url, f"/albums/{album}.json").body)["tracks"]) == 2
    assert json.loads(ask(served.url, f"/artists/{artist}.json").body)["tracks"] == 2


def test_an_artist_and_an_album_tell_what_happened_to_their_tracks(
    db: Path, tmp_path: Path
) -> None:
    def song(title: str, artist: str, album: str) -> bytes:
        return tagged(".mp3", title=title, artist=artist, album=album)

    music = tmp_path / "Music"
    plant(music, {
        "Ida/One/1.mp3": song("Kept", "Ida", "One"), "Ida/One/2.mp3": song("Left", "Ida", "One"),
        "Eva/Two/1.mp3": song("Other", "Eva", "Two"), "Eva/Two/2.mp3": song("Too", "Eva", "Two"),
        "Ida/One/3.mp3": song("Moved", "Ola", "One"), "Ida/One/a/4.mp3": song("In", "Ola", "A"),
    })  # fmt: skip
    run("rebuild", music, db=db)
    for moved in ("One/3.mp3", "One/a/4.mp3"):
        (music / "Ola" / moved).parent.mkdir(parents=True)
        (music / "Ida" / moved).rename(music / "Ola" / moved)
    for gone in ("Ida/One/2.mp3", "Eva/Two/2.mp3"):
        (music / gone).unlink()
    plant(music, {"Ida/One/1.mp3": song("Kept still", "Ida", "One")})
    run("scan", db=db)
    ((artist,),) = rows(db, "SELECT id FROM artists WHERE name = 'Ida'")
    with web(db) as running:
        told = json.loads(ask(running.url, f"/artists/{artist}.json").body)["changes"]
        happened = {(one["kind"], one["path"]) for one in told}
        assert happened == {
            ("added", "Ida/One/1.mp3"), ("modified", "Ida/One/1.mp3"),
            ("added", "Ida/One/2.mp3"), ("missing", "Ida/One/2.mp3"),
        }  # fmt: skip
        assert told[0]["kind"] != "added", "the newest comes first"
        page = ask(running.url, f"/artists/{artist}").text
        of_album = ask(running.url, f"/albums/{album_id(db, 'One')}").text
        for text in (page, of_album):
            assert '<span class="kind missing">' in text
            assert "Ida/One/2.mp3" in text
            assert "Eva/" not in text
        assert "Ida/One/3.mp3 → " in of_album
        assert "Ida/One/a/4.mp3" not in of_album


@pytest.mark.parametrize("path", ["/albums/999999", "/artists/999999", "/tracks/999999",
    "/tracks/99999999999999999999", "/nowhere", "/covers/x.jpg", "/audio/999999"])  # fmt: skip
def test_what_is_not_there_is_404(path: str, served: Served) -> None:
    answer = ask(served.url, path)
    assert answer.status == 404
    assert "There is nothing here" in answer.text


def test_hostile_tags_stay_text(served: Served, index: Path) -> None:
    track, album = track_id(index, NASTY), album_id(index, NASTY)
    lists = ("/", "/albums", "/artists", "/changes", "/live.json?after=0")
    searches = ("/search?q=onerror", "/search?q=" + quote(NASTY))
    for path in (*lists, *searches, f"/tracks/{track}", f"/albums/{album}"):
        page = ask(served.url, path).text
        assert "<img src=x" not in page
        assert "<script>alert" not in page


def test_a_title_of_a_million_letters_is_cut(served: Served) -> None:
    for path in ("/", "/changes", "/search?q=artist:long"):
        assert len(ask(served.url, path).body) < 200_000


def test_paths_that_are_not_utf8_are_shown(served: Served) -> None:
    told = json.loads(ask(served.url, "/search.json?q=title:bytes").body)
    assert told["tracks"][0]["path"] == "Odd/not utf-8 \ufffd.mp3"
    assert ask(served.url, "/changes.csv").status == 200


def test_new_albums_are_a_feed_that_can_be_parsed(served: Served) -> None:
    answer = ask(served.url, "/albums.atom")
    assert answer.headers["Content-Type"].startswith("application/atom+xml")
    atom = "{http://www.w3.org/2005/Atom}"
    feed = ET.fromstring(answer.body)
    titles = [one.findtext(f"{atom}title") for one in feed.iter(f"{atom}entry")]
    assert "Post – Björk" in titles
    links = [one.find(f"{atom}link") for one in feed.iter(f"{atom}entry")]
    assert all(one is not None and one.get("href", "").startswith(served.url) for one in links)


def test_numbers_that_are_none_are_the_first_page(served: Served) -> None:
    for page in ("0", "-1", "x", "9" * 30, ""):
        assert ask(served.url, f"/albums?page={page}").status == 200


def test_changes_after_a_number_are_all_of_them(served: Served) -> None:
    def after(number: str) -> list[int]:
        found = json.loads(ask(served.url, f"/changes.json?after={number}").text)["changes"]
        return [change["seq"] for change in found]

    everything = after("0")
    assert everything[0] == 1
    assert after("1") == everything[1:]
    assert after("00002") == everything[2:]
    assert after("9" * 10) == after("9" * 30) == []


def test_duplicates_and_playlists_are_those_of_the_commands(db: Path, tmp_path: Path) -> None:
    song = tagged(".mp3", title="Twice <b>", artist="Ida")
    songs: Tree = {"A/1.mp3": song, "B/1.mp3": song, "B/list.m3u8": b"1.mp3\nnowhere <b>.mp3\n"}
    plant(tmp_path / "Music", songs)
    run("rebuild", tmp_path / "Music", db=db)
    with web(db) as running:
        for by in ("essence", "recording"):
            told = json.loads(ask(running.url, f"/duplicates.json?by={by}").body)["duplicates"]
            assert [len(group["files"]) for group in told] == [2]
            page = ask(running.url, f"/duplicates?by={by}").text
            assert page.count('href="/tracks/') == 2
            assert "<b>" not in page
        table = ask(running.url, "/duplicates.csv").text.splitlines()
        assert [line.partition(",")[0] for line in table] == ["group", "1", "1"]
        (playlist,) = json.loads(ask(running.url, "/playlists.json").body)["playlists"]
        assert (playlist["tracks"], playlist["broken"]) == (1, 1)
        page = ask(running.url, "/playlists").text
        assert "nowhere &lt;b&gt;.mp3" in page


def test_metrics_are_those_of_the_command(served: Served, index: Path) -> None:
    answer = ask(served.url, "/metrics")
    assert (answer.status, answer.headers["Content-Type"][:10]) == (200, "text/plain")
    tracks = [line for line in answer.text.splitlines() if line.startswith("music_indexer_tracks")]
    printed = run("metrics", db=index).out.splitlines()
    assert tracks
    assert set(tracks) <= set(printed)


# ---- covers and audio


def test_covers_are_sent_in_two_sizes_and_kept_for_ever(served: Served) -> None:
    name = hash_of(COVER)
    for size in (256, 600):
        answer = ask(served.url, f"/covers/{name}-{size}.jpg")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
        assert answer.body.startswith(b"\xff\xd8")
        assert "immutable" in answer.headers["Cache-Control"]
        again = {"If-None-Match": answer.headers["ETag"]}
        assert ask(served.url, f"/covers/{name}-{size}.jpg", headers=again).status == 304
    assert ask(served.url, f"/covers/{name}-300.jpg").status == 404
    assert ask(served.url, f"/covers/{'0' * 32}-256.jpg").status == 404


def test_where_no_large_cover_can_be_kept_the_small_one_is_sent(index: Path) -> None:
    folder = index.with_name("library.db.artwork")
    large = folder / "600"
    aside = folder / "600.aside"
    if large.exists():
        large.rename(aside)
    large.write_bytes(b"")  # a file, in which no folder can be made
    try:
        with web(index) as running:
            answer = ask(running.url, f"/covers/{hash_of(COVER)}-600.jpg")
            assert (answer.status, "immutable" in answer.headers["Cache-Control"]) == (200, False)
            assert answer.body == ask(running.url, f"/covers/{hash_of(COVER)}-256.jpg").body
    finally:
        large.unlink()
        if aside.exists():
            aside.rename(large)


def test_audio_is_sent_whole_and_in_parts(served: Served, index: Path, music: Path) -> None:
    path = f"/audio/{track_id(index, 'Hyperballad')}"
    content = (music / "Björk/Post/02 Hyperballad.flac").read_bytes()
    whole = ask(served.url, path)
    assert (whole.status, whole.headers["Content-Type"]) == (200, "audio/flac")
    assert whole.body == content
    part = ask(served.url, path, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    end = ask(served.url, path, headers={"Range": "bytes=-7"})
    assert (end.status, end.body) == (206, content[-7:])
    for of_whole in ("bytes=0-0,5-9", "seconds=0-1"):  # may be ignored, and must be
        answer = ask(served.url, path, headers={"Range": of_whole})
        assert (answer.status, answer.body) == (200, content)
    longer = ask(served.url, path, headers={"Range": f"bytes=-{10 * len(content)}"})
    assert (longer.status, longer.body) == (206, content)
    for nothing in (f"bytes={len(content)}-", "bytes=-0", "bytes= -00"):
        beyond = ask(served.url, path, headers={"Range": nothing})
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    stale = ask(served.url, path, headers={"Range": "bytes=1-2", "If-Range": '"other"'})
    assert (stale.status, stale.body) == (200, content)
    tag = whole.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = ask(served.url, path, headers={"If-None-Match": known, "Range": "bytes=1-2"})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    other = ask(served.url, path, headers={"If-None-Match": '"other"'})
    assert (other.status, other.body) == (200, content)


def test_audio_is_off_unless_a_setting_says_so(index: Path) -> None:
    with web(index, config="") as running:
        assert ask(running.url, f"/audio/{track_id(index, 'Hyperballad')}").status == 404
        assert "/audio/" not in ask(running.url, "/search?q=hyper").text


def test_no_link_leads_audio_out_of_a_root(db: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    plant(outside, {"song.mp3": tagged(".mp3", title="Outside")})
    plant(tmp_path / "Music", {"Album/song.mp3": tagged(".mp3", title="Inside")})
    run("rebuild", tmp_path / "Music", db=db)
    path = f"/audio/{track_id(db, 'Inside')}"
    with web(db, config="web_audio = true\nfollow_links = true\n") as running:
        assert ask(running.url, path).status == 200
        (tmp_path / "Music/Album/song.mp3").unlink()
        (tmp_path / "Music/Album/song.mp3").symlink_to(outside / "song.mp3")
        assert ask(running.url, path).status == 404
        (tmp_path / "Music/Album/song.mp3").unlink()
        (tmp_path / "Music/Album").rmdir()
        (tmp_path / "Music/Album").symlink_to(outside)
        assert ask(running.url, path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py",
        "/covers/../../etc/passwd", "/covers/..%2f..%2fetc%2fpasswd.jpg", "/static/%2fetc/passwd",
        "/audio/../1", "/audio/1%00",
    ],
)  # fmt: skip
def test_no_path_climbs_out(path: str, served: Served) -> None:
    answer = ask(served.url, path)
    assert answer.status == 404
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


# ---- who may look


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/search", "/static/page.css", "/nowhere"])
def test_nothing_but_looking_is_answered(method: str, path: str, served: Served) -> None:
    assert ask(served.url, path, method).status == 405


def test_a_page_says_to_browsers_what_it_may_not(served: Served) -> None:
    for path in ("/", "/search.json", "/static/page.css", "/nowhere", "/events"):
        headers = ask(served.url, path, "HEAD").headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_another_name_for_this_machine_is_refused(served: Served) -> None:
    port = urlsplit(served.url).port
    for path in ("/", "/static/page.css", "/search.json", "/events"):
        assert ask(served.url, path, headers={"Host": f"example.org:{port}"}).status == 403
    assert ask(served.url, headers={"Host": f"localhost:{port}"}).status == 200


def test_a_further_name_is_a_setting(index: Path) -> None:
    with web(index, config='web_hosts = ["music.example.org"]\n') as running:
        assert ask(running.url, headers={"Host": "music.example.org"}).status == 200
        assert ask(running.url, headers={"Host": "example.org"}).status == 403


def test_other_machines_may_not_look_without_a_password(index: Path) -> None:
    ran = run("web", "--host", "0.0.0.0", db=index, check=2)
    assert "--host 0.0.0.0: the whole network could read the index" in ran.err
    assert "INDEXER_WEB_PASSWORD" in ran.err


def test_with_a_password_nothing_is_shown_without_it(index: Path) -> None:
    env = {"INDEXER_WEB_USER": "music", "INDEXER_WEB_PASSWORD": "Múm & more"}
    with web(index, "--host", "0.0.0.0", env=env) as running:
        url = f"http://127.0.0.1:{urlsplit(running.url).port}"
        for path in ("/", "/static/page.css", "/events", "/search.json", "/nowhere"):
            assert ask(url, path).status == 401
        assert ask(url, headers=login("music", "Mum & more")).status == 401
        assert ask(url, headers=login("music", "Múm & more")).status == 200
        assert "Múm" not in Path(f"/proc/{running.running.pid}/cmdline").read_text("utf-8")
        for _ in range(12):
            last = ask(url, headers=login("music", "guess"))
        assert (last.status, int(last.headers["Retry-After"]) > 0) == (429, True)


# ---- the feed


def events(url: str, after: int, headers: str = "") -> socket.socket:
    """An open stream."""
    where = urlsplit(url)
    stream = socket.create_connection((str(where.hostname), where.port or 0), timeout=60)
    stream.sendall(
        f"GET /events?after={after} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()
    )
    return stream


def read_until(stream: socket.socket, wanted: bytes) -> bytes:
    read = b""
    while wanted not in read:
        more = stream.recv(65536)
        assert more, read
        read += more
    return read


def test_a_signal_ends_it_with_0_while_pages_are_open(index: Path) -> None:
    with web(index) as running, events(running.url, 0) as stream:
        read_until(stream, b"event: line")
        running.running.process.send_signal(signal.SIGTERM)
        assert running.running.end() == (0, "", "")


def test_before_anything_is_indexed_it_says_so_and_then_shows_it(
    no_db: Path, tmp_path: Path
) -> None:
    no_db.parent.mkdir()
    with web(no_db) as running:
        answer = ask(running.url, "/albums")
        assert (answer.status, "Nothing is indexed yet" in answer.text) == (503, True)
        assert ask(running.url, "/").status in {200, 503}
        plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="First", album="Debut")})
        run("rebuild", tmp_path / "Music", db=no_db)
        assert "Debut" in ask(running.url, "/albums").text


def test_an_index_that_was_replaced_is_opened_again(db: Path, tmp_path: Path) -> None:
    plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="First", album="Debut")})
    run("rebuild", tmp_path / "Music", db=db)
    copy = tmp_path / "copy.db"
    run("backup", copy, db=db)
    with web(db) as running:
        assert "Debut" in ask(running.url, "/albums").text
        plant(tmp_path / "Music", {"2.mp3": tagged(".mp3", title="Second", album="Post")})
        run("scan", db=db)
        eventually(lambda: "Post" in ask(running.url, "/albums.json").text)
        os.replace(copy, db)
        for suffix in ("-wal", "-shm"):
            db.with_name(db.name + suffix).unlink(missing_ok=True)
        eventually(lambda: "Post" not in ask(running.url, "/albums.json").text)


@pytest.mark.parametrize("lost", ["-wal", "-shm"])
def test_an_index_whose_log_was_deleted_is_opened_again(
    lost: str, db: Path, tmp_path: Path
) -> None:
    music = tmp_path / "Music"
    plant(music, {"1.mp3": tagged(".mp3", title="First", album="Debut")})
    run("rebuild", music, db=db)
    with watching(music, db=db) as daemon, web(db) as running:
        assert "Debut" in ask(running.url, "/albums").text
        db.with_name(db.name + lost).unlink()
        daemon.watches(times=2)
        plant(music, {"2.mp3": tagged(".mp3", title="Second", album="Post")})
        eventually(lambda: "Post" in ask(running.url, "/albums").text)


@pytest.mark.parametrize("path", ["/", "/live.json", "/changes.json", "/tracks/1"])
def test_an_index_that_cannot_be_read_is_said_on_each_page(
    path: str, db: Path, tmp_path: Path
) -> None:
    plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="First", album="Debut")})
    run("rebuild", tmp_path / "Music", db=db)
    with web(db) as running:
        assert ask(running.url, path).status == 200
        with closing(sqlite3.connect(db)) as connection:
            connection.executescript("DROP TABLE changes")
        eventually(lambda: ask(running.url, path).status != 200)
        assert ask(running.url, path).status == 503
        assert "The index cannot be read now" in ask(running.url, path).text


@pytest.mark.parametrize("missing", ["flask", "jinja2"])
def test_without_the_extra_it_says_how_to_get_it(missing: str, index: Path, tmp_path: Path) -> None:
    stand_in = tmp_path / f"{missing}.py"
    stand_in.write_text(f"raise ModuleNotFoundError('not installed', name={missing!r})\n")
    ran = run("web", db=index, check=3, env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"})
    pip = f"{sys.executable} -m pip install 'music-indexer[web]'"
    assert ran.err.endswith(f"({missing} is missing): {pip}\n")


def test_the_script_is_short_and_nothing_comes_from_elsewhere() -> None:
    folder = CHECKOUT / "indexer" / "web"
    assert len((folder / "static/page.js").read_text().splitlines()) <= 150
    texts = [*folder.glob("static/*"), *folder.glob("templates/*.html")]
    assert [
        one.name
        for one in texts
        if re.search(r"https?://(?!www\.w3\.org/|\{\{ request\.host)", one.read_text())
    ] == []
