"""Which signals end a run gently, and which are left as they were found."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from provisioner.cli import interrupt
from provisioner.cli.interrupt import stopping

PATIENCE = 30  # seconds
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a test does to them, they are as before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_lets_nothing_new_start(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(number, signal.SIG_DFL)
    stop = threading.Event()
    with stopping(stop):
        os.kill(os.getpid(), number)
        assert stop.wait(PATIENCE)
    assert "Interrupted: nothing new is started" in capsys.readouterr().err
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_when_we_start_stays_ignored(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(number, signal.SIG_IGN)  # as nohup leaves SIGHUP, and a shell SIGINT in the background
    stop = threading.Event()
    with stopping(stop):
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    assert not stop.is_set()
    assert signal.getsignal(number) is signal.SIG_IGN
    assert capsys.readouterr().err == ""


def test_a_signal_that_comes_while_its_own_event_is_waited_for_hangs_nothing() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with stopping(stop):
        with stop._cond:  # as `stop.wait` holds it for a moment
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(PATIENCE)


def test_a_signal_stops_a_run_that_can_start_no_thread(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(interrupt, "start_new_thread", none_left)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop = threading.Event()
    with stopping(stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_set()
    assert "Interrupted" in capsys.readouterr().err


def test_a_run_does_not_wait_for_somebody_to_read_that_it_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = threading.Event()
    monkeypatch.setattr(interrupt, "complain", lambda _: read.wait(PATIENCE))
    monkeypatch.setattr(interrupt, "_PATIENCE", 0.01)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop = threading.Event()
    with stopping(stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(PATIENCE)
    assert not read.is_set()
    read.set()


def test_a_signal_in_the_middle_of_what_is_written_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        """As a buffered one, it takes no writing in the midst of a writing of the same thread."""

        def __init__(self) -> None:
            self.taken = threading.RLock()
            self.owner = 0
            self.text = ""

        def write(self, text: str) -> int:
            if self.owner == threading.get_ident():
                raise RuntimeError("reentrant call")
            with self.taken:
                self.owner = threading.get_ident()
                if text == "line":
                    os.kill(os.getpid(), signal.SIGINT)
                self.text += text
                self.owner = 0
            return len(text)

        def flush(self) -> None:
            pass

    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with stopping(threading.Event()):
        stream.write("line")
    assert stream.text.startswith("line\nInterrupted")
