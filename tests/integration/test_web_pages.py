"""The pages of `indexer web` in a real Chromium: looks, keyboard, what is live, and access."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.demo_library import plant_demo
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.integration.test_web import NASTY, Served, web
from tests.programs import run

PHONE, DESKTOP, SMALLEST = (390, 844), (1280, 800), (320, 640)
PAGES = (
    "/", "/search?q=lantern", "/search?q=nothing-has-this", "/search", "/albums",
    "/albums?genre=Folk&sort=newest", "/albums/{album}", "/artists", "/artists/{artist}",
    "/tracks/{track}", "/changes", "/problems", "/duplicates", "/playlists", "/work", "/nowhere",
)  # fmt: skip
LIVE_MS = 30_000
"""A deadline; how fast it is, `tests/bench` may say."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages")
    plant_demo(folder / "Music")
    plant(
        folder / "Music",
        {
            "Odd/nasty.mp3": tagged(".mp3", title=NASTY, artist=NASTY, album=NASTY),
            "Odd/long.mp3": tagged(".mp3", title="W" * 255, artist="W" * 255, album="W" * 255),
            "Odd/huge.mp3": tagged(".mp3", title="huge " + "x" * 1_000_000, album="Huge"),
        },
    )
    db = folder / "index" / "library.db"
    run("rebuild", folder / "Music", db=db)
    with web(db, config="web_audio = true\n") as running:
        yield running


class Watched:
    """What a page did that it may not."""

    def __init__(self, page: Page, url: str) -> None:
        self.told: list[str] = []
        self._url = url
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.on("request", self._request)
        page.on("dialog", lambda dialog: self.told.append(dialog.message))

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and "404 (NOT FOUND)" not in text:
            self.told.append(text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._url, "data:")):
            self.told.append(request.url)


def opened(browser: Browser, size: tuple[int, int], **options: Any) -> Page:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    return context.new_page()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page on a desk that may write nothing to its console, and ask no other host."""
    page = opened(browser, DESKTOP)
    watched = Watched(page, served.url)
    yield page
    page.context.close()
    assert watched.told == []


def addresses(page: Page, url: str) -> list[str]:
    """The pages, with ids that there are."""
    page.goto(f"{url}/albums")
    album = page.locator("a.album").nth(2).get_attribute("href")
    page.goto(f"{url}/artists")
    artist = page.locator(".names a").nth(5).get_attribute("href")
    page.goto(f"{url}{album}")
    track = page.locator(".track a.what").first.get_attribute("href")
    ids = [str(path).rpartition("/")[2] for path in (album, artist, track)]
    return [path.format(album=ids[0], artist=ids[1], track=ids[2]) for path in PAGES]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_everyone_can_use_each_page(
    theme: str, size: tuple[int, int], browser: Browser, served: Served
) -> None:
    """Axe finds nothing, nothing is wider than the screen, nothing fails or asks elsewhere."""
    page = opened(browser, size, color_scheme=theme, reduced_motion="reduce")
    watched = Watched(page, served.url)
    axe = Axe()
    for path in addresses(page, served.url):
        page.goto(served.url + path)
        found = axe.run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{path} is {widths[0]} wide"
    page.context.close()
    assert watched.told == []


def test_no_word_of_the_menu_is_broken_on_the_smallest_screen(
    browser: Browser, served: Served
) -> None:
    page = opened(browser, SMALLEST)
    page.goto(served.url)
    heights = page.eval_on_selector_all(
        ".places a", "links => links.map(one => one.getBoundingClientRect().height)"
    )
    lines = page.eval_on_selector_all(
        ".places a", "links => links.map(one => parseFloat(getComputedStyle(one).lineHeight))"
    )
    assert len(heights) == 5
    assert all(height < 2 * line for height, line in zip(heights, lines, strict=True))
    page.context.close()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_first_page_needs_no_scrolling(
    size: tuple[int, int], browser: Browser, served: Served
) -> None:
    page = opened(browser, size)
    page.goto(served.url)
    for part in (".line", ".new .album", ".trouble", "#feed .change"):
        bottom = page.evaluate(
            "one => document.querySelector(one).getBoundingClientRect().bottom", part
        )
        assert 0 < bottom <= size[1], part
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height <= size[1]
    expect(page.locator("#q")).to_be_focused()
    page.context.close()


def test_hostile_tags_are_text(page: Page, served: Served) -> None:
    page.goto(served.url + "/search?q=onerror")
    expect(page.locator(".tracks .title").first).to_contain_text("<img src=x onerror")
    assert page.locator("main img[src=x], main script").count() == 0
    page.locator(".tracks a.what").first.click()
    expect(page.locator("h1")).to_contain_text("<script>alert(2)</script>")
    assert page.locator("main script").count() == 0


def test_a_search_is_shown_as_it_is_typed(page: Page, served: Served) -> None:
    page.goto(served.url)
    page.keyboard.type("salt harb")
    expect(page.locator("#found .album .title").first).to_have_text("Salt Harbour")
    expect(page.locator("#page")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#page")).to_be_visible()
    expect(page.locator("#q")).to_have_value("")


def test_the_keyboard_is_enough(page: Page, served: Served) -> None:
    page.goto(served.url + "/albums")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("copper rain")
    expect(page.locator("#found .album .title").first).to_have_text("Copper Rain")
    page.keyboard.press("ArrowDown")
    first = page.locator("#found a.hit").first
    expect(first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#found a.hit").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("ArrowDown")
    target = first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{target}")


def test_a_slash_in_a_search_is_a_slash(page: Page, served: Served) -> None:
    page.goto(served.url)
    page.keyboard.type("a/b")
    expect(page.locator("#q")).to_have_value("a/b")


def test_all_works_without_a_script(browser: Browser, served: Served) -> None:
    page = opened(browser, DESKTOP, java_script_enabled=False)
    page.goto(served.url)
    page.locator("#q").fill("salt harbour")
    page.locator("#q").press("Enter")
    assert page.url.endswith("/search?q=salt+harbour")
    assert page.locator(".album .title").first.inner_text() == "Salt Harbour"
    page.goto(served.url + "/albums")
    page.locator("summary", has_text="Genre").click()
    page.locator(".facet a", has_text="Jazz").click()
    assert page.locator(".album").count() == 1
    page.context.close()


def test_names_of_other_scripts_run_their_way(page: Page, served: Served) -> None:
    page.goto(served.url + "/search?q=" + "ليالي")
    title = page.locator(".album .title bdi").first
    expect(title).to_have_text("ليالي القاهرة")
    assert title.evaluate("one => getComputedStyle(one).direction") == "rtl"
    page.goto(served.url + "/search?q=夜明け")
    expect(page.locator(".album .title").first).to_have_text("夜明けの電車")


def test_covers_come_and_albums_without_one_have_their_letters(page: Page, served: Served) -> None:
    page.goto(served.url + "/albums?cover=yes")
    image = page.locator("img.cover").first
    expect(image).to_be_visible()
    expect(image).to_have_js_property("naturalWidth", 256)
    page.goto(served.url + "/albums?cover=no&sort=year")
    expect(page.locator(".album .cover.none").first).to_have_text("4S")


def test_a_track_is_played_on_its_page(page: Page, served: Served) -> None:
    page.goto(served.url + "/search?q=album:copper")
    with page.expect_response(re.compile("/audio/")) as got:
        page.locator("a.play").first.click()
    assert got.value.status in {200, 206}
    expect(page.locator("#player audio")).to_be_visible()


# ---- live


def test_a_file_that_is_written_shows_on_the_open_page(
    browser: Browser, db: Path, tmp_path: Path
) -> None:
    plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="First")})
    with (
        watching(tmp_path / "Music", db=db),
        web(db) as served,
        closing(opened(browser, DESKTOP)) as page,
    ):
        page.goto(served.url)
        expect(page.locator(".line.green")).to_contain_text("1 track", timeout=LIVE_MS)
        plant(tmp_path / "Music", {"2.mp3": tagged(".mp3", title="Second <b>one</b>")})
        first = page.locator("#feed .change").first
        expect(first).to_contain_text("Second <b>one</b>", timeout=LIVE_MS)
        expect(first.locator(".kind")).to_have_text("added")
        expect(page.locator(".line.green")).to_contain_text("2 tracks", timeout=LIVE_MS)
        os.rename(tmp_path / "Music/2.mp3", tmp_path / "Music/3.mp3")
        expect(page.locator("#feed .moved")).to_be_visible(timeout=LIVE_MS)


def test_a_disk_that_is_taken_away_turns_the_line_red_until_it_is_back(
    browser: Browser, db: Path, tmp_path: Path, mount: Mount, make_disk: MakeDisk
) -> None:
    disk = make_disk("disk")
    point = mount(tmp_path / "usb", "-o", "loop", disk)
    plant(point, {"1.mp3": tagged(".mp3", title="First")})
    with watching(point, db=db), web(db) as served, closing(opened(browser, PHONE)) as page:
        page.goto(served.url)
        expect(page.locator(".line.green")).to_be_visible(timeout=LIVE_MS)
        unmount(point)
        red = page.locator(".line.red")
        expect(red).to_contain_text("usb is offline", timeout=LIVE_MS)
        expect(red.locator(".step")).to_contain_text("Mount the right disk")
        mount(point, "-o", "loop", disk)
        expect(page.locator(".line.green")).to_be_visible(timeout=LIVE_MS)


def test_a_page_without_a_stream_asks_instead(browser: Browser, db: Path, tmp_path: Path) -> None:
    plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="First")})
    run("rebuild", tmp_path / "Music", db=db)
    with web(db) as served, closing(opened(browser, DESKTOP)) as page:
        page.route("**/events*", lambda route: route.fulfill(status=503, body=""))
        page.goto(served.url)
        plant(tmp_path / "Music", {"2.mp3": tagged(".mp3", title="Second")})
        run("scan", db=db)
        expect(page.locator("#feed .change").first).to_contain_text("Second", timeout=LIVE_MS)
