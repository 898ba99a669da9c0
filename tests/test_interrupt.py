"""Which signals end a run gently, and which are left as they were found."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from provisioner.cli.interrupt import stopping

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
        assert stop.is_set()
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
