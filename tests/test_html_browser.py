"""A plan's page in a browser: what works without a script, what no page may do, and how it is laid out.

Chromium is driven over its debugging pipe. It gets a folder of its own, and it is ended with its processes.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import threading
import time
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.render.html import html
from provisioner.render.html_style import DARK, LIGHT
from provisioner.render.phrases import SYMBOLS

pytestmark = pytest.mark.unmeasured

CASES = Path(__file__).parent / "cases" / "plan"
PICTURES = Path(__file__).parent.parent / "build" / "screenshots"  # for people to look at
PATIENCE = 30.0  # seconds for one answer, on a machine that has other things to do
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
]
FLAGS += [
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]
NO_NAMES = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
NASTY = "</script><img src=x onerror=alert(1)> \u202e שלום 'q' \"r\" &amp; " + "w" * 200
SEEN = """Array.from(document.querySelectorAll(".group li")).filter(item => item.getClientRects().length).map(
  item => item.querySelector("code").innerText)"""


class Browser:
    """Chromium with one page."""

    def __init__(self, program: str, folder: Path) -> None:
        self.pid, self._to, self._from = _start(program, folder)
        self._left, self._count, self._session, self.events = b"", 0, "", list[dict[str, Any]]()
        pages = [it for it in self.call("Target.getTargets")["targetInfos"] if it["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message | session).encode() + b"\0")
        while (answer := self._read()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._left:
            assert select.select([self._from], [], [], max(until - time.monotonic(), 0))[0], "no answer"
            self._left += os.read(self._from, 1 << 20) or pytest.fail("the browser is gone")
        message, _, self._left = self._left.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, page: Path | str, *, scripts: bool = True) -> None:
        """Go there, and be there."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def ask(self, expression: str) -> Any:
        """What a debugger sees, whatever the page itself may do."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def shown(self) -> list[str]:
        """The addresses of the changes that are laid out."""
        found: list[str] = self.ask(SEEN)
        return found

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def click(self, selector: str) -> None:
        x, y = self.ask(
            f"(it => (it.scrollIntoView({{block: 'center'}}), it = it.getBoundingClientRect(), "
            f"[it.x + it.width / 2, it.y + it.height / 2]))(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, width: int, scheme: str = "light", media: str = "screen") -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=844,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=media, features=[feature])

    def picture(self) -> bytes:
        """The whole page, as PNG."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return b64decode(taken["data"])

    @property
    def complaints(self) -> list[str]:
        """What stands in the console."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [str(event["params"]) for event in self.events if event.get("method") in kinds]

    @property
    def requests(self) -> list[str]:
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._to)
        os.close(self._from)


def _start(program: str, folder: Path) -> tuple[int, int, int]:
    """Its debugging pipe is descriptors 3 and 4; it is the leader of a group of processes."""
    theirs, ours, other = os.pipe(), os.pipe(), 20
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, other) for end in (theirs[0], ours[1]))
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    pid = os.posix_spawn(
        program,
        [program, *FLAGS, NO_NAMES, f"--user-data-dir={folder}", "about:blank"],
        {"PATH": os.environ["PATH"], "HOME": str(folder)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, read, 3),
            (os.POSIX_SPAWN_DUP2, write, 4),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ],
        setsid=True,
    )
    for end in (theirs[0], ours[1], read, write, log):
        os.close(end)
    return pid, theirs[1], ours[0]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Browser]]:
    """The one browser of this file, once a test has asked for it."""
    browsers: list[Browser] = []
    yield browsers
    for browser in browsers:
        browser.end()


@pytest.fixture
def browser(
    tool: Callable[[str], str], started: list[Browser], tmp_path_factory: pytest.TempPathFactory
) -> Browser:
    program = tool("chromium")
    if not started:
        started.append(Browser(program, tmp_path_factory.mktemp("chromium")))
    started[0].look(1280)
    return started[0]


def document(name: str = "everything-in-one-plan") -> tuple[dict[str, Any], str]:
    content = yaml.safe_load((CASES / f"{name}.yaml").read_text("utf-8"))
    return json.loads(content["json"]), content["expect"]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A plan of every kind, with hostile names in it."""
    path, (plan, text) = tmp_path / "plan.html", document()
    note = {"address": "oauth_app.x" + NASTY, "text": f"note {NASTY}"}
    conflict = {"address": None, "summary": NASTY, "detail": NASTY, "hint": f"  {NASTY}"}
    plan |= {"notes": [*plan["notes"], note], "conflicts": [conflict]}
    for entry in plan["resource_changes"]:
        for end in filter(None, (entry["change"]["before"], entry["change"]["after"])):
            end["name"] += NASTY
            end["redirect_uris"] = [uri + NASTY for uri in end["redirect_uris"]]
    path.write_text(html(plan, text + NASTY, "2026-04-01T00:00:00Z"), "utf-8")
    return path


WALK = """
(source => {
  const tree = node => [
    node.localName,
    Array.from(node.attributes, it => [it.name, it.value]),
    Array.from(node.childNodes).filter(it => it.nodeType === 1 || it.data.trim()).map(
      it => it.nodeType === 1 ? tree(it) : it.data),
  ];
  const strict = new DOMParser().parseFromString(source, "application/xml");
  const forgiving = new DOMParser().parseFromString(source, "text/html");
  return [JSON.stringify(tree(strict.documentElement)), JSON.stringify(tree(forgiving.documentElement))];
})
"""


@pytest.mark.parametrize(
    "name",
    ["everything-in-one-plan", "an-import-where-a-create-is-open", "hostile-names-are-inert", "no-changes"],
)
def test_the_browser_reads_as_html_what_a_strict_parser_reads(browser: Browser, name: str) -> None:
    strict, forgiving = browser.ask(f"{WALK}({json.dumps(html(*document(name), NASTY))})")
    assert "parsererror" not in strict
    assert forgiving == strict


def test_that_comparison_finds_what_a_browser_mends(browser: Browser) -> None:
    strict, forgiving = browser.ask(f"{WALK}('<html><head/><body><p>a<div>b</div></p></body></html>')")
    assert forgiving != strict


def test_without_a_script_the_page_is_whole_and_shows_one_kind_at_a_time(
    browser: Browser, page: Path
) -> None:
    browser.open(page, scripts=False)
    every = browser.shown()
    assert len(every) == 10
    assert browser.ask("document.querySelector('.find')") is None
    browser.ask("document.querySelector('#show-all').focus()")
    seen = []
    for kind in SYMBOLS:
        browser.press("ArrowDown", 40)
        assert browser.ask("document.querySelector('[name=show]:checked').value") == kind
        seen += browser.shown()
        assert browser.ask(f"document.querySelector('.{kind}').checkVisibility()")
    assert seen == every
    browser.click("label:has(#show-destroy)")
    assert browser.shown() == ["oauth_app.deleted"]


def test_a_link_leads_to_its_change_even_where_its_kind_is_not_shown(browser: Browser, page: Path) -> None:
    browser.open(page, scripts=False)
    browser.click("label:has(#show-create)")
    assert browser.shown() == ["oauth_app.created"]
    browser.click("#cut a[href='#c2']")
    assert "oauth_app.deleted" in browser.shown()


def test_a_script_finds_by_text_within_a_kind_and_opens_and_closes_what_is_found(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    browser.click(".find input")
    browser.call("Input.insertText", text="ROTAT")
    assert browser.shown() == ["oauth_app.due", "oauth_app.rotating"]
    assert browser.ask("document.querySelector('output').textContent") == "2 found"
    browser.click("label:has(#show-destroy)")
    assert browser.ask("document.querySelector('output').textContent") == "0 found"
    browser.click("label:has(#show-all)")
    browser.click(".find button")
    assert browser.ask("document.querySelectorAll('.group details[open]').length") == 8
    assert browser.ask("document.querySelector('.find button').textContent") == "Open all"


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """An address, and what was asked of it."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            """A connection alone says nothing: chromium makes one for a frame before it asks the policy."""
            heard.extend(self.rfile.readline().decode().split())
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.block_on_close = False
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()
        thread.join()


def test_no_request_leaves_the_page_and_nothing_is_in_the_console(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click(".find input")
    browser.call("Input.insertText", text="rotat")
    browser.click(".find button")
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []


@pytest.mark.parametrize(
    "planted",
    ["<script>console.log('x')</script>", "<script>throw 1</script>", "<img src='nowhere.png'>"],
)
def test_a_message_in_the_console_would_be_noticed(browser: Browser, page: Path, planted: str) -> None:
    text = page.read_text("utf-8").replace("Content-Security-Policy", "Nothing")
    page.write_text(text.replace("</main>", f"{planted}</main>"), "utf-8")
    browser.open(page)
    assert browser.complaints


def drawn(picture: bytes) -> tuple[int, int, bytes]:
    """Width and height of a PNG, and its first pixel's colour, to which no filter has anything to add."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    at, data = 8, b""
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        if picture[at + 4 : at + 8] == b"IDAT":
            data += picture[at + 8 : at + 8 + length]
        at += length + 12
    return width, height, zlib.decompress(data)[1:4]


@pytest.mark.parametrize(("scheme", "ground"), [("light", LIGHT["paper"]), ("dark", DARK["paper"])])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_looked_at_on_a_phone_and_a_desk_by_day_and_by_night(
    browser: Browser, page: Path, width: int, scheme: str, ground: str
) -> None:
    browser.look(width, scheme)
    browser.open(page)
    picture = browser.picture()
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"plan-{width}-{scheme}.png").write_bytes(picture)
    wide, high, corner = drawn(picture)
    assert 0 <= width - wide < 20  # the bar to scroll with
    assert high > 844
    assert corner.hex() == ground.removeprefix("#")
    assert browser.complaints == []
    assert browser.requests == [page.as_uri()]


PLANTED = """<img src="{url}img"><script>document.title = "owned"</script><script src="{url}js"></script>
<style>body {{ background: url({url}css) }}</style><link rel="stylesheet" href="{url}link">
<iframe src="{url}frame"></iframe>
<p id="styled" style="color: rgb(1, 2, 3)" onclick="document.title = 'owned'">some text
<object data="{url}object"></object><svg><script>document.title = "owned"</script></svg></p>"""


@pytest.mark.parametrize("kept", [True, False], ids=["with-its-policy", "without-it"])
def test_even_markup_that_got_in_would_run_nothing_and_fetch_nothing(
    browser: Browser, page: Path, listener: tuple[str, list[str]], kept: bool
) -> None:
    url, heard = listener
    planted = page.read_text("utf-8").replace("</main>", PLANTED.format(url=url) + "</main>")
    if not kept:  # which shows that the test would see it
        planted = planted.replace("Content-Security-Policy", "Nothing")
    page.write_text(planted, "utf-8")
    browser.open(page)
    browser.click("#styled")
    owned = browser.ask("document.title") == "owned"
    styled = browser.ask("getComputedStyle(document.querySelector('#styled')).color") == "rgb(1, 2, 3)"
    assert (bool(heard), owned, styled) == ((False,) * 3 if kept else (True,) * 3)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen_and_hostile_names_are_broken(
    browser: Browser, page: Path, width: int
) -> None:
    browser.look(width)
    browser.open(page, scripts=False)
    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    beyond = "it => it.getBoundingClientRect().right > document.documentElement.clientWidth"
    assert browser.ask(f"Array.from(document.querySelectorAll('.page *')).filter({beyond}).length") == 0
    assert browser.ask("document.title") == (
        "provisioner plan: 1 to import, 2 to add, 3 to change, 2 to destroy, 2 to forget, 1 to move"
    )


def test_the_page_is_dark_where_the_reader_s_screen_is_but_not_on_paper(browser: Browser, page: Path) -> None:
    grounds = []
    browser.open(page, scripts=False)
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        browser.look(1280, scheme, media)
        grounds.append(browser.ask("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] == grounds[2] == "rgb(251, 250, 246)"
    assert grounds[1] == "rgb(23, 22, 19)"


def test_on_paper_what_is_folded_is_open_and_what_is_clicked_is_gone(browser: Browser, page: Path) -> None:
    page.write_text(page.read_text("utf-8").replace(' open="open"', ""), "utf-8")
    browser.open(page, scripts=False)
    height = "document.querySelector('.group details').offsetHeight"
    folded = browser.ask(height)
    browser.look(760, media="print")
    assert browser.ask(height) > 2 * folded
    for hidden in ("nav", "fieldset", "#text"):
        assert browser.ask(f"document.querySelector('{hidden}').checkVisibility()") is False


def test_everything_that_acts_can_be_reached_and_has_a_name(browser: Browser, page: Path) -> None:
    browser.open(page)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in ("radio", "searchbox", "button", "link", "navigation")
    ]
    assert all(name.strip() for _, name in named)
    assert ("radio", "-/+ replace 1") in named
    assert ("searchbox", "Find") in named
    assert ("navigation", "On this page") in named
    regions = [node["name"]["value"] for node in nodes if node["role"]["value"] == "region"]
    assert regions == [
        "Conflicts 1",
        "Warnings 4",
        "Cut off 2",
        "Rotations 2",
        "Drift 3",
        "Changes 10",
        "As text",
    ]


def test_of_hundreds_of_changes_one_kind_is_shown(browser: Browser, tmp_path: Path) -> None:
    plan, _ = document()
    sample = plan["resource_changes"]
    plan["resource_changes"] = [
        deepcopy(entry) | {"address": f"{entry['address']}-{at}"} for at in range(60) for entry in sample
    ]
    path = tmp_path / "long.html"
    path.write_text(html(plan, ""), "utf-8")
    browser.open(path)
    assert len(browser.shown()) == 600
    browser.click("label:has(#show-rotate)")
    assert len(browser.shown()) == 120
