"""A real Filebeat on our configuration files, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from python_shipper.stack import certificates

ROOT = Path(__file__).parent.parent.parent


class Filebeat:
    """One Filebeat with its own folders; it may be killed and started again, and goes on where it was."""

    def __init__(self, program: Path, folder: Path) -> None:
        """Copy our configuration and make certificates below ``folder``."""
        self.program, self.folder = program, folder
        self.config, self.logs = folder / "config", folder / "logs"
        self.logs.mkdir(parents=True)
        shutil.copytree(ROOT / "filebeat", self.config)
        certificates.ensure(self.config / "secrets")
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str | Path]:
        """The command line; monitoring is off, for there is nothing that it could report to."""
        paths = ["--path.config", self.config, "--path.data", self.folder / "data", "--path.logs", self.folder / "own"]
        return [self.program, *arguments, "--strict.perms=false", "-E", "monitoring.enabled=false", *paths]

    def environment(self, hosts: str = "localhost:5044") -> dict[str, str]:
        """What the compose file would set."""
        given = {"SHIP_DIR": self.logs, "LOGSTASH_HOSTS": hosts, "ELASTICSEARCH_URL": "https://localhost:9200"}
        return {**os.environ, **{name: str(value) for name, value in given.items()}, "FILEBEAT_MONITOR_PASSWORD": "x"}

    def test_config(self) -> str:
        """What ``filebeat test config`` says."""
        done = subprocess.run(
            self.command("test", "config"),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return (done.stdout + done.stderr).strip()

    def start(self, hosts: str) -> None:
        """Ship to ``hosts``."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command("-e"), env=self.environment(hosts), stdout=output, stderr=output
            )

    def kill(self) -> None:
        """End it without warning (signal 9)."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None
