"""docker-compose.yaml and the `.env` that `make env` writes, without a docker engine."""

import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from shadow_demo import env_file, train

PROJECT = Path(__file__).parents[3]
FILE = PROJECT / "docker-compose.yaml"
TEXT = FILE.read_text()
CONTENT: Mapping[str, Any] = yaml.safe_load(TEXT)
SERVICES: Mapping[str, Mapping[str, Any]] = CONTENT["services"]
PROFILES = ("", "celery", "demo", "s3", "celery,demo,s3")
ALWAYS = {"postgres-metadata", "postgres-shadow", "init", "api-server", "scheduler", "dag-processor", "triggerer"}
OF_PROFILES = {"celery": {"redis", "worker"}, "demo": {"demo"}, "s3": {"s3", "s3-bucket"}}
ONE_SHOT = {"init", "demo", "s3-bucket"}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:?[-?])?")


def airflows() -> dict[str, Mapping[str, Any]]:
    return {name: service for name, service in SERVICES.items() if service["image"].startswith("shadow-airflow:")}


def mounts(service: Mapping[str, Any]) -> dict[str, str]:
    """Return where in the container each source is mounted, with its mode."""
    return dict(one.split(":", 1) for one in service.get("volumes", ()))


@cache
def compose() -> tuple[str, ...] | None:
    """Return the command of Docker Compose 2, which needs no engine to check a file."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]):
            output = subprocess.run([*command, "version"], capture_output=True, text=True, check=False).stdout
            if re.search(r"version v?(2\.(2[0-9]|[3-9][0-9])|[3-9]|[1-9][0-9])", output):
                return command
    return None


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with the compose file and what `make env` has made."""
    shutil.copy(FILE, tmp_path)
    env_file.main(tmp_path)
    capsys.readouterr()
    return tmp_path


def config(project: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = compose()
    if command is None:
        pytest.skip("there is no docker compose, 2.20 or newer, on this machine")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | variables
    return subprocess.run(
        [*command, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("profiles", PROFILES)
def test_docker_compose_takes_the_file_without_a_warning(project: Path, profiles: str) -> None:
    done = config(project, "config", "--quiet", COMPOSE_PROFILES=profiles)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    services = set(config(project, "config", "--services", COMPOSE_PROFILES=profiles).stdout.split())
    assert services == ALWAYS.union(*(OF_PROFILES[one] for one in profiles.split(",") if one))


def test_docker_compose_resolves_every_value(project: Path) -> None:
    text = config(project, "--profile", "*", "config").stdout
    resolved = yaml.safe_load(text)["services"]
    known = env_file.values((project / ".env").read_text())
    environment = resolved["worker"]["environment"]
    assert environment["AIRFLOW__CELERY__BROKER_URL"] == f"redis://:{known['REDIS_PASSWORD']}@redis:6379/0"
    reader = f"demo_reader:{known['DEMO_READER_PASSWORD']}"
    assert environment["AIRFLOW_CONN_PRODUCTION_DB"] == f"postgresql://{reader}@postgres-shadow/demo"
    assert resolved["scheduler"]["user"] == f"{known['AIRFLOW_UID']}:0"
    assert resolved["scheduler"]["depends_on"]["redis"] == {"condition": "service_healthy", "required": False}
    given = "postgresql://reader:secret@db.example/production"
    text = config(project, "config", "worker", AIRFLOW_CONN_PRODUCTION_DB=given).stdout
    assert yaml.safe_load(text)["services"]["worker"]["environment"]["AIRFLOW_CONN_PRODUCTION_DB"] == given


@pytest.mark.parametrize("given", ["", "CeleryExecutor"])
def test_docker_compose_gives_all_of_airflow_the_executor_of_env(project: Path, given: str) -> None:
    with (project / ".env").open("a") as env:
        env.write(f"AIRFLOW__CORE__EXECUTOR={given}\n")
    resolved = yaml.safe_load(config(project, "--profile", "*", "config").stdout)["services"]
    found = {resolved[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] for name in airflows()}
    assert found == {given or "LocalExecutor"}


@pytest.mark.parametrize("name", [name for name in env_file.MAKERS if name != "AIRFLOW_UID"])
def test_docker_compose_stops_where_a_secret_is_missing(project: Path, name: str) -> None:
    env = project / ".env"
    env.write_text("".join(line for line in env.read_text().splitlines(True) if not line.startswith(f"{name}=")))
    done = config(project, "--profile", "*", "config", "--quiet")
    assert done.returncode != 0
    assert f"{name} is missing a value: run make env" in done.stderr


def test_services_are_the_whole_and_profiles_are_what_is_optional() -> None:
    named = {
        profile: {name for name, one in SERVICES.items() if profile in one.get("profiles", ())}
        for profile in OF_PROFILES
    }
    assert named == OF_PROFILES
    assert {name for name, one in SERVICES.items() if "profiles" not in one} == ALWAYS


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_runs_without_rights(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[\w/.-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"])
    user, group = re.fullmatch(r"(?:\$\{AIRFLOW_UID:-)?(\d+)\}?:(\d+)", service["user"]).groups()  # type: ignore[union-attr]
    assert int(user) > 0
    assert group in ("0", user)
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check_or_ends(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert (service["restart"], service.get("healthcheck")) == ("no", None)
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "retries"} <= set(service["healthcheck"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert wait["condition"] == expected
        optional = set(SERVICES[other].get("profiles", ())) - set(SERVICES[name].get("profiles", ()))
        assert wait.get("required", True) != bool(optional), f"{other} is not there without its profile"
    if name in airflows() and name not in ("init", "s3-bucket"):
        assert "init" in SERVICES[name]["depends_on"]


def test_ports_are_on_loopback_and_no_database_has_one() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(ports) == {"api-server", "s3"}
    assert all(str(port).startswith("127.0.0.1:") for published in ports.values() for port in published)


def test_the_base_image_is_pinned_to_the_release_of_the_requirements() -> None:
    [base] = re.findall(r"^\s*FROM (\S+)$", TEXT, re.MULTILINE)
    [airflow] = re.findall(r"^apache-airflow==(\S+)$", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    assert base == f"apache/airflow:{airflow}-python3.11"


def test_mounted_folders_are_there_and_what_is_kept_is_a_volume(project: Path) -> None:
    named = set(CONTENT["volumes"])
    for service in SERVICES.values():
        for source, target in mounts(service).items():
            if source.startswith("./"):
                assert (PROJECT / source).is_dir() or (project / source).is_dir(), source
                assert target.endswith(":ro") or source == "./include/models"
            else:
                named.discard(source)
                assert source in CONTENT["volumes"]
    assert not named, "volumes that nobody mounts"
    assert PROJECT / "include" / "models" == train.MODELS
    assert mounts(SERVICES["postgres-metadata"]) != mounts(SERVICES["postgres-shadow"])


def test_no_secret_is_in_the_file_and_each_that_it_asks_for_is_written_by_make_env() -> None:
    asked = dict(VARIABLE.findall(TEXT))
    required = {name for name, how in VARIABLE.findall(TEXT) if how == ":?"}
    assert required == set(env_file.MAKERS) - {"AIRFLOW_UID"}
    assert set(asked) - required == {
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW_UID",
        "AIRFLOW_PORT",
        "S3_PORT",
        "AIRFLOW_CONN_PRODUCTION_DB",
        "AIRFLOW_CONN_AWS_DEFAULT",
    }
    for name, value in (pair for one in SERVICES.values() for pair in one.get("environment", {}).items()):
        if re.search(r"PASSWORD$|SECRET|FERNET|_KEY$|AUTH$", name):
            assert re.match(r"\$\{\w+:\?", str(value)), name
        for password in re.findall(r"://[^/@]*?:([^@]+)@", str(value)):
            assert "${" in password, name


def test_only_those_who_administrate_know_the_superuser() -> None:
    knowing = {name for name, one in SERVICES.items() if "SHADOW_SUPERUSER_PASSWORD" in str(one.get("environment"))}
    assert knowing == {"postgres-shadow", "init", "demo"}
    assert {name for name, one in SERVICES.items() if "AIRFLOW_PASSWORD" in str(one.get("environment"))} == {
        "api-server"
    }


def test_one_variable_is_the_executor_of_all_of_airflow() -> None:
    found = {one["environment"]["AIRFLOW__CORE__EXECUTOR"] for one in airflows().values()}
    assert found == {"${AIRFLOW__CORE__EXECUTOR:-LocalExecutor}"}
    assert SERVICES["scheduler"]["command"] == "scheduler"


@pytest.mark.parametrize(
    ("executor", "code", "out", "err"),
    [
        ("CeleryExecutor", 0, "celery worker\n", ""),
        ("LocalExecutor", 1, "", "AIRFLOW__CORE__EXECUTOR == LocalExecutor, must be CeleryExecutor in .env"),
    ],
)
def test_a_worker_that_no_task_would_reach_says_so_instead_of_waiting(
    tmp_path: Path, executor: str, code: int, out: str, err: str
) -> None:
    shell, option, script = SERVICES["worker"]["command"]
    (tmp_path / "airflow").write_text('#!/bin/sh\necho "$*"\n')
    (tmp_path / "airflow").chmod(0o755)
    done = subprocess.run(
        [shell, option, script.replace("$$", "$")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "AIRFLOW__CORE__EXECUTOR": executor},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, out)
    assert done.stderr.startswith(err)


def test_all_of_airflow_keeps_freed_memory_for_the_next_arrays() -> None:
    environments = [one["environment"] for one in airflows().values()]
    assert {each["MALLOC_MMAP_THRESHOLD_"] for each in environments} == {str(32 << 20)}
    assert {each["MALLOC_TRIM_THRESHOLD_"] for each in environments} == {str(64 << 20)}


def test_all_share_the_code_the_logs_and_the_snapshots() -> None:
    running = {name: mounts(one) for name, one in airflows().items() if name != "demo"}
    assert len({tuple(sorted(one.items())) for one in running.values()}) == 1
    assert running["worker"]["./include"] == "/opt/airflow/include:ro"
    assert {"shadow", "logs"} <= set(running["worker"])
    assert {one["environment"]["PYTHONPATH"] for one in airflows().values()} == {"/opt/airflow/include"}


@pytest.mark.parametrize("name", ["init", "api-server", "worker", "redis"])
def test_the_scripts_of_services_are_shell(name: str) -> None:
    shell, _, script = SERVICES[name]["command"]
    done = subprocess.run([shell, "-n", "-c", script.replace("$$", "$")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_api_server_starts_with_the_password_of_env_in_a_file_of_its_own(tmp_path: Path) -> None:
    script = SERVICES["api-server"]["command"][-1].replace("$$", "$")
    passwords = tmp_path / "passwords.json"
    (tmp_path / "airflow").write_text('#!/bin/sh\necho "$1 ${AIRFLOW_PASSWORD-unset}"\n')
    (tmp_path / "airflow").chmod(0o755)
    done = subprocess.run(
        ["bash", "-ec", script.replace("/tmp/passwords.json", str(passwords))],
        env={"PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin", "AIRFLOW_PASSWORD": 'pass"word_1'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "api-server unset\n"
    assert yaml.safe_load(passwords.read_text()) == {"admin": 'pass"word_1'}
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600


def test_make_env_writes_what_is_missing_and_keeps_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = tmp_path / ".env"
    before = "# mine\r\nexport REDIS_PASSWORD = 'as it was'\n"
    env.write_bytes(f"{before}S3_ACCESS_KEY=\nS3_SECRET_KEY='' \r\nAIRFLOW_PORT=9090\nOTHER=1".encode())
    env.chmod(0o644)
    env_file.main(tmp_path)
    text = env.read_bytes().decode()
    found = env_file.values(text)
    filled = "".join(f"{name}={found[name]}\n" for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"))
    assert text.startswith(f"{before}{filled}AIRFLOW_PORT=9090\nOTHER=1\n")
    assert set(env_file.MAKERS) < set(found)
    assert (found["REDIS_PASSWORD"], found["OTHER"]) == ("as it was", "1")
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    output = capsys.readouterr().out
    assert f"http://localhost:9090, user admin, password {found['AIRFLOW_PASSWORD']}" in output
    assert not [
        name for name in env_file.MAKERS if "PASSWORD" not in name and found[name] in output and name != "AIRFLOW_UID"
    ]
    env.chmod(0o644)
    env_file.main(tmp_path)
    assert env.read_bytes().decode() == text
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".env"]


def test_secrets_differ_and_are_long_enough() -> None:
    first, second = env_file.values(env_file.completed("")), env_file.values(env_file.completed(""))
    assert set(first) == set(env_file.MAKERS)
    assert first.pop("AIRFLOW_UID") == second.pop("AIRFLOW_UID") != "0"
    assert len({*first.values(), *second.values()}) == 2 * len(first)
    assert min(map(len, first.values())) >= 16
    assert all(re.fullmatch(r"[\w-]+=?", value) for value in first.values()), "values need no quoting in a URL"
    from cryptography.fernet import Fernet

    assert Fernet(first["AIRFLOW_FERNET_KEY"].encode()).encrypt(b"x")


def test_two_that_write_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    found: list[dict[str, str]] = []
    threads = [threading.Thread(target=lambda: found.append(env_file.ensure(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(one == found[0] == env_file.values(path.read_text()) for one in found)


def test_a_file_that_cannot_be_used_is_reported_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(SystemExit, match="cannot be used"):
        env_file.main(tmp_path)
    assert (tmp_path / ".env").read_bytes() == b"A=\xff\n"


@pytest.mark.parametrize("uid", ["0", "me"])
def test_containers_are_never_root(tmp_path: Path, uid: str) -> None:
    (tmp_path / ".env").write_text(f"AIRFLOW_UID={uid}\n")
    with pytest.raises(SystemExit, match=r"AIRFLOW_UID.* must be the number of a user other than root"):
        env_file.main(tmp_path)
    assert env_file.values((tmp_path / ".env").read_text())["AIRFLOW_UID"] == uid


def test_killed_while_writing_it_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OTHER=1\n")

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        env_file.main(tmp_path)
    assert (tmp_path / ".env").read_text() == "OTHER=1\n"
    monkeypatch.undo()
    env_file.main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "include"]


def test_make_env_needs_only_the_standard_library_and_env_is_not_committed(tmp_path: Path) -> None:
    script = tmp_path / "include" / "shadow_demo" / "env_file.py"
    script.parent.mkdir(parents=True)
    shutil.copy(PROJECT / "include" / "shadow_demo" / "env_file.py", script)
    shutil.copy(PROJECT / "Makefile", tmp_path)
    recipe = subprocess.run(
        ["make", "--dry-run", "env"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
    ).stdout
    assert recipe == "python3 include/shadow_demo/env_file.py\n"
    command = [sys.executable, "-I", "-S", script]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / ".env").is_file()
    assert ".env" in (PROJECT / ".gitignore").read_text().splitlines()
