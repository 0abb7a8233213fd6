"""Cold starts on Cloud Run: the real gcloud against a stand-in for the APIs and the service.

The stand-in holds what gcloud asks of a service (https://cloud.google.com/run/docs/reference/rest/v1/
namespaces.services) and of its log, and "starts an instance" with the first request.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

import pytest

from tests import gcloud
from timing import coldstart
from timing.lab import cloudrun

ASKED = ("--text", "smoked paprika", "--expect", "source=plant")
START_S = 0.2
CONDITIONS = [
    {"type": name, "status": "True"} for name in ("Ready", "ConfigurationsReady", "RoutesReady")
]


class StandIn(gcloud.StandIn):
    """Cloud Run, Cloud Logging and a service named `food`, all on one port."""

    def __init__(self):
        super().__init__()
        self.generation = 1
        self.metadata = {"name": "food", "namespace": "kitchen", "annotations": {}}
        container = {"image": "food", "env": [{"name": "BUNDLE", "value": "b"}]}
        self.spec = {
            "template": {"metadata": {"annotations": {}}, "spec": {"containers": [container]}},
            "traffic": [{"latestRevision": True, "percent": 100}],
        }
        self.revisions = {"food-1": self.spec["template"]}
        self.running: set[str] = set()
        self.entries: list[dict] = []
        self.readings = 0
        # What a test may change.
        self.status, self.label, self.refusal, self.runs_early = 200, "plant", None, ()
        self.token: str | None = None

    def put(self, service: dict) -> None:
        self.generation += 1
        self.metadata, self.spec = service["metadata"], service["spec"]
        template = self.spec["template"]
        name = template["metadata"].get("name") or f"food-{self.generation}"
        made = self.revisions.setdefault(name, template) is template
        if made and self.generation in self.runs_early:
            self.start(name)

    @property
    def service(self) -> dict:
        latest = list(self.revisions)[-1]
        traffic = [{"revisionName": latest} | target for target in self.spec["traffic"]]
        for target in traffic:
            if "tag" in target:
                target["url"] = self.url
        return {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {**self.metadata, "generation": self.generation},
            "spec": self.spec,
            "status": {
                "observedGeneration": self.generation,
                "conditions": CONDITIONS,
                "latestCreatedRevisionName": latest,
                "latestReadyRevisionName": latest,
                "traffic": traffic,
                "url": self.url,
            },
        }

    def revision(self, name: str) -> dict:
        template = self.revisions[name]
        return {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Revision",
            "metadata": {"name": name, **template["metadata"]},
            "spec": template["spec"],
            "status": {"conditions": CONDITIONS, "imageDigest": "food@sha256:0"},
        }

    def log(self, revision: str, **entry) -> None:
        labels = {"service_name": "food", "revision_name": revision, "location": "mars-east1"}
        resource = {"type": "cloud_run_revision", "labels": labels}
        self.entries.append({"timestamp": now(), "insertId": str(len(self.entries)),
                             "logName": "projects/kitchen/logs/x", "resource": resource, **entry})

    def start(self, revision: str) -> None:
        time.sleep(START_S)
        self.running.add(revision)
        self.log(revision, textPayload="Starting new instance.")
        self.log(revision, jsonPayload={"span": "load", "duration_ms": START_S * 1e3})

    def classify(self, agent: str) -> bytes:
        """As the newest revision, whose tag the URL is."""
        began, stamp = time.perf_counter(), now()
        revision = list(self.revisions)[-1]
        if revision not in self.running:
            self.start(revision)
        self.log(revision, jsonPayload={"span": "request", "duration_ms": 2.5})
        latency = f"{time.perf_counter() - began:.9f}s"
        self.log(revision, timestamp=stamp, httpRequest={"userAgent": agent, "latency": latency})
        return json.dumps({"results": [{"source": {"label": self.label}}]}).encode()


    def answer(self, method: str, target: str, headers, body: bytes) -> tuple[int, bytes]:
        path = target.partition("?")[0]
        if path.endswith("/classify"):
            may = not self.token or headers["Authorization"] == f"Bearer {self.token}"
            return self.status if may else 403, self.classify(headers["User-Agent"])
        if self.refusal:
            return 403, refusal(403, self.refusal)
        if path == "http://logging.test/v2/entries:list":
            self.readings += 1  # the lines of a log come in late
            known = self.entries[: -1 if self.readings == 1 else None]
            found = {"entries": sorted(known, key=lambda e: e["timestamp"])}
        elif "/revisions/" in path:
            found = self.revision(path.rsplit("/", 1)[1])
        elif path == ("http://mars-east1-run.test/apis/serving.knative.dev/v1/namespaces/kitchen"
                      "/services/food"):  # fmt: skip
            if method == "PUT":
                self.put(json.loads(body))
            found = self.service
        else:
            return 404, refusal(404, path)
        return 200, json.dumps(found).encode()


def refusal(code: int, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """The stand-in, and a gcloud that knows no other cloud."""
    with StandIn() as stand_in:
        own = gcloud.environment(tmp_path, stand_in.server_port, "kitchen", "token")
        for name in os.environ.keys() - own.keys():
            monkeypatch.delenv(name)
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(cloudrun, "POLL_S", 0.01)
        yield stand_in


def lab(out, *given: str) -> None:
    coldstart.main([*ASKED, "--out", str(out), "--gcloud", "food", "--region", "mars-east1",
                    *given])  # fmt: skip


@gcloud.needed
def test_every_start_is_a_new_revision_that_the_lab_alone_asks(cloud, tmp_path, capsys):
    cloud.runs_early = (3,)  # the second: the first request to it does not start it
    lab(tmp_path / "out", "--starts", "2")
    report = json.loads((tmp_path / "out").read_text())
    (measured,) = report["configurations"]
    (sample,) = measured["starts"]
    assert sample["client.first_answer_ms"] >= sample["server.latency_ms"] >= START_S * 1e3
    assert sample["client.second_answer_ms"] < sample["client.first_answer_ms"]
    assert (sample["spans_ms.load"], sample["spans_ms.request"]) == (START_S * 1e3, 2.5)
    (note,) = report["notes"]
    assert note.endswith("not counted, it ran already when the request came")
    assert "Cloud Run food in mars-east1" in capsys.readouterr().out
    started = list(cloud.revisions.values())[1:3]
    values = [container["env"][1]["value"] for template in started
              for container in template["spec"]["containers"]]  # fmt: skip
    assert len(set(values)) == 2
    for template in started:
        assert template["metadata"]["annotations"][cloudrun.UNCHECKED] == "True"
    # And in the end the service is as it was.
    assert cloud.spec["traffic"] == [{"latestRevision": True, "percent": 100}]
    template = cloud.spec["template"]
    assert template["spec"]["containers"][0]["env"] == [{"name": "BUNDLE", "value": "b"}]
    assert template["metadata"]["annotations"][cloudrun.UNCHECKED] == "False"


@gcloud.needed
def test_a_wrong_answer_is_told_and_the_service_put_back(cloud, tmp_path):
    cloud.label = "fungus"
    with pytest.raises(SystemExit, match=r"error: .* found source \['fungus'\], expected 'plant'"):
        lab(tmp_path / "out", "--starts", "1")
    assert cloud.spec["traffic"] == [{"latestRevision": True, "percent": 100}]
    assert len(cloud.spec["template"]["spec"]["containers"][0]["env"]) == 1


@gcloud.needed
def test_a_service_that_not_everybody_may_call(cloud, tmp_path):
    cloud.token = "of-who-may"
    lab(tmp_path / "out", "--starts", "1", "--header", "Authorization: Bearer of-who-may")
    assert "of-who-may" not in (tmp_path / "out").read_text()
    with pytest.raises(SystemExit, match=r"found HTTP status 403 \(who asks\? see --header\)"):
        lab(tmp_path / "out", "--starts", "1")


@pytest.mark.parametrize("given", ["Authorization", ": value", "X-API-Key:", "A: b\nC: d"])
def test_a_header_that_is_none_is_refused_unseen(tmp_path, capsys, given):
    with pytest.raises(SystemExit):
        lab(tmp_path / "out", "--header", given)
    assert "found no header, expected such as 'X-API-Key: KEY'" in capsys.readouterr().err


@gcloud.needed
def test_what_gcloud_is_refused_is_told_in_one_line(cloud, tmp_path):
    cloud.refusal = "Permission denied on the kitchen."
    with pytest.raises(SystemExit) as ended:
        lab(tmp_path / "out")
    assert str(ended.value).startswith("error: gcloud: ")
    assert "Permission denied on the kitchen" in str(ended.value)
    assert "\n" not in str(ended.value)


def test_only_warm_starts_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(cloudrun, "measure", lambda *_: ([], ["food-2: not counted"]))
    with pytest.raises(SystemExit, match=r"food: found no cold start \(food-2: not counted\)"):
        lab(tmp_path / "out", "--starts", "1")
    assert not (tmp_path / "out").exists()


def test_without_gcloud_one_is_told_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="found no gcloud, expected it installed"):
        lab(tmp_path / "out")
