"""(10-A3) The real server under clients that never finish a request or never read: it answers, cuts them, and ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import statistics
import time

import pytest

from backend.adapters.state import open_state
from backend.core.project.ourselves import SECRET_HEADER
from backend.web.connections import GRACE_SECONDS, IDLE_SECONDS, MOST_WAITING
from tests.backend.requests import CREATED
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.slow_clients import DEAF, KINDS, SlowClients, answer_ms, fill
from tests.harness.waiting import wait_for

SECONDS = 8.0
PATIENT = 5_000.0  # ms; on a quiet machine 1,000 and 200, see benchmarks/slow_clients.py


@pytest.fixture(scope="module")
def ours(tmp_path_factory, valkey):
    home = tmp_path_factory.mktemp("slow")
    with RealLabelQueue(home, "http://127.0.0.1:1", "x", valkey.url, {"REQUEST_SECONDS": str(SECONDS)}) as started:
        started.start_web()
        yield started


@pytest.fixture(scope="module")
def secret(ours):
    state = open_state(f"sqlite:///{ours.home}/labelqueue.sqlite")
    fill(state)
    yield {SECRET_HEADER: state.projects.secret("webhook")}
    state.close()


def test_health_and_webhooks_are_answered_while_two_hundred_slow_clients_hang_and_all_of_these_are_cut(ours, secret):
    with SlowClients(ours.port, 200) as slow:
        assert slow.open == 200
        health = statistics.median(answer_ms(ours.port, "/health"))
        webhook = statistics.median(answer_ms(ours.port, "/webhook", CREATED, secret))
        print(f"200 slow clients: /health {health:.0f} ms, webhook {webhook:.0f} ms")
        assert health < PATIENT and webhook < PATIENT
        wait_for(lambda: not slow.open, SECONDS + 60, what="the end of all slow clients", tell=slow.cut_after)
        after = slow.cut_after()
        print({kind: f"cut after {seconds:.1f} s" for kind, seconds in after.items()})
    assert set(after) == set(KINDS)
    assert after["silent"] > IDLE_SECONDS - 0.5
    assert after["a byte a second"] > SECONDS - 0.5
    assert "Traceback" not in ours.log("web").read_text()


@pytest.mark.slow
def test_clients_that_read_nothing_hold_no_thread_and_are_cut(ours, secret):
    """(10-A3) Eight that asked for sixty large answers each and read none held all threads while they liked."""
    with SlowClients(ours.port, 16, tuple(DEAF)) as deaf:
        health = statistics.median(answer_ms(ours.port, "/health"))
        print(f"16 clients that read nothing: /health {health:.0f} ms")
        wait_for(lambda: not deaf.open, SECONDS + 60, what="the end of all that read nothing", tell=deaf.cut_after)
        print({kind: f"cut after {seconds:.1f} s" for kind, seconds in deaf.cut_after().items()})
        assert health < PATIENT
    assert "Traceback" not in ours.log("web").read_text()


def test_more_clients_than_are_held_push_out_the_oldest_and_never_a_whole_request(ours, secret):
    with SlowClients(ours.port, 2 * MOST_WAITING, ["half a header"]) as slow:
        assert statistics.median(answer_ms(ours.port, "/webhook", CREATED, secret)) < PATIENT
        wait_for(lambda: slow.open <= MOST_WAITING, 30, what="room")


def test_a_body_in_slow_pieces_that_is_whole_in_time_is_taken(ours, secret):
    body = json.dumps(CREATED).encode()
    with socket.create_connection(("127.0.0.1", ours.port), timeout=30) as connection:
        fields = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close", **secret}
        connection.sendall(b"POST /webhook HTTP/1.1\r\n")
        for name, value in fields.items():
            connection.sendall(f"{name}: {value}\r\n".encode())
        connection.sendall(b"\r\n")
        for piece in (body[:10], body[10:50], body[50:]):
            time.sleep(0.2)
            connection.sendall(piece)
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 202 ")


def test_one_connection_serves_many_requests(ours, secret):
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=30)
    for _ in range(3):
        connection.request("POST", "/webhook", json.dumps(CREATED), secret)
        answer = connection.getresponse()
        assert answer.status == 202 and answer.read()
        assert answer.getheader("Server") is None
    connection.close()


def test_of_requests_sent_at_once_the_first_is_answered_and_the_connection_ends(ours):
    """(10-A3)"""
    with socket.create_connection(("127.0.0.1", ours.port), timeout=30) as connection:
        connection.sendall(3 * b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        said = connection.makefile("rb").read()
    assert said.count(b"HTTP/1.1 200 OK") == 1 and b"Connection: close" in said


def exchange(port, request):
    """Status and JSON body that a raw request gets."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())


POST = b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"


def test_a_strangers_large_body_is_refused_by_its_header_before_it_is_sent(ours, secret):
    """(10-A4)"""
    status, said = exchange(ours.port, POST + b"Content-Length: 63000000\r\n\r\n")
    assert status == 413 and "entity too large" in said["error"]
    status, said = exchange(ours.port, POST + b"Expect: 100-continue\r\nContent-Length: 63000000\r\n\r\n")
    assert status == 413 and "entity too large" in said["error"]  # at once, not "100 Continue" first
    field = "".join(f"{name}: {value}\r\n" for name, value in secret.items()).encode()
    allowed = POST + field + b"Expect: 100-continue\r\nContent-Length: 63000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", ours.port), timeout=30) as connection:
        connection.sendall(allowed)
        assert connection.makefile("rb").readline() == b"HTTP/1.1 100 Continue\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (POST + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (POST + b"Content-Length: -5\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        (POST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", 400),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhellox\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * 2**20 + b"\r\n") * 5, 413),
    ],
    ids=["start", "header", "length", "lengths", "long length", "address", "end of chunk", "coding", "chunk", "chunks"],
)
def test_broken_http_is_told_in_json(ours, request_, status):
    """(10-A4)"""
    got, said = exchange(ours.port, request_)
    assert got == status and said["error"]


def test_a_chunked_body_without_a_length_is_read(ours, secret):
    """(10-A4)"""
    body = json.dumps(CREATED).encode()
    fields = "".join(f"{name}: {value}\r\n" for name, value in secret.items()).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert exchange(ours.port, POST + fields + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)[0] == 202


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_though_slow_clients_are_connected(tmp_path, valkey, number):
    with RealLabelQueue(tmp_path, "http://127.0.0.1:1", "x", valkey.url) as started:
        started.start_web()
        with SlowClients(started.port, 40) as slow:
            assert slow.open == 40
            began = time.monotonic()
            started.web.send_signal(number)
            assert started.web.wait(GRACE_SECONDS + 30) == 0
            print(f"ended after {time.monotonic() - began:.1f} s")
        assert "Traceback" not in started.log("web").read_text()


def test_an_ipv6_address_is_bound(tmp_path, valkey):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    settings = {"HOST": "::1", "LABELQUEUE_HOME": str(tmp_path)}
    with RealLabelQueue(tmp_path, "http://127.0.0.1:1", "x", valkey.url, settings) as started:
        started.web = started.spawn("web", "serve")
        wait_for(lambda: _answers("::1", started.port), 60, what="the web process", tell=started.tail)


def _answers(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
