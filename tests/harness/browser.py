"""An annotator at Label Studio's page in Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.harness.waiting import wait_for

CHROMIUM = "/usr/bin/chromium"


class Annotator:
    """One logged-in person with one tab; foreign hosts are cut off, pictures go to `pictures`."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self.url, self.pictures = page, url, pictures
        page.set_default_timeout(30_000)
        page.route(re.compile(r"^(https?|wss?)://"), self._local_only)  # never blob:, images are fetched into it

    def _local_only(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(self.url).netloc:
            route.continue_()
        else:
            route.abort()

    def log_in(self, email: str, password: str) -> None:
        self.page.goto(f"{self.url}/user/login/")
        self.page.fill('input[name="email"]', email)
        self.page.fill('input[name="password"]', password)
        self.page.click('button[type="submit"]')
        self.page.wait_for_url(re.compile(r"/(projects.*)?$"))

    def open_project(self, project: int) -> None:
        """The Data Manager of a project."""
        self.page.goto(f"{self.url}/projects/{project}/data")
        expect(self.page.locator('button:has-text("Label All Tasks")').first).to_be_visible()

    def label_all_tasks(self) -> None:
        self.page.locator('button:has-text("Label All Tasks")').first.click()
        self.editor_ready()

    def editor_ready(self) -> None:
        """The image is drawn and the form can be submitted."""
        expect(self.page.locator('button:has-text("Submit")').first).to_be_enabled()
        self.page.wait_for_function(
            "[...document.querySelectorAll('.lsf-editor img, [class*=editor] img')]"
            ".some(image => image.complete && image.naturalWidth > 0)"
        )

    @property
    def task(self) -> int:
        """Id of the task on the screen, as the bar at the bottom shows it."""
        return int(self.page.locator(".lsf-current-task__task-id").first.inner_text().split()[0])

    @property
    def chosen(self) -> list[str]:
        """Choices that are ticked now."""
        boxes = self.page.locator('input[type="radio"]:checked, input[type="checkbox"]:checked')
        return [str(box.get_attribute("name")) for box in boxes.all() if box.get_attribute("name")]

    def choose(self, label: str) -> None:
        """Click a choice; its text has the hotkey behind it."""
        self.page.locator("label").filter(has_text=re.compile(rf"^{re.escape(label)}")).first.click()

    def submit(self) -> None:
        """Submit and wait for another task."""
        before = self.task
        self.page.locator('button:has-text("Submit")').first.click()
        wait_for(lambda: self.task != before, 30, what=f"another task than {before}")
        self.editor_ready()

    def picture(self, name: str) -> Path:
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / f"{name}.png"
        self.page.screenshot(path=path)
        return path


@contextmanager
def annotator(url: str, pictures: Path) -> Iterator[Annotator]:
    """A fresh browser; what was on the screen when a test failed is kept as `failed.png`."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        person = Annotator(browser.new_page(viewport={"width": 1400, "height": 900}), url, pictures)
        try:
            yield person
        except BaseException:
            person.picture("failed")
            raise
        finally:
            browser.close()
