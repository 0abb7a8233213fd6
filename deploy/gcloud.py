"""The gcloud commands of a deployment, as argument lists; nothing here runs one."""

from __future__ import annotations

from deploy.settings import Settings

CANDIDATE, PREVIOUS = "candidate", "previous"  # tags: the newest revision, the one to go back to
# Per runtime: what Google's buildpacks build the staged folder on, and what they start. The Node
# folder brings its server in its one file and is no function to them; they run its `gcp-build`.
BUILDS = {
    "python": ("--base-image=python311", "--function=classify"),
    "node": ("--base-image=nodejs22", "--set-build-env-vars=GOOGLE_ENTRYPOINT=node index.cjs"),
}
# https://cloud.google.com/run/docs/deploying-source-code asks these of who deploys; and to read
# logs.
BUILD_ROLES = ("run.sourceDeveloper", "cloudbuild.builds.builder",
               "serviceusage.serviceUsageConsumer", "logging.viewer")  # fmt: skip
# A second is the shortest period there is, so `/ready` delays an instance by up to that much. The
# model is loaded before the server listens: whoever wants the last of the cold start takes the
# default TCP probe instead (docs/operations.md).
PROBE = "httpGet.path=/ready,httpGet.port=8080,periodSeconds=1,timeoutSeconds=1,failureThreshold=60"


def deploy(to: Settings, first: bool) -> list[str]:
    """A new revision without traffic; the first of a service gets it all, as Cloud Run wants it.
    Nobody may call a new service; who may call one that is there is left as it is."""
    return _run(
        to, "deploy", to.service,
        f"--source={to.folder}",
        *BUILDS[to.runtime],
        f"--service-account={to.account('run')}",
        f"--execution-environment={to.execution_environment}",
        "--cpu=1",
        "--cpu-boost",
        f"--memory={to.memory}",
        f"--concurrency={to.concurrency}",
        f"--min-instances={to.min_instances}",
        f"--max-instances={to.max_instances}",
        "--timeout=30",
        f"--startup-probe={PROBE}",
        f"--tag={CANDIDATE}",
        "--no-allow-unauthenticated" if first else "--no-traffic",
        "--quiet",
    )  # fmt: skip


def describe(to: Settings) -> list[str]:
    """The service as JSON; fails where there is none."""
    return _run(to, "services", "describe", to.service, "--format=json")


def shift(to: Settings, current: str | None) -> list[str]:
    """All traffic to the candidate; `current`, which serves now, is tagged to go back to."""
    tags = [f"--update-tags={PREVIOUS}={current}"] if current else []
    return _run(to, "services", "update-traffic", to.service, *tags, f"--to-tags={CANDIDATE}=100")


def rollback(to: Settings) -> list[str]:
    """All traffic to the revision that served before the last deployment."""
    return _run(to, "services", "update-traffic", to.service, f"--to-tags={PREVIOUS}=100")


def token(to: Settings, audience: str) -> list[str]:
    """An identity token for the service at `audience`. By impersonation: what a person's own login
    gives has another audience, and Cloud Build's gives none for its account."""
    return [
        "gcloud", "auth", "print-identity-token", f"--audiences={audience}",
        f"--impersonate-service-account={to.account('smoke')}",
    ]  # fmt: skip


def account() -> list[str]:
    """Who is logged in."""
    return ["gcloud", "config", "get-value", "account"]


def setup(to: Settings, person: str) -> list[list[str]]:
    """What a project needs once: the APIs and three accounts. `run` gets no role at all, `smoke`
    may call the project's services, `build` what a deployment asks for. `build` and `person`, an
    e-mail address, may deploy what runs as `run` and ask as `smoke`."""
    project = f"--project={to.project}"
    apis = ("run", "cloudbuild", "artifactregistry", "iamcredentials", "logging")
    names = {"run": "runs the function", "smoke": "asks the golden phrases", "build": "deploys it"}
    accounts = ["gcloud", "iam", "service-accounts"]
    roles = [("smoke", "run.invoker"), *(("build", role) for role in BUILD_ROLES)]
    uses = (("run", "iam.serviceAccountUser"), ("smoke", "iam.serviceAccountTokenCreator"))
    return [
        ["gcloud", "services", "enable", *(f"{api}.googleapis.com" for api in apis), project],
        *(
            [*accounts, "create", f"{to.service}-{role}", f"--display-name={name}", project]
            for role, name in names.items()
        ),
        *(
            ["gcloud", "projects", "add-iam-policy-binding", to.project, _member(to.account(name)),
             f"--role=roles/{role}", "--condition=None", "--format=none"]
            for name, role in roles
        ),
        *(
            [*accounts, "add-iam-policy-binding", to.account(name), _member(who),
             f"--role=roles/{role}", "--format=none", project]
            for who in (to.account("build"), person)
            for name, role in uses
        ),
    ]  # fmt: skip


def _member(email: str) -> str:
    kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
    return f"--member={kind}:{email}"


def _run(to: Settings, *arguments: str) -> list[str]:
    return ["gcloud", "run", *arguments, f"--project={to.project}", f"--region={to.region}"]
