"""Requests that are ambiguous or not HTTP.

The cases follow RFC 9112 and public test suites for HTTP/1.1 servers. A valid request follows each
on the same connection: it is answered exactly if the connection is kept.
"""

from __future__ import annotations

import pytest

from tests.support.service.process import RunningService
from tests.support.service.raw_http import PROBE, answers, ask, is_probe, received

BODY = b'{"model":"words","max_tokens":1}'
SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def get(*lines: bytes, target: bytes = b"/health/live", version: bytes = b"1.1") -> bytes:
    """A GET with these header lines and Host."""
    first = b"GET " + target + b" HTTP/" + version
    return b"\r\n".join([first, b"Host: x", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST of JSON with these header lines and this body, without other framing."""
    first = (b"POST /generate HTTP/1.1", b"Host: x", b"Content-Type: application/json")
    return b"\r\n".join([*first, *lines, b"", body])


def chunked(data: bytes) -> bytes:
    """A POST with a chunked body of these bytes."""
    return post(b"Transfer-Encoding: chunked", body=data)


LENGTH = b"Content-Length: %d" % len(BODY)
CHUNK = b"%x\r\n" % len(BODY) + BODY + b"\r\n"

REFUSED = {
    # framing
    "both framings": (post(LENGTH, b"Transfer-Encoding: chunked", body=CHUNK + b"0\r\n\r\n"), 400),
    "both, coding first": (post(b"Transfer-Encoding: chunked", LENGTH, body=b"0\r\n\r\n"), 400),
    "length twice": (post(LENGTH, LENGTH, body=BODY), 400),
    "two lengths": (post(LENGTH, b"Content-Length: 5", body=BODY), 400),
    "list of lengths": (post(b"Content-Length: 32, 32", body=BODY), 400),
    "length after space": (post(b"Content-Length : 32", body=BODY), 400),
    "length after tab": (post(b"Content-Length\t: 32", body=BODY), 400),
    "length with plus": (post(b"Content-Length: +32", body=BODY), 400),
    "length with minus": (post(b"Content-Length: -32", body=BODY), 400),
    "overflowing negative length": (post(b"Content-Length: -" + b"9" * 40, body=BODY), 400),
    "length in hex": (post(b"Content-Length: 0x20", body=BODY), 400),
    "length with point": (post(b"Content-Length: 32.0", body=BODY), 400),
    "length with exponent": (post(b"Content-Length: 3e1", body=BODY), 400),
    "length with underscore": (post(b"Content-Length: 3_2", body=BODY), 400),
    "length in two numbers": (post(b"Content-Length: 3 2", body=BODY), 400),
    "empty length": (post(b"Content-Length:", body=BODY), 400),
    "length in other digits": (post("Content-Length: ٣٢".encode(), body=BODY), 400),
    "length of 2**64 + 32": (post(b"Content-Length: 18446744073709551648", body=BODY), 413),
    "length of 5000 digits": (post(b"Content-Length: " + b"9" * 5000, body=BODY), 413),
    "length of a terabyte": (post(b"Content-Length: 1099511627776", body=BODY), 413),
    "identity": (post(b"Transfer-Encoding: identity", body=BODY), 400),
    "identity and length": (post(b"Transfer-Encoding: identity", LENGTH, body=BODY), 400),
    "xchunked": (post(b"Transfer-Encoding: xchunked", body=BODY), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked", body=CHUNK), 400),
    "two codings lines": (post(*[b"Transfer-Encoding: chunked"] * 2, body=CHUNK), 400),
    "chunked first": (post(b"Transfer-Encoding: chunked, gzip", body=CHUNK), 400),
    "chunked, identity": (post(b"Transfer-Encoding: chunked, identity", body=CHUNK), 400),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked", body=CHUNK), 501),
    "chunked with parameter": (post(b"Transfer-Encoding: chunked;q=1", body=CHUNK), 400),
    "quoted chunked": (post(b'Transfer-Encoding: "chunked"', body=CHUNK), 400),
    "empty coding": (post(b"Transfer-Encoding:", body=CHUNK), 400),
    "list with empty item": (post(b"Transfer-Encoding: ,chunked", body=CHUNK), 400),
    "coding with vertical tab": (post(b"Transfer-Encoding:\x0bchunked", body=CHUNK), 400),
    "coding after space": (post(b"Transfer-Encoding : chunked", body=CHUNK), 400),
    "folded coding": (post(b"Transfer-Encoding:\r\n chunked", body=CHUNK), 400),
    "coding in 1.0": (chunked(CHUNK + b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    # chunks
    "size with minus": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "size with plus": (chunked(b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    "size with 0x": (chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "size with underscore": (chunked(b"1_0\r\nhello\r\n0\r\n\r\n"), 400),
    "space before size": (chunked(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    "space after size": (chunked(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "empty size": (chunked(b"\r\nhello\r\n0\r\n\r\n"), 400),
    "size that overflows": (chunked(b"1" + b"0" * 16 + b"5\r\nhello\r\n0\r\n\r\n"), 400),
    "no hexadecimal size": (chunked(b"g\r\nhello\r\n0\r\n\r\n"), 400),
    "size ends in LF": (chunked(b"5\nhello\r\n0\r\n\r\n"), 400),
    "size ends in CR": (chunked(b"5\rhello\r\n0\r\n\r\n"), 400),
    "extension with LF": (chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), 400),
    "extension with NUL": (chunked(b"5;a\0\r\nhello\r\n0\r\n\r\n"), 400),
    "extension without end": (chunked(b"5;" + b"a" * 5000), 400),
    "many extensions": (chunked((b"1;" + b"a" * 200 + b"\r\n \r\n") * 200), 400),
    "chunk longer than size": (chunked(b"4\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk ends in LF": (chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    "chunk ends in two bytes": (chunked(b"5\r\nhelloXX0\r\n\r\n"), 400),
    "trailer without colon": (chunked(CHUNK + b"0\r\nno colon\r\n\r\n"), 400),
    "trailer with LF": (chunked(CHUNK + b"0\r\nA: b\nC: d\r\n\r\n"), 400),
    "trailer after space": (chunked(CHUNK + b"0\r\nA : b\r\n\r\n"), 400),
    "endless trailers": (chunked(CHUNK + b"0\r\n" + b"A: b\r\n" * 50_000), 431),
    # lines and characters
    "lines end in LF": (b"GET /health/live HTTP/1.1\nHost: x\n\n", 400),
    "one line ends in LF": (b"GET /health/live HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    "CR within a value": (get(b"A: b\rC: d"), 400),
    "CR CR LF": (b"GET /health/live HTTP/1.1\r\nHost: x\r\r\n\r\n", 400),
    "CR before a name": (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\rA: b\r\n\r\n", 400),
    "NUL in a value": (get(b"A: b\0c"), 400),
    "control character in a value": (get(b"A: b\x01c"), 400),
    "DEL in a value": (get(b"A: b\x7fc"), 400),
    "NUL in a name": (get(b"A\0: b"), 400),
    "brackets in a name": (get(b"X-Invalid[]: b"), 400),
    "umlaut in a name": (get("Ä: b".encode()), 400),
    "empty name": (get(b": b"), 400),
    "no colon": (get(b"A"), 400),
    "space before the name": (get(b" A: b"), 400),
    "folded value": (get(b"A: b", b"\tc"), 400),
    "folded first line": (b"GET /health/live HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "space before the colon": (get(b"A : b"), 400),
    "130 headers": (get(*[b"A: b"] * 130), 431),
    "long head": (get(b"A: " + b"a" * 70_000), 431),
    "long target": (get(target=b"/" + b"a" * 70_000), 431),
    # request line
    "two spaces": (b"GET  /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "tabs": (b"GET\t/health/live\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "space at the end": (b"GET /health/live HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    "space at the start": (b" GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "four words": (b"Extra GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bad method": (b"G{T /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "method with colon": (b"GET: /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "umlaut in the target": (get(target="/ä".encode()), 400),
    "NUL in the target": (get(target=b"/\0"), 400),
    "fragment": (get(target=b"/health/live#a"), 400),
    "relative target": (get(target=b"health/live"), 400),
    "asterisk for GET": (get(target=b"*"), 400),
    "another scheme": (get(target=b"ftp://x/health/live"), 400),
    "user in the target": (get(target=b"http://user@x/health/live"), 400),
    "no host in the target": (get(target=b"http:///health/live"), 400),
    "authority for GET": (get(target=b"x:80"), 400),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405),
    # versions
    "0.9": (b"GET /health/live\r\n", 400),
    "0.9 in words": (get(version=b"0.9"), 505),
    "2.0": (get(version=b"2.0"), 505),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "lower-case version": (b"GET /health/live http/1.1\r\nHost: x\r\n\r\n", 400),
    "version of one number": (get(version=b"1"), 400),
    "version of three numbers": (get(version=b"1.1.1"), 400),
    "version of two digits": (get(version=b"1.10"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    # host
    "no host": (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"Host: y"), 400),
    "same host twice": (get(b"Host: x"), 400),
    "two hosts in 1.0": (get(b"Host: y", version=b"1.0"), 400),
    "host with a path": (b"GET /health/live HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
    "host with a user": (b"GET /health/live HTTP/1.1\r\nHost: a@x\r\n\r\n", 400),
    "host with a space": (b"GET /health/live HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
    "host with a bad port": (b"GET /health/live HTTP/1.1\r\nHost: x:a\r\n\r\n", 400),
    "list of hosts": (b"GET /health/live HTTP/1.1\r\nHost: x, y\r\n\r\n", 400),
    # expectations
    "another expectation": (post(LENGTH, b"Expect: 200-ok", body=BODY), 417),
    "two expectations": (post(LENGTH, b"Expect: 100-continue, a", body=BODY), 417),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_one_answer(service: RunningService, name: str) -> None:
    """A broken request gets one error of the one shape, and nothing after it is answered."""
    request, status = REFUSED[name]
    (answer,) = ask(service, request)
    assert answer.status == status, answer
    assert answer.headers["connection"] == "close"
    assert answer.error["message"]
    assert service.client.get("/health/live").status_code == 200


@pytest.mark.parametrize("name", ["both framings", "size ends in LF", "list of lengths"])
def test_no_body_becomes_a_request(service: RunningService, name: str) -> None:
    """A request hidden by ambiguous framing is not answered, not even later."""
    (answer,) = ask(service, REFUSED[name][0], SMUGGLED)
    assert answer.status == 400


TAKEN = {
    "plain": get(),
    "no space after the colon": get(b"A:b"),
    "whitespace around a value": get(b"A: \t b \t "),
    "empty value": get(b"A:"),
    "Latin-1 in a value": get(b"A: \xe4"),
    "tab in a value": get(b"A: b\tc"),
    "all token characters": get(b"!#$%&'*+-.^_`|~09aZ: b"),
    "128 headers": get(*[b"A: b"] * 127),
    "head of 60 KB": get(b"A: " + b"a" * 60_000),
    "empty lines before": b"\r\n\r\n" + get(),
    "absolute target": get(target=b"http://other:1/health/live"),
    "absolute target, secure": get(target=b"HTTPS://other/health/live?a=b"),
    "query": get(target=b"/health/live?a=?/&b"),
    "encoded path": get(target=b"/health/%6c%69ve"),
    "version 1.2": get(version=b"1.2"),
    "host with a port": b"GET /health/live HTTP/1.1\r\nhOsT:\tx:80\r\n\r\n",
    "host of IPv6": b"GET /health/live HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "empty host": b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n",
    "body of a GET": get(b"Content-Length: 37") + SMUGGLED[:37],
    "length": post(LENGTH, body=BODY),
    "length with zeros": post(b"Content-Length: 00032", body=BODY),
    "chunks": chunked(CHUNK + b"0\r\n\r\n"),
    "coding in capitals": post(b"transfer-encoding: CHUNKED", body=CHUNK + b"0\r\n\r\n"),
    "chunks of one byte": chunked(b"".join(b"1\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n"),
    "extension": chunked(CHUNK.replace(b"20\r", b'20;a="b";c\r') + b"0;d\r\n\r\n"),
    "trailers": chunked(CHUNK + b"0\r\nA: b\r\nContent-Length: 5\r\n\r\n"),
    "last chunk of zeros": chunked(CHUNK + b"0000\r\n\r\n"),
    "expectation met by the body": post(LENGTH, b"Expect: 100-Continue", body=BODY),
}


@pytest.mark.parametrize("name", TAKEN)
def test_answered_once_and_kept(service: RunningService, name: str) -> None:
    """An unusual valid request is answered, and so is the next one on the connection."""
    first, second = ask(service, TAKEN[name])
    assert first.status == 200, first
    assert "connection" not in first.headers
    assert is_probe(second)


@pytest.mark.parametrize("name", ["chunks", "trailers", "extension", "length", "encoded path"])
def test_any_pieces(service: RunningService, name: str) -> None:
    """A request has the same result in any pieces."""
    request = TAKEN[name]
    for cut in range(1, len(request), max(1, len(request) // 7)):
        first, second = ask(service, request[:cut], request[cut:])
        assert (first.status, is_probe(second)) == (200, True), cut


OFFERS = [
    (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAA"),
    (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    (b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
    (b"Connection: keep-alive, Upgrade", b"Upgrade: made-up/7, h2c"),
    (b"Connection: Upgrade",),
    (b"Upgrade: h2c",),
]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("late", [False, True])
def test_offers_to_upgrade_are_ignored(
    service: RunningService, offer: tuple[bytes, ...], late: bool
) -> None:
    """A request that offers another protocol is answered in HTTP/1.1, including its body."""
    for framing, body in ((LENGTH, BODY), (b"Transfer-Encoding: chunked", CHUNK + b"0\r\n\r\n")):
        head = post(*offer, framing)
        pieces = (head, body) if late else (head + body,)
        first, second = ask(service, *pieces)
        assert first.status == 200, first
        assert b'"choices"' in first.body
        assert is_probe(second)


@pytest.mark.parametrize("offer", OFFERS)
def test_the_body_of_an_offer_is_no_request(
    service: RunningService, offer: tuple[bytes, ...]
) -> None:
    """A body that looks like a request, sent after the head, is a body: broken JSON."""
    first, second = ask(service, post(*offer, b"Content-Length: %d" % len(SMUGGLED)), SMUGGLED)
    assert first.error["type"] == "invalid_json"
    assert is_probe(second)


def test_continue_is_sent_when_the_body_is_read(service: RunningService) -> None:
    """A client that expects 100-continue gets it before it sends the body, then the response."""
    interim, first, second = ask(service, post(LENGTH, b"Expect: 100-continue"), BODY)
    assert (interim.status, first.status) == (100, 200)
    assert is_probe(second)


def test_an_expected_body_that_is_refused_ends_the_connection(service: RunningService) -> None:
    """After a 413 instead of a 100 it is unknown whether the body follows: the connection
    closes.
    """
    (answer,) = ask(service, post(b"Content-Length: 10000000", b"Expect: 100-continue"))
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


def test_pipelined_requests_are_answered_in_order(service: RunningService) -> None:
    """Pipelined requests are answered one after the other, bodies included."""
    sent = get() + post(LENGTH, body=BODY) + get(target=b"/nothing") + chunked(CHUNK + b"0\r\n\r\n")
    responses = ask(service, sent * 3)
    assert [answer.status for answer in responses] == [200, 200, 404, 200] * 3 + [200]
    assert is_probe(responses[-1])


def test_an_error_ends_the_pipeline(service: RunningService) -> None:
    """Requests before a broken one are answered, later ones are not."""
    responses = ask(service, get() + get() + get(b"A : b") + get())
    assert [answer.status for answer in responses] == [200, 200, 400]


def test_a_thousand_pipelined_requests(service: RunningService) -> None:
    """Each of a thousand pipelined requests is answered."""
    responses = ask(service, get() * 1000)
    assert [answer.status for answer in responses] == [200] * 1001


def test_old_clients(service: RunningService) -> None:
    """HTTP/1.0 needs no Host, closes unless keep-alive is requested, and ignores expectations."""
    bare = b"GET /health/live HTTP/1.0\r\n"
    (answer,) = ask(service, bare + b"\r\n")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    first, second = ask(service, bare + b"Connection: Keep-Alive\r\n\r\n")
    assert (first.status, first.headers["connection"]) == (200, "keep-alive")
    assert is_probe(second)
    (answer,) = ask(service, post(LENGTH, b"Expect: 5", body=BODY).replace(b"/1.1", b"/1.0"))
    assert answer.status == 200


@pytest.mark.parametrize("kept", [b"A: b", b"Connection: keep-alive"])
def test_a_stream_to_an_old_client_ends_with_the_connection(
    service: RunningService, kept: bytes
) -> None:
    """HTTP/1.0 has no chunks: events are sent without framing until the connection closes."""
    body = b'{"model":"words","max_tokens":3,"stream":true,"seed":1}'
    request = post(b"Content-Length: %d" % len(body), kept, body=body)
    (old,) = answers(received(service, request.replace(b"HTTP/1.1", b"HTTP/1.0")))
    (new, _) = ask(service, request)
    assert "transfer-encoding" not in old.headers
    assert old.headers["connection"] == "close"
    assert new.headers["transfer-encoding"] == "chunked"
    assert old.body == new.body


def test_close_is_heard(service: RunningService) -> None:
    """With Connection: close, in any list and case, the response is the last one."""
    for line in (b"Connection: close", b"Connection: Keep-Alive, CLOSE", b"connection:close"):
        (answer,) = ask(service, get(line))
        assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_client_that_only_reads_on_is_answered(service: RunningService) -> None:
    """A client that closes its writing side after the request still gets its response."""
    request = get() + get(target=b"/nothing")
    responses = answers(received(service, request, half_close=True))
    assert [answer.status for answer in responses] == [200, 404]
    assert received(service, PROBE[:30], half_close=True) == b""
