"""HTTP that cannot be led astray: addresses are checked where the socket is made, and a deadline covers every byte.

urllib3 is used directly because only there the resolved address that was judged is the one that is connected to; with
a client above it, a name server that answers twice differently (DNS rebinding) gets past any check made before.
Proxies from the environment are ignored for the same reason.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import time
from typing import TYPE_CHECKING, Any, Literal

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Trust = Literal["named", "public"]  # a host that the operator named may be private; one that a pattern let in may not
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.ip_network("64:ff9b::/96")
METADATA = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")}


class Forbidden(Exception):
    """A name leads to an address that must not be fetched from; the text says which."""


def judge(text: str, trust: Trust, name: str = "HOST") -> None:
    """Raise `Forbidden` unless one may connect to the IP address `text`, to which `name` (host:port) leads.

    Cloud metadata, link-local, multicast, reserved and unspecified addresses are never allowed, whoever named the host.
    """
    address = _inner(ipaddress.ip_address(text.split("%")[0]))
    odd = address.is_link_local or address.is_multicast or address.is_unspecified
    if odd or address in METADATA or (address.is_reserved and not address.is_loopback):
        raise Forbidden(f"address {address} is link-local, a cloud's metadata or reserved")
    if trust == "public" and not address.is_global:
        raise Forbidden(f"address {address} is private; to allow it set IMAGE_HOSTS={name} (beside what it names now)")


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until a moment: a server that sends a byte now and then does not hold a thread for ever."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer took too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # Any: as http.client has it
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock, sock.gettimeout() or 30.0), 65536)


class _Checked:
    """Mixed into urllib3's connections: resolves, judges, and connects to exactly what was judged."""

    trust: Trust = "public"
    response_class = _DeadlineResponse
    _dns_host: str
    port: int
    timeout: float | None

    def _new_conn(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, f"unknown host: {error}") from error  # type: ignore[arg-type]
        host = self._dns_host.strip("[]")
        name = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        for *_, where in found:
            judge(str(where[0]), self.trust, name)  # one bad address among good ones is reason enough to stop
        last: OSError | None = None
        for family, kind, protocol, _, where in found:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(self.timeout)
            try:
                sock.connect(where)
            except OSError as error:
                sock.close()
                last = error
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        raise NewConnectionError(self, f"cannot connect: {last}") from last  # type: ignore[arg-type]


def _pools(trust: Trust) -> dict[str, type[HTTPConnectionPool]]:
    plain = type("Plain", (_Checked, HTTPConnection), {"trust": trust})
    secure = type("Secure", (_Checked, HTTPSConnection), {"trust": trust})
    return {
        "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


def open_pool(trust: Trust, *, timeout: float, size: int = 32) -> urllib3.PoolManager:
    """A pool that connects only where `trust` allows; `timeout` bounds the connect, and the answer as a whole."""
    manager = urllib3.PoolManager(
        num_pools=32,
        maxsize=size,
        timeout=urllib3.Timeout(connect=min(timeout, 10.0), read=timeout),
        retries=False,
    )
    manager.pool_classes_by_scheme = _pools(trust)
    return manager
