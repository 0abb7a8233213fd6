"""A stand-in for Google's APIs, as far as a deployment by the real gcloud asks them.

What is deployed is run for real (container.py), and answers at the URL of each of its tags to who
brings the identity token that was given out here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from urllib.parse import unquote, urlsplit

from tests import gcloud
from tests.container import Container, now

PROJECT, REGION = "my-project", "europe-west1"
TOKEN = "token-of-the-deployer"
PERSON = "person@company.example"
TYPES = "type.googleapis.com/google.devtools.cloudbuild.v1"
UNCHECKED = "run.googleapis.com/health-check-disabled"


class Cloud(gcloud.StandIn):
    """The state of one project, and what was asked: `requests` as (method, host and path, body)."""

    def __init__(self, folder: Path):
        super().__init__()
        folder.mkdir(parents=True)
        self.folder = folder
        self.requests: list[tuple[str, str, dict | None]] = []
        self.service: dict | None = None
        self.sources: list[bytes] = []  # what was uploaded
        self.builds: list[dict] = []  # what was asked to be built of it
        self.templates: dict[str, dict] = {}  # by revision
        self.containers: dict[str, Container] = {}  # by revision
        self.doors: dict[str, Door] = {}  # by tag
        self.policies: dict[str, dict] = {}  # by what they are about
        self.lock = RLock()

    def __exit__(self, *_) -> None:
        for door in self.doors.values():
            door.__exit__()
        super().__exit__()
        for container in self.containers.values():
            container.stop()

    @property
    def environment(self) -> dict[str, str]:
        own = gcloud.environment(self.folder, self.server_port, PROJECT, TOKEN)
        return own | {"CLOUDSDK_CORE_ACCOUNT": PERSON}

    def asked(self, method: str, pattern: str) -> list[dict | None]:
        """The bodies of all requests so far of this method to such a host and path."""
        return [body for way, at, body in self.requests if way == method and re.search(pattern, at)]

    def members(self, role: str) -> set[str]:
        """Who has a role, anywhere."""
        return {member for policy in self.policies.values()
                for binding in policy.get("bindings", ())
                if binding["role"] == role for member in binding["members"]}  # fmt: skip

    def answer(self, method: str, target: str, headers, body: bytes) -> tuple:
        url = urlsplit(target)
        at = f"{url.hostname}{unquote(url.path)}"
        with self.lock:
            sent = json.loads(body) if body[:1] == b"{" else None
            self.requests.append((method, at, sent))
            if headers["Authorization"] not in (f"Bearer {TOKEN}", "Bearer impersonated"):
                return refuse(401, "who asks?")
            for way, pattern, handle in ROUTES:
                if way == method and (match := re.search(pattern, at)):
                    try:
                        found = handle(self, match, sent, body, headers)
                    except Exception as error:  # said to gcloud, which repeats it
                        return refuse(400, repr(error))
                    if found is None:
                        return refuse(404, "none")
                    return found if isinstance(found, tuple) else (200, dump(found))
        return refuse(404, f"nothing at {at}")

    # What each API answers.

    def enabled(self, match, *_):
        return {"name": match[1], "state": "ENABLED"}

    def repository(self, match, *_):
        return {"name": match[1], "format": "DOCKER"}

    def build_account(self, *_):
        account = f"projects/{PROJECT}/serviceAccounts/1@cloudbuild.gserviceaccount.com"
        return {"serviceAccountEmail": account}

    def bucket(self, match, *_):
        return {"id": match[1], "name": match[1]}

    def buckets(self, *_):
        name = f"run-sources-{PROJECT}-{REGION}"
        return {"items": [{"id": name, "name": name}]}

    def upload(self, match, _, body, headers):
        """Small: a multipart/related body, the object's description, then its content. Large
        (5 MiB and more, at a path of its own): its description alone, and the content later, at the
        address that is given here."""
        if "multipart" not in headers["Content-Type"]:
            return 200, b"{}", {"Location": f"http://storage.test/uploads/{match[1]}"}
        boundary = re.search("boundary='?([^']+)", headers["Content-Type"])[1].encode()
        part = body.split(b"--" + boundary)[2]
        return self.uploaded(match[1], part.split(b"\n\n", 1)[1].removesuffix(b"\n"))

    def upload_rest(self, match, _, body, headers):
        whole = f"bytes 0-{len(body) - 1}/{len(body)}"
        if headers["Content-Range"] != whole:
            return refuse(400, f"found {headers['Content-Range']}, expected {whole}")
        return self.uploaded(match[1], body)

    def uploaded(self, bucket: str, content: bytes) -> dict:
        self.sources.append(content)
        about = {"bucket": bucket, "name": "source.zip", "generation": "1"}
        return about | {"size": str(len(content))}

    def submit(self, _, sent, *__):
        self.builds.append(sent)
        build = self.build("QUEUED") | {"logUrl": "http://log.test"}
        metadata = {"@type": f"{TYPES}.BuildOperationMetadata", "build": build}
        return {"buildOperation": {"name": "o", "metadata": metadata},
                "baseImageUri": sent["buildpackBuild"]["baseImage"]}  # fmt: skip

    def built(self, match, *_):
        images = [{"name": "image", "digest": f"sha256:{len(self.builds):064d}"}]
        build = self.build("SUCCESS") | {"@type": f"{TYPES}.Build", "results": {"images": images}}
        return {"name": match[1], "done": True, "response": build}

    def submit_yaml(self, _, sent, *__):
        kind = f"{TYPES}.BuildOperationMetadata"
        return {"name": "o", "metadata": {"@type": kind, "build": sent | self.build("QUEUED")}}

    def build(self, status: str) -> dict:
        name = f"projects/1/locations/{REGION}/builds/b"
        return {"id": "b", "name": name, "projectId": PROJECT, "status": status}

    def read(self, *_):
        return self.service

    def revision(self, match, *_):
        template = self.templates[match[1]]
        return {
            "apiVersion": "serving.knative.dev/v1", "kind": "Revision", "spec": template["spec"],
            "metadata": {"name": match[1], "annotations": template["metadata"]["annotations"]},
            "status": {"conditions": conditions("Ready"), "imageDigest": "image@sha256:0"},
        }  # fmt: skip

    def write(self, _, sent, *__):
        """Create or replace the service, as Knative does: a new template is a new revision. One
        whose start-up probe is not answered gets no traffic."""
        before = self.service or {"metadata": {"generation": 0}, "spec": {}, "status": {}}
        generation = before["metadata"]["generation"] + 1
        template = sent["spec"]["template"]
        started, latest = True, before["status"].get("latestReadyRevisionName")
        if template != before["spec"].get("template"):
            name = template["metadata"].get("name")
            name = name or f"{sent['metadata']['name']}-{generation:05d}-abc"
            build = self.builds[-1]["buildpackBuild"]
            container = Container(self.folder / name, self.sources[-1], build, template)
            self.templates[name], self.containers[name] = template, container
            checked = str(template["metadata"]["annotations"].get(UNCHECKED)).lower() != "true"
            started = not checked or container.start()
            latest = name if started else latest
        everything = [{"latestRevision": True, "percent": 100}]
        traffic = [{"revisionName": latest, "percent": 0, **part}
                   for part in sent["spec"].get("traffic") or everything]  # fmt: skip
        for part in traffic:
            if "tag" in part:
                part["url"] = self.door(part["tag"]).url
        state = {} if started else {"status": "False", "message": "The start-up probe failed."}
        own = {"generation": generation, "uid": "u", "resourceVersion": str(generation),
               "creationTimestamp": now(), "selfLink": "s", "namespace": "1"}  # fmt: skip
        self.service = sent | {
            "metadata": sent["metadata"] | own,
            "status": {
                "observedGeneration": generation,
                "conditions": conditions("Ready", "ConfigurationsReady", "RoutesReady", **state),
                "latestCreatedRevisionName": [*self.templates][-1],
                "latestReadyRevisionName": latest,
                "traffic": traffic, "url": self.url, "address": {"url": self.url},
            },
        }  # fmt: skip
        return self.service

    def door(self, tag: str) -> Door:
        if tag not in self.doors:
            self.doors[tag] = Door(self, tag).__enter__()
        return self.doors[tag]

    def policy(self, match, *_):
        return self.policies.get(match[1], {"etag": "ZQ==", "bindings": []})

    def set_policy(self, match, sent, *_):
        self.policies[match[1]] = sent["policy"]
        return sent["policy"]

    def access_token(self, *_):
        return {"accessToken": "impersonated", "expireTime": "2999-01-01T00:00:00Z"}

    def identity_token(self, match, sent, *_):
        return {"token": identity(match[1], sent["audience"])}

    def logged(self, _, sent, *__):
        found, wanted = [], sent["filter"]
        for name, container in self.containers.items():
            if f'"{name}"' in wanted or "revision_name" not in wanted:
                labels = {"service_name": "classify", "revision_name": name, "location": REGION}
                resource = {"type": "cloud_run_revision", "labels": labels}
                found += [entry | {"resource": resource, "logName": f"projects/{PROJECT}/logs/x"}
                          for entry in container.entries()
                          if "stages_ms" in entry.get("jsonPayload", ())
                          or "stages_ms" not in wanted]  # fmt: skip
        return {"entries": sorted(found, key=lambda entry: entry["timestamp"])}

    def operation(self, *_):
        return {"name": "operations/x", "done": True, "response": {}}

    def echo(self, _, sent, *__):
        return sent


class Door(gcloud.StandIn):
    """The URL of a tag, which opens to who may call the service."""

    def __init__(self, cloud: Cloud, tag: str):
        super().__init__()
        self.cloud, self.tag = cloud, tag

    def answer(self, method: str, target: str, headers, body: bytes) -> tuple[int, bytes]:
        account = f"classify-smoke@{PROJECT}.iam.gserviceaccount.com"
        may = f"serviceAccount:{account}" in self.cloud.members("roles/run.invoker")
        if not may or headers["Authorization"] != f"Bearer {identity(account, self.cloud.url)}":
            return 403, b"{}"
        (revision,) = (part["revisionName"] for part in self.cloud.service["status"]["traffic"]
                       if part.get("tag") == self.tag)  # fmt: skip
        return self.cloud.containers[revision].ask(method, target, headers, body)


def dump(answer: dict) -> bytes:
    return json.dumps(answer).encode()


def refuse(code: int, message: str) -> tuple[int, bytes]:
    return code, dump({"error": {"code": code, "message": message}})


def conditions(*kinds: str, status: str = "True", message: str = "") -> list[dict]:
    return [{"type": kind, "status": status, "message": message, "lastTransitionTime": now()}
            for kind in kinds]  # fmt: skip


def identity(account: str, audience: str) -> str:
    """A token in the form of a JWT, unsigned."""
    claims = json.dumps({"email": account, "aud": audience, "exp": 32503680000}).encode()
    parts = (b'{"alg": "none"}', claims, b"no signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


IN = f"projects/{PROJECT}"
KNATIVE = r"run.test/apis/serving.knative.dev/v1/namespaces/[^/]+"
POLICIES = r"^((?:\S*run|iam|cloudresourcemanager).test/v1/.+)"
ACCOUNTS = r"^iamcredentials.test/v1/.+/serviceAccounts"
ROUTES: list[tuple[str, str, Callable]] = [
    ("GET", rf"^serviceusage.test/v1/({IN}/services/.+)", Cloud.enabled),
    ("POST", rf"^serviceusage.test/v1/{IN}/services:batchEnable$", Cloud.operation),
    ("GET", rf"^artifactregistry.test/v1/({IN}/.+/repositories/.+)", Cloud.repository),
    ("GET", rf"^cloudbuild.test/v1/{IN}/.+/defaultServiceAccount$", Cloud.build_account),
    ("GET", rf"^cloudbuild.test/v1/({IN}/.+/operations/.+)", Cloud.built),
    ("POST", rf"^cloudbuild.test/v1/{IN}/locations/{REGION}/builds$", Cloud.submit_yaml),
    ("GET", r"^storage.test/storage/v1/b/(.+)", Cloud.bucket),
    ("GET", r"^storage.test/storage/v1/b$", Cloud.buckets),
    ("POST", r"^storage.test/(?:resumable/)?upload/storage/v1/b/(.+)/o$", Cloud.upload),
    ("PUT", r"^storage.test/uploads/(.+)", Cloud.upload_rest),
    ("POST", rf"run.test/v2/{IN}/locations/{REGION}/builds:submit$", Cloud.submit),
    ("GET", rf"{KNATIVE}/services/classify$", Cloud.read),
    ("POST", rf"{KNATIVE}/services$", Cloud.write),
    ("PUT", rf"{KNATIVE}/services/classify$", Cloud.write),
    ("GET", rf"{KNATIVE}/revisions/(.+)", Cloud.revision),
    ("GET", rf"{POLICIES}:getIamPolicy$", Cloud.policy),
    ("POST", rf"{POLICIES}:getIamPolicy$", Cloud.policy),
    ("POST", rf"{POLICIES}:setIamPolicy$", Cloud.set_policy),
    ("POST", rf"{ACCOUNTS}/.+:generateAccessToken$", Cloud.access_token),
    ("POST", rf"{ACCOUNTS}/(.+):generateIdToken$", Cloud.identity_token),
    ("POST", rf"^iam.test/v1/{IN}/serviceAccounts$", Cloud.echo),
    ("POST", r"^logging.test/v2/entries:list$", Cloud.logged),
    ("POST", rf"^monitoring.test/v3/{IN}/alertPolicies$", Cloud.echo),
]
