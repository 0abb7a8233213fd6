"""A deployment from end to end: the real gcloud, a stand-in for Google's APIs, the real function.

Once through cloudbuild.yaml's own steps, then again as `make deploy` does, then back.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.settings import Settings
from tests import gcloud
from tests.cloud import PERSON, PROJECT, REGION, Cloud
from tests.conftest import ROOT

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/operations.md").read_text("utf-8"),
                    re.M | re.S)  # fmt: skip
UNTESTED, LONG = "# needs an account: ", "# takes an hour: "
BUILD = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text("utf-8"))
TO = {"PROJECT": PROJECT, "REGION": REGION}
# For `make`: what serves is this very interpreter, not a venv made for it.
HERE = {"MAKEFLAGS": f" -- SERVE= PYTHON={sys.executable}"}


@dataclass
class Done:
    """What a command printed, and the service's traffic after it: percent by revision, revision by
    tag."""

    status: int
    said: str
    traffic: dict[str, int]
    tags: dict[str, str]

    @property
    def commands(self) -> list[str]:
        return [line for line in self.said.splitlines() if line.startswith("$ ")]


class Workspace:
    """The repository with a build/ of its own, and the cloud it deploys to."""

    def __init__(self, folder: Path, cloud: Cloud):
        self.cloud, self.folder, self.shims = cloud, folder, folder.parent / "shims"
        for name in ("build", "node_modules"):
            (folder / name).mkdir(parents=True)
        for path in ROOT.iterdir():
            own = (folder / path.name).exists() or path.name.startswith((".git", ".venv"))
            if not own:
                (folder / path.name).symlink_to(path)
        # Nothing is installed here: what is there counts as fresh, and Node finds it by the links.
        (folder / "node_modules/.package-lock.json").touch()
        self.shims.mkdir()
        for name in ("apt-get", "npm"):
            (self.shims / name).write_text("#!/bin/sh\n")
            (self.shims / name).chmod(0o755)

    def run(self, *command: str, **environment: str) -> Done:
        own = self.cloud.environment
        path = f"{self.shims}:{own['PATH']}"
        given = own | TO | HERE | {"PYTHONPATH": ".", "PATH": path} | environment
        done = subprocess.run(command, cwd=self.folder, env=given, text=True, timeout=600,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)  # fmt: skip
        parts = self.cloud.service["status"]["traffic"] if self.cloud.service else []
        traffic = {part["revisionName"]: part["percent"] for part in parts if part["percent"]}
        tags = {part["tag"]: part["revisionName"] for part in parts if "tag" in part}
        return Done(done.returncode, done.stdout, traffic, tags)

    def deploy(self, *steps: str, **environment: str) -> Done:
        return self.run(sys.executable, "-m", "deploy", *steps, **environment)

    def step(self, name: str, makeflags: str = HERE["MAKEFLAGS"], **substitutions: str) -> Done:
        """A step of cloudbuild.yaml as Cloud Build runs it: its script, with what its environment
        says once the substitutions are made."""
        (step,) = (step for step in BUILD["steps"] if step["id"] == name)
        known = BUILD["substitutions"] | {"PROJECT_ID": PROJECT, "BUILD_ID": "b"} | substitutions
        lines = [*BUILD["options"]["env"], *step.get("env", [])]
        substituted = [re.sub(r"\$\{?(\w+)\}?", lambda m: known[m[1]], line) for line in lines]
        environment = dict(line.split("=", 1) for line in substituted)
        return self.run("bash", "-c", step["script"], MAKEFLAGS=makeflags, **environment)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deploy")
    with Cloud(folder / "cloud") as cloud:
        yield Workspace(folder / "workspace", cloud)


@pytest.fixture(scope="module")
def staged(workspace) -> Done:
    return workspace.step("parity")


@pytest.fixture(scope="module")
def first(workspace, staged) -> dict[str, Done]:
    """The first deployment, step by step."""
    setup = workspace.run("make", "deploy-setup")
    steps = {name: workspace.step(name) for name in ("release", "smoke", "shift", "measure")}
    return {"setup": setup, **steps}


@pytest.fixture(scope="module")
def second(workspace, first) -> dict:
    steps = ("release", "smoke", "shift")
    done = {name: workspace.deploy(name, CONCURRENCY="8") for name in steps}
    # And after it one that does not start.
    vocab = workspace.folder / "build/stage/bundle/vocab.txt"
    content = vocab.read_bytes()
    vocab.write_text("[PAD]\n")
    done["broken"] = workspace.deploy("release", "smoke", "shift")
    vocab.write_bytes(content)
    done["rollback"] = workspace.run("make", "rollback")
    return done | {"asked": [*workspace.cloud.requests]}


def annotations(service: dict) -> dict[str, str]:
    return service["spec"]["template"]["metadata"]["annotations"]


def test_what_is_staged_gives_the_golden_answers(staged):
    assert staged.status == 0, staged.said
    assert re.search(r"gives the golden answers, \d+ of \d+ to the label", staged.said)


@gcloud.needed
def test_a_project_is_set_up_with_least_privilege(workspace, first):
    assert first["setup"].status == 0, first["setup"].said
    names = [body["accountId"] for body in workspace.cloud.asked("POST", r"^iam\S+Accounts$")]
    assert names == ["classify-run", "classify-smoke", "classify-build"]
    run, smoke, build = (f"serviceAccount:{name}@{PROJECT}.iam.gserviceaccount.com"
                         for name in names)  # fmt: skip
    members, person = workspace.cloud.members, f"user:{PERSON}"
    roles = {binding["role"] for policy in workspace.cloud.policies.values()
             for binding in policy.get("bindings", ())}  # fmt: skip
    assert not any(run in members(role) for role in roles)
    assert [role for role in roles if smoke in members(role)] == ["roles/run.invoker"]
    assert members("roles/iam.serviceAccountUser") == {build, person}
    assert members("roles/iam.serviceAccountTokenCreator") == {build, person}
    assert members("roles/run.sourceDeveloper") == {build}
    assert not {"roles/owner", "roles/editor", "roles/run.admin"} & roles
    assert not {"allUsers", "allAuthenticatedUsers"} & set().union(*map(members, roles))


@gcloud.needed
def test_the_request_that_creates_the_service(workspace, first):
    assert first["release"].status == 0, first["release"].said
    (sent,) = workspace.cloud.asked("POST", r"run\.test/apis/.+/services$")
    template = sent["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    probe = container["startupProbe"]
    assert probe["httpGet"] == {"path": "/ready", "port": 8080}
    assert probe["periodSeconds"] == 1 and probe["failureThreshold"] == 60
    account = f"classify-run@{PROJECT}.iam.gserviceaccount.com"
    assert template["spec"]["serviceAccountName"] == account
    assert template["spec"]["containerConcurrency"] == 16
    assert template["spec"]["timeoutSeconds"] == 30
    found = annotations(sent)
    assert found["run.googleapis.com/startup-cpu-boost"].lower() == "true"
    assert found["run.googleapis.com/execution-environment"] == "gen1"
    assert "autoscaling.knative.dev/minScale" not in found  # 0, the default
    assert found["autoscaling.knative.dev/maxScale"] == "10"
    assert "env" not in container


@gcloud.needed
def test_what_is_built_is_the_staged_source(workspace, first):
    build = workspace.cloud.builds[0]
    assert build["buildpackBuild"]["functionTarget"] == "classify"
    assert build["buildpackBuild"]["baseImage"].endswith("python311")
    assert build["storageSource"]["object"]
    (revision, *_) = workspace.cloud.containers
    sent = workspace.cloud.folder / revision
    kept = {path.relative_to(sent).as_posix() for path in sent.rglob("*.*")}
    assert {"main.py", "requirements.txt", "function/guard.py", "bundle/manifest.json"} <= kept
    assert not [name for name in kept if re.match(r"(timing/lab|tests|training|export)/", name)]


@gcloud.needed
def test_nobody_else_may_call_it(workspace, first):
    assert "--no-allow-unauthenticated" in first["release"].commands[-1]
    door = workspace.cloud.doors["candidate"]
    assert door.answer("GET", "/ready", {"Authorization": ""}, b"")[0] == 403


@gcloud.needed
def test_the_first_revision_gets_all_traffic_once_it_gives_the_golden_answers(first):
    for name in ("release", "smoke", "shift"):
        assert first[name].status == 0, first[name].said
    assert "gives the golden answers" in first["smoke"].said
    (percent,) = first["shift"].traffic.values()
    assert percent == 100


@gcloud.needed
def test_cold_starts_are_measured_and_the_service_left_as_it_was(workspace, first):
    assert first["measure"].status == 0, first["measure"].said
    report = json.loads((workspace.folder / "build/cold-starts.json").read_text())
    samples = report["configurations"][0]["starts"]
    assert len(samples) == 3
    assert all({"client.first_answer_ms", "server.latency_ms", "spans_ms.load"} <= set(sample)
               for sample in samples)  # fmt: skip
    assert first["measure"].traffic == first["shift"].traffic
    token = re.search(r"[\w-]{20,}\.[\w-]{20,}\.", first["measure"].said + json.dumps(report))
    assert token is None and "--header=Authorization: …" in first["measure"].said


@gcloud.needed
def test_the_second_revision_gets_no_traffic_before_its_smoke_test(first, second):
    for name in ("release", "smoke", "shift"):
        assert second[name].status == 0, second[name].said
    assert second["release"].traffic == second["smoke"].traffic == first["shift"].traffic
    assert "--no-traffic" in second["release"].commands[-1]
    (percent,) = second["shift"].traffic.values()
    assert percent == 100 and second["shift"].traffic != first["shift"].traffic


@gcloud.needed
def test_a_deployment_leaves_alone_who_may_call(workspace, second):
    """What was given by hand, to everybody perhaps, stays; and whoever deploys needs no right to
    change it."""
    assert not [at for _, at, _ in second["asked"] if re.search(r"run\.test/v1/.+:setIam", at)]


@gcloud.needed
def test_the_requests_that_split_the_traffic(first, second):
    old, new = first["shift"].tags["candidate"], second["release"].tags["candidate"]
    assert old != new
    for name in ("release", "smoke"):
        assert (second[name].traffic, second[name].tags) == ({old: 100}, {"candidate": new})
    tags = {"candidate": new, "previous": old}
    assert (second["shift"].traffic, second["shift"].tags) == ({new: 100}, tags)
    assert second["rollback"].traffic == {old: 100}
    bodies = [body for way, at, body in second["asked"] if way == "PUT" and "/services/" in at]
    assert len(bodies) >= 4
    for body in bodies:
        assert sum(part.get("percent", 0) for part in body["spec"]["traffic"]) == 100


@gcloud.needed
def test_a_revision_that_does_not_start_gets_nothing(second):
    assert second["broken"].status != 0
    assert "error: found exit status 1 of gcloud run deploy" in second["broken"].said
    assert second["broken"].traffic == second["shift"].traffic


@gcloud.needed
def test_one_command_rolls_back(first, second):
    assert second["rollback"].status == 0, second["rollback"].said
    assert len(second["rollback"].commands) == 1
    assert second["rollback"].traffic == first["shift"].traffic


@gcloud.needed
def test_a_dry_run_prints_what_would_be_run(workspace, second):
    asked = len(workspace.cloud.requests)
    dry = workspace.run("make", "deploy", "DRY_RUN=1", "CONCURRENCY=8", *map("=".join, TO.items()))
    assert dry.status == 0 and len(workspace.cloud.requests) == asked
    assert dry.commands[:2] == ["$ make test sbom audit", "$ make parity"]
    real = [line for name in ("release", "smoke", "shift") for line in second[name].commands]
    for line, other in zip(dry.commands[2:], real, strict=False):
        pattern = re.escape(line)
        for placeholder in ("SERVICE_URL", "CURRENT_REVISION"):
            pattern = pattern.replace(placeholder, r"\S+")
        assert re.fullmatch(pattern, other), other
    assert "timing.coldstart" in dry.commands[-1]


@gcloud.needed
def test_gcloud_takes_the_build(workspace):
    submit = f"gcloud builds submit --config=cloudbuild.yaml --region={REGION}"
    done = workspace.run(*submit.split(), f"--substitutions=_REGION={REGION}", "--no-source",
                         "--async")  # fmt: skip
    assert done.status == 0, done.said
    (sent,) = workspace.cloud.asked("POST", r"^cloudbuild\S+/builds$")
    assert [step["id"] for step in sent["steps"]] == [step["id"] for step in BUILD["steps"]]
    assert sent["substitutions"]["_REGION"] == REGION
    assert sent["serviceAccount"].endswith("${_SERVICE}-build@$PROJECT_ID.iam.gserviceaccount.com")


@pytest.mark.skipif(not shutil.which("node") or not (ROOT / "node_modules").exists(),
                    reason="needs node and npm ci")  # fmt: skip
def test_the_node_function_is_staged_and_gives_the_golden_answers(workspace):
    done = workspace.step("parity", _RUNTIME="node")
    assert done.status == 0, done.said
    assert "gives the golden answers" in done.said


@gcloud.needed
@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.startswith(UNTESTED)])
def test_the_commands_of_the_operations_page(workspace, second, block):
    """As they are there. What `make deploy` makes before it deploys is only printed: the tests of
    everything, and the folder that is staged already."""
    environment = {"MAKEFLAGS": "n"} if block.startswith(LONG) else {"MAKEFLAGS": (
        f"{HERE['MAKEFLAGS']} MAKE=make\\ -n")}  # fmt: skip
    done = workspace.run("bash", "-euo", "pipefail", "-c", block, **environment)
    assert done.status == 0, done.said


@gcloud.needed
def test_the_alerts_are_of_the_service(workspace, second):
    create = "gcloud alpha monitoring policies create --policy-from-file=deploy/alerts.yaml"
    assert any(create in block for block in BLOCKS)
    assert workspace.run(*create.split()).status == 0
    policy = workspace.cloud.asked("POST", r"^monitoring\S+/alertPolicies$")[-1]
    conditions = [condition["conditionThreshold"] for condition in policy["conditions"]]
    assert len(conditions) == 3 and policy["combiner"] == "OR"
    assert all('service_name="classify"' in condition["filter"] for condition in conditions)


def test_what_of_the_operations_page_is_not_run_says_so():
    marked = [block for block in BLOCKS if block.startswith(UNTESTED)]
    assert len(BLOCKS) - len(marked) >= 6
    for block in marked:  # what nobody could run is still a script
        subprocess.run(["bash", "-n", "-c", block], check=True)


def test_a_dry_run_needs_nothing(tmp_path):
    environment = TO | {"DRY_RUN": "1", "PYTHONPATH": str(ROOT), "PATH": ""}
    steps = ("check", "setup", "release", "smoke", "shift", "measure", "rollback")
    done = subprocess.run([sys.executable, "-m", "deploy", *steps], cwd=tmp_path, env=environment,
                          text=True, capture_output=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "--member=user:ACCOUNT" in done.stdout and "gcloud run deploy" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "steps", "fault"),
    [
        ({"REGION": ""}, ["check"], "found no REGION, expected REGION=…"),
        ({}, [], "found no step, expected some of check, setup"),
        ({}, ["relase"], "found unknown relase, expected some of check, setup"),
        ({}, ["release"], "found no gcloud, expected it installed"),
        ({"RUNTIME": "ruby"}, ["check"], "RUNTIME: found 'ruby', expected python or node"),
        ({"MEMORY": "256Mi", "EXECUTION_ENVIRONMENT": "gen2"}, ["check"],
         "MEMORY: found '256Mi', expected at least '512Mi' for gen2"),
        ({"SERVICE": "a" * 25, "CONCURRENCY": "0"}, ["check"],
         "expected 4 to 24 of a-z, 0-9 and -; CONCURRENCY: found '0', expected 1 to 1000"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, environment, steps, fault):
    environment = TO | {"PYTHONPATH": str(ROOT), "PATH": ""} | environment
    done = subprocess.run([sys.executable, "-m", "deploy", *steps], cwd=tmp_path, env=environment,
                          text=True, capture_output=True)  # fmt: skip
    assert done.returncode == 1 and fault in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_every_substitution_is_used_and_defined():
    text = (ROOT / "cloudbuild.yaml").read_text("utf-8").partition("\nsteps:")[2]
    scripts = "".join(step["script"] for step in BUILD["steps"])
    used = set(re.findall(r"\$\{?(_[A-Z_]+|[A-Z]+_ID)\}?", text))
    assert used - {"PROJECT_ID", "BUILD_ID"} == set(BUILD["substitutions"])
    # A script's `$NAME` is of its environment: Cloud Build substitutes nothing there.
    given = {line.split("=")[0] for line in BUILD["options"]["env"]} | {"STEP"}
    assert set(re.findall(r"\$([A-Z_]+)", scripts)) <= given


def test_the_substitutions_are_the_settings():
    environment = dict(line.split("=$") for line in BUILD["options"]["env"])
    assert environment.pop("TRAIN") == "_TRAIN"
    defaults = Settings(PROJECT, REGION)
    assert set(environment) == {name.upper() for name in vars(defaults)}
    for name, substitution in environment.items():
        if name != "PROJECT":
            assert BUILD["substitutions"][substitution] == getattr(defaults, name.lower())


@pytest.mark.parametrize(
    ("step", "substitutions", "said"),
    [
        ("install", {}, ["-m venv --clear .venv", "-m venv --clear .venv-serve"]),
        ("test", {}, ["ruff check", "pytest", "cyclonedx-py"]),
        ("train", {"_TRAIN": "true"}, ["training.train"]),
        ("train", {}, []),
    ],
)
def test_the_steps_before_the_deployment(workspace, step, substitutions, said):
    """By `make -n`: their commands are the tests' and the training's own."""
    done = workspace.step(step, "n", **substitutions)
    assert done.status == 0, done.said
    assert [part for part in said if part not in done.said] == [] and bool(said) == bool(done.said)
