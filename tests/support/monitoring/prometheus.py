"""A real Prometheus that scrapes services of a test, with the alert rules of the repository."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from tests.support.repository import ROOT
from tests.support.service.process import PATIENCE, eventually

PROGRAM = shutil.which("prometheus")
RULES = ROOT / "docker" / "prometheus" / "alerts.yml"
SCRAPE_SECONDS = 0.5
WINDOW = "5s"  # of rates


def sped_up(rules: str) -> str:
    """The rules with seconds in place of minutes. Expressions and thresholds are unchanged."""
    rules = re.sub(r"for: \d+\w+", "for: 1s", rules)
    return re.sub(r"\[(\d+)m\]", lambda match: "[3m]" if match[1] == "15" else f"[{WINDOW}]", rules)


class Prometheus:
    """Scrapes the ports as job `unroll`; leaving the context ends the process."""

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        self._directory = directory
        (directory / "alerts.yml").write_text(sped_up(RULES.read_text(encoding="utf-8")))
        targets = [f"127.0.0.1:{port}" for port in ports]
        timing = {f"{what}_interval": f"{int(1000 * SCRAPE_SECONDS)}ms" for what in _WORK}
        config = {
            "global": {**timing, "scrape_timeout": timing["scrape_interval"]},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "unroll", "static_configs": [{"targets": targets}]}],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))

    def __enter__(self) -> Self:
        assert PROGRAM is not None
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            address = f"127.0.0.1:{reserved.getsockname()[1]}"
        self.process = subprocess.Popen(
            [
                PROGRAM,
                f"--config.file={self._directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address={address}",
                "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = httpx.Client(
            base_url=f"http://{address}/api/v1/", timeout=PATIENCE, trust_env=False
        )
        eventually(self._answers, "Prometheus answers")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series of an expression, now."""
        answer = self._get("query", query=expression)
        assert answer["resultType"] == "vector", expression
        return [(series["metric"], float(series["value"][1])) for series in answer["result"]]

    def label_values(self, selector: str, label: str) -> set[str]:
        """The values of a label over the series of a selector."""
        series: list[dict[str, str]] = self._get("series", **{"match[]": selector})
        return {labels[label] for labels in series}

    def firing(self) -> set[tuple[str, str]]:
        """Name and instance of each alert that fires."""
        return {
            (alert["labels"]["alertname"], alert["labels"]["instance"])
            for alert in self._get("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def _get(self, path: str, **parameters: str) -> Any:
        response = self._client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def _answers(self) -> bool:
        assert self.process.poll() is None, "Prometheus ended"
        try:
            return self._client.get("status/buildinfo").status_code == 200
        except httpx.TransportError:
            return False


_WORK = ("scrape", "evaluation")
