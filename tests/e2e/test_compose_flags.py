"""What a service of a Compose file becomes is what ``create`` and its relatives take, on the real kernel."""

from __future__ import annotations

import json
from pathlib import Path

from lxcwrap.deploy.application import Application
from lxcwrap.deploy.compose.read import read

FILE = """\
name: composed
services:
  web:
    image: {image}
    command: [sh, -c, 'echo "$$GREETING $$(hostname) $$(id -u)"; cat /conf/file; sleep 100']
    environment: {{GREETING: "hello, world", EMPTY: ""}}
    hostname: named
    user: "1000"
    group_add: [44]
    working_dir: /tmp
    init: true
    read_only: true
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    security_opt: ["no-new-privileges:true"]
    dns: 9.9.9.9
    dns_search: [example.com]
    dns_opt: [ndots:1]
    extra_hosts: ["one=10.0.0.1", "six=::1"]
    ulimits: {{nofile: {{soft: 1000, hard: 2000}}, nproc: 500}}
    sysctls: [net.ipv4.ip_unprivileged_port_start=0]
    shm_size: 16m
    mem_limit: 64m
    mem_reservation: 32m
    cpus: 0.5
    pids_limit: 50
    oom_score_adj: 100
    ipc: private
    cgroup: private
    devices: [/dev/null:/dev/other:rw]
    device_cgroup_rules: ["c 1:3 rw"]
    stop_signal: SIGINT
    stop_grace_period: 1s
    restart: on-failure:2
    labels: {{tier: "a b"}}
    logging: {{driver: json-file, options: {{max-size: 1m, max-file: 2}}}}
    expose: [9000]
    tmpfs: ["/run:size=1m"]
    volumes:
      - data:/data
      - /anonymous
      - ./conf:/conf:ro
      - {{type: tmpfs, target: /t, tmpfs: {{size: 1m, mode: 0700}}}}
      - {{type: bind, source: "./with,comma", target: /comma}}
    healthcheck: {{test: [CMD, test, -e, /conf/file], interval: 1s, timeout: 5s, retries: 2, start_period: 1s}}
    networks:
      front: {{aliases: [www]}}
      back: {{ipv4_address: 10.231.77.9}}
networks:
  front: {{labels: {{a: b}}}}
  back: {{internal: true, ipam: {{config: [{{subnet: 10.231.77.0/24}}]}}}}
volumes:
  data: {{labels: [keep=yes]}}
"""


def test_a_service_runs_as_its_file_says(cli, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "file").write_text("from the host\n")
    (tmp_path / "compose.yaml").write_text(FILE.format(image=busybox))
    application = read([str(tmp_path / "compose.yaml")], {}).application
    for network in application.networks:
        cli("network", "create", *network.words, network.key)
    for volume in application.volumes:
        cli("volume", "create", *volume.words, volume.key)
    try:
        _check(cli, application, tmp_path)
    finally:
        cli("rm", "-f", "composed", check=False)
        for network in application.networks:
            cli("network", "rm", network.key)


def _check(cli, application: Application, folder: Path) -> None:
    service = application.services[0]
    networks = [word for _, words in service.networks for word in words]
    cli("create", "--name", "composed", *service.flags, *networks, service.image, *service.command)
    cli("start", "composed")
    for _ in range(50):
        found = json.loads(cli("inspect", "composed").out)[0]
        if found["State"]["Health"]["Status"] != "starting":
            break
        cli("exec", "composed", "sleep", "0.2")
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD", "test", "-e", "/conf/file"]
    assert cli("logs", "composed").out == "hello, world named 1000\nfrom the host\n"
    assert found["NetworkSettings"]["Networks"]["composed_back"]["IPAddress"] == "10.231.77.9"
    assert set(found["NetworkSettings"]["Networks"]) == {"composed_front", "composed_back"}
    assert found["HostConfig"]["Memory"] == 64 * 1024 * 1024
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert (folder / "with,comma").is_dir()
    assert cli("exec", "composed", "sh", "-c", "cat /etc/hosts; ls -d /data /t /run").out.count("10.0.0.1") == 1


def test_a_check_without_a_shell(cli, busybox: str) -> None:
    cli("create", "--name", "shellless", '--health-cmd=["true", "a b"]', busybox)
    cli("create", "--name", "shell", "--health-cmd=[ -e /tmp ]", busybox)
    tests = [
        json.loads(cli("inspect", name).out)[0]["Config"]["Healthcheck"]["Test"] for name in ("shellless", "shell")
    ]
    assert tests == [["CMD", "true", "a b"], ["CMD-SHELL", "[ -e /tmp ]"]]
    cli("rm", "shellless", "shell")
