"""The pages for browsers, asked for over HTTP."""

from __future__ import annotations

from pathlib import Path

from tests.support.service.process import RunningService

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_browsers_get_the_page_and_others_the_index(service: RunningService) -> None:
    """One address, two answers; caches are told that they differ by Accept."""
    page = service.client.get("/", headers=BROWSER)
    index = service.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>Unroll</title>" in page.text
    assert index.json()["documentation"] == "/docs"
    assert "Accept" in page.headers["vary"]
    assert "Accept" in index.headers["vary"]


def test_files_of_the_page(service: RunningService) -> None:
    """Scripts are served with an ETag that saves sending them again; all share one metric label."""
    path = "/playground/scripts/main.js"
    first = service.client.get(path)
    again = service.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["content-type"].startswith("text/javascript")
    assert (again.status_code, again.content) == (304, b"")
    assert service.client.get("/playground/nothing.js").status_code == 404
    assert service.client.get("/playground/__init__.py").status_code == 404
    assert (
        service.metric("unroll_requests_total", route="/playground/{path:path}", status="404") >= 2
    )


def test_the_pages_need_no_key(models: Path) -> None:
    """Who has no key yet gets the pages, which ask for it; the requests of the pages need it."""
    with RunningService(models / "words", UNROLL_API_KEYS="k" * 16) as running:
        for path in ("/", "/docs", "/playground/scripts/main.js", "/openapi.json"):
            assert running.client.get(path, headers=BROWSER).status_code == 200
        assert running.client.get("/models").status_code == 401


def test_the_schema_declares_the_keys(service: RunningService, models: Path) -> None:
    """With API keys, every route but the open ones names the two ways to send one."""
    assert "securitySchemes" not in service.client.get("/openapi.json").json()["components"]
    with RunningService(models / "words", UNROLL_API_KEYS="k" * 16) as running:
        schema = running.client.get("/openapi.json").json()
        assert schema["components"]["securitySchemes"] == {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        assert schema["security"] == [{"bearer": []}, {"header": []}]
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                is_open = running.client.get(path).status_code == 200
                assert (operation.get("security") == []) is is_open, path


def test_the_api_reference_loads_nothing_from_elsewhere(service: RunningService) -> None:
    """Swagger UI comes from the service, under the policy of the playground."""
    response = service.client.get("/docs")
    assert "playground/api_reference/swagger-ui/swagger-ui-bundle.js" in response.text
    assert "//" not in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
