"""MiniStack with the pipeline deployed on it, its functions' calls going through a recorder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from recorder import Recorder

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools/venv/bin"
GUARD = ROOT / "tests/pipeline/src/guard.py"
REGION = "eu-west-1"
STACK = "accretion"
# What samconfig.toml says for the emulator, but for what is logged: that is as on AWS.
PARAMETERS = ("BuilderRuntime=provided.al2023", "RequireTls=false", "MaximumConcurrency=0")
FUNCTIONS = ("dispatcher", "builder", "publisher")
# What is bound to happen may take that long, in seconds.
PATIENCE = 120


class Server:
    """MiniStack alone; to be used in a `with`."""

    def __init__(self, log: Path, port_for_functions: int | None = None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        folder = Path(tempfile.mkdtemp(prefix="accretion-scaling-"))
        for name in ("tmp", "home"):
            (folder / name).mkdir()
        log.parent.mkdir(parents=True, exist_ok=True)
        # The guard ends all of it when its standard input closes, however this process ends.
        self.guard = subprocess.Popen(
            [sys.executable, "-I", GUARD, folder, log, TOOLS / "ministack"],
            stdin=subprocess.PIPE,
            cwd=folder,
            env=environment()
            | {
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(self.port),
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "MINISTACK_REGION": REGION,
                # Where functions find AWS.
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port_for_functions or self.port}",
                "TMPDIR": str(folder / "tmp"),
                "HOME": str(folder / "home"),
                "STATE_DIR": str(folder / "state"),
                "S3_DATA_DIR": str(folder / "s3"),
                "CACHE_FOLDER": str(folder / "cache"),
            },
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends the server and all that it runs."""
        self.guard.stdin.close()
        self.guard.wait()

    def client(self, service: str):
        """A client."""
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=config,
        )

    def _wait(self) -> None:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_ministack/ready"):
                    return
            except OSError as problem:
                if self.guard.poll() is not None or time.monotonic() > give_up:
                    raise SystemExit(f"error: MiniStack did not start: {problem}") from problem
                time.sleep(0.05)


class Emulator(Server):
    """A server, the stack and the recorder, which clients of this go past."""

    def __init__(self, template: Path, log: Path):
        self.recorder = Recorder()
        super().__init__(log, self.recorder.port)
        self.recorder.upstream = self.port
        try:
            self._deploy(template)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        self.recorder.close()

    def _deploy(self, template: Path) -> None:
        subprocess.run(
            [TOOLS / "sam", "deploy", "--config-env", "local", "--config-file"]
            + [ROOT / "sam/samconfig.toml", "--template-file", template, "--stack-name", STACK]
            + ["--parameter-overrides", *PARAMETERS],
            check=True,
            cwd=ROOT / "sam",
            capture_output=True,
            env=environment()
            | {
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": REGION,
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_POLL_DELAY": "0.2",
            },
        )
        described = self.client("cloudformation").describe_stacks(StackName=STACK)
        outputs = described["Stacks"][0]["Outputs"]
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in outputs}
        # So that each call says whose it is.
        functions = self.client("lambda")
        for name in FUNCTIONS:
            known = self.outputs[f"{name.capitalize()}FunctionName"]
            found = functions.get_function_configuration(FunctionName=known)
            variables = found["Environment"]["Variables"] | {"AWS_SDK_UA_APP_ID": name}
            functions.update_function_configuration(
                FunctionName=known, Environment={"Variables": variables}
            )
        self.memory = {
            name: functions.get_function_configuration(
                FunctionName=self.outputs[f"{name.capitalize()}FunctionName"]
            )["MemorySize"]
            for name in FUNCTIONS
        }

    def listen(self) -> str:
        """A queue that gets every notification; returns its URL."""
        sqs, sns = self.client("sqs"), self.client("sns")
        queue = sqs.create_queue(QueueName="scaling")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=self.outputs["NotificationTopicArn"],
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        return queue

    def notifications(self, queue: str, count: int) -> list[dict]:
        """The next notifications."""
        sqs, found, give_up = self.client("sqs"), [], time.monotonic() + PATIENCE
        while len(found) < count:
            if time.monotonic() > give_up:
                raise SystemExit(f"error: {count} notifications were to come, not only {found}")
            answer = sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def lines(self, function: str, since: int) -> list[str]:
        """What a function has logged since a time in milliseconds, and what Lambda says of it."""
        name = self.outputs[f"{function.capitalize()}FunctionName"]
        config = self.client("lambda").get_function_configuration(FunctionName=name)
        pages = self.client("logs").get_paginator("filter_log_events").paginate(
            logGroupName=config["LoggingConfig"]["LogGroup"], startTime=since
        )
        return [event["message"] for page in pages for event in page["events"]]

    def executions(self, since: float) -> list[list[str]]:
        """The kinds of all events of each execution that was started since a time."""
        states = self.client("stepfunctions")
        machine = self.outputs["BuildStateMachineArn"]
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine)
        found = []
        for page in pages:
            for execution in page["executions"]:
                if execution["startDate"].timestamp() < since:
                    continue
                history = states.get_paginator("get_execution_history").paginate(
                    executionArn=execution["executionArn"]
                )
                found.append([event["type"] for page in history for event in page["events"]])
        return found


def environment() -> dict[str, str]:
    """Nothing of the user's AWS configuration, and the pinned tools first."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return kept | {
        "PATH": f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}",
        "UV_PYTHON_DOWNLOADS": "never",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
