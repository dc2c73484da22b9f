"""Unmodified clients, which offer an upgrade to HTTP/2 with every request."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.service.process import PATIENCE, RunningService

JAVA = """
import java.net.URI;
import java.net.http.*;
import java.net.http.HttpRequest.BodyPublishers;

class Ask {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        byte[] body = arguments[1].getBytes("UTF-8");
        var publishers = new HttpRequest.BodyPublisher[] {
            BodyPublishers.ofByteArray(body),
            BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(body)),
        };
        for (var publisher : publishers) {
            for (boolean expects : new boolean[] {false, true}) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                    .header("Content-Type", "application/json")
                    .expectContinue(expects)
                    .POST(publisher)
                    .build();
                var response = client.send(request, HttpResponse.BodyHandlers.ofString());
                System.out.println(response.statusCode() + " " + response.body());
            }
        }
    }
}
"""
BODY = json.dumps({"model": "words", "prompt": "The", "max_tokens": 3, "seed": 1})


def choices(answer: str) -> object:
    """The part of a response that does not depend on earlier requests."""
    return json.loads(answer)["choices"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "options",
    [(), ("--http2",), ("--http1.0",), ("-H", "Expect: 100-continue"), ("--http2", "-T", "-")],
    ids=" ".join,
)
def test_curl(service: RunningService, options: tuple[str, ...]) -> None:
    """Curl is answered, with any upgrade offer and any way to send the body."""
    data = ("-X", "POST") if "-T" in options else ("--data", "@-")
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", *options, *data]
    answer = subprocess.run(
        [
            *(*command, "-H", "Content-Type: application/json"),
            *("-w", "\n%{http_code}", f"http://127.0.0.1:{service.port}/generate"),
        ],
        input=BODY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    body, status = answer.stdout.rsplit("\n", 1)
    assert status == "200", body
    assert choices(body) == service.ask("/generate", **json.loads(BODY))["choices"]


@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
def test_java(service: RunningService, tmp_path: Path) -> None:
    """Java's HttpClient is answered, with bodies of known and unknown length and an expectation."""
    source = tmp_path / "Ask.java"
    source.write_text(JAVA)
    ended = subprocess.run(
        ["java", str(source), f"http://127.0.0.1:{service.port}/generate", BODY],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if "jdk.compiler" in ended.stderr:
        pytest.skip("this java cannot compile")
    expected = service.ask("/generate", **json.loads(BODY))["choices"]
    lines = ended.stdout.splitlines()
    assert len(lines) == 4, ended.stderr
    for line in lines:
        status, _, body = line.partition(" ")
        assert status == "200", body
        assert choices(body) == expected
