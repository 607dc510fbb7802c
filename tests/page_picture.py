"""A library that looks like a real one, in a real Chromium -> the README's picture of the page.

python -m tests.page_picture
"""

from __future__ import annotations

import shutil
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.demo_library import plant_demo
from tests.integration.test_web import web
from tests.programs import CHECKOUT, run

PICTURE: Final = CHECKOUT / "deploy" / "page.png"
WIDTH, HEIGHT = 1280, 700


def taken() -> bytes:
    """The first page as a PNG."""
    with TemporaryDirectory() as folder:
        music = Path(folder) / "Music"
        db = Path(folder) / "index" / "library.db"
        plant_demo(music)
        shutil.rmtree(music / "東京スロウモーション")  # Debian's Chromium alone has no such letters
        run("rebuild", music, db=db)
        with watching(music, db=db), web(db) as served, sync_playwright() as playwright:
            program = shutil.which("chromium")
            chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(served.url)
            page.wait_for_selector(".line.green")
            live(music)
            page.wait_for_selector("#feed .kind.missing")
            page.reload()
            page.wait_for_selector(".line.green")
            page.evaluate("document.querySelector('.brand .on').textContent = ' on nas'")
            for image in page.locator("img").all():
                expect(image).to_have_js_property("naturalWidth", 256)
            page.evaluate("document.activeElement.blur()")
            return page.screenshot()


def live(music: Path) -> None:
    """Change a few files, one after the other."""
    songs = sorted(music.glob("Juno Abara/*/*.flac"))
    songs[0].rename(songs[0].with_name("01 Salt Tide (live).flac"))
    time.sleep(1)
    plant(music, {"Delta Morgan/One More Train/01 Ember.mp3": tagged(
        ".mp3", title="Ember", artist="Delta Morgan", album="One More Train", date="1971",
    )})  # fmt: skip
    time.sleep(1)
    songs[1].write_bytes(tagged(".flac", title="Thread & Glass", artist="Juno Abara", track="2"))
    time.sleep(1)
    songs[2].unlink()


def main() -> None:
    with Image.open(BytesIO(taken())) as image:
        image.convert("RGB").quantize(256).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
