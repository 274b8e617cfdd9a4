"""A stand-in for a Kubernetes API server on which KubeRay's operator runs.

It keeps objects, checks a token, refuses what a real one refuses, streams watches and logs. Its
operator writes the files of a RayJob's ConfigMap to disk and runs the job's command as a process,
as often as `backoffLimit` allows, with the process's output as the log of the submitter's pod.
"""

import base64
import json
import re
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

_OBJECT = re.compile(
    r"/(?:api/v1|apis/ray\.io/v1)/namespaces/(?P<namespace>[^/]+)/(?P<kind>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?P<log>/log)?)?"
)


@dataclass
class Cluster:
    """What the server keeps.

    Attributes:
        folder: Of the files of jobs, of logs and of the kubeconfig.
        environment: Of the jobs' processes.
        kinds: What the server knows; without KubeRay it has no ``rayjobs``.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = (
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "rayjobs",
        "secrets",
        "serviceaccounts",
    )
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    changed: Condition = field(default_factory=Condition)
    threads: list[Thread] = field(default_factory=list)

    def put(self, namespace: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Store an object, and tell those who watch; not if its owner is gone already."""
        meta = content.setdefault("metadata", {})
        owners = {owner["uid"] for owner in meta.get("ownerReferences", ())}
        with self.changed:
            if owners and not owners & {o["metadata"]["uid"] for o in self.objects.values()}:
                return content
            meta.setdefault("uid", secrets.token_hex(8))
            meta.setdefault("namespace", namespace)
            meta.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
            self.objects[namespace, kind, meta["name"]] = content
            self.changed.notify_all()
        return content

    def drop(self, key: tuple[str, str, str]) -> None:
        """Delete an object, and what it owns."""
        with self.changed:
            gone = self.objects.pop(key)
            uid = gone["metadata"]["uid"]
            owned = [
                each
                for each, content in self.objects.items()
                if any(o["uid"] == uid for o in content["metadata"].get("ownerReferences", ()))
            ]
            self.changed.notify_all()
        for each in owned:
            self.drop(each)

    def operate(self, namespace: str, job: dict[str, Any]) -> None:
        """Run a job as KubeRay's operator would, in a thread."""
        thread = Thread(target=self._operate, args=(namespace, job), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _operate(self, namespace: str, job: dict[str, Any]) -> None:
        name, spec = job["metadata"]["name"], job["spec"]
        files = self.folder / f"files-{job['metadata']['uid']}"
        volumes = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"]
        (items,) = [each["configMap"]["items"] for each in volumes if "configMap" in each]
        held = self.objects[namespace, "configmaps", name]["binaryData"]
        for item in items:
            path = files / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(held[item["key"]]))
        entrypoint = spec["entrypoint"].replace("/etc/paretune/sweep", str(files))
        for attempt in range(1 + spec["backoffLimit"]):
            code = self._try(namespace, job, entrypoint, attempt)
            if spec.get("suspend") or (namespace, "rayjobs", name) not in self.objects:
                self._tell(job, "Suspended", "")
                return
            if code == 0:
                self._tell(job, "Complete", "SUCCEEDED")
                return
            self._tell(job, "Retrying", "FAILED")
        self._tell(job, "Failed", "FAILED", reason="AppFailed", message="Job failed")

    def _try(self, namespace: str, job: dict[str, Any], entrypoint: str, attempt: int) -> int:
        name = job["metadata"]["name"]
        self._tell(job, "Initializing", "")
        pod = f"{name}-{attempt}"
        owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": name}
        owner["uid"] = job["metadata"]["uid"]
        labels = {"job-name": name}
        meta = {"name": pod, "labels": labels, "ownerReferences": [owner]}
        with (self.folder / f"{pod}.log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {entrypoint}"],
                stdout=log,
                stderr=log,
                env=dict(self.environment),
                cwd=self.folder,
                start_new_session=True,
            )
        self.running[name] = process
        made = self.put(namespace, "pods", {"metadata": meta, "status": {"phase": "Running"}})
        self._tell(job, "Running", "RUNNING")
        if (namespace, "rayjobs", name) not in self.objects:
            process.terminate()
        code = process.wait()
        with self.changed:
            made["status"]["phase"] = "Failed" if code else "Succeeded"
        return code

    def _tell(self, job: dict[str, Any], deployed: str, status: str, **more: str) -> None:
        with self.changed:
            job["status"] = {"jobDeploymentStatus": deployed, "jobStatus": status, **more}
            self.changed.notify_all()

    def kubeconfig(self, port: int) -> Path:
        """Write the file that leads to this server."""
        path = self.folder / "kubeconfig.yaml"
        server = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        user = {"name": "test", "user": {"token": self.token}}
        content = {"apiVersion": "v1", "kind": "Config", "current-context": "test"}
        lists = {"clusters": [server], "contexts": [context], "users": [user]}
        path.write_text(yaml.safe_dump({**content, **lists}))
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def do_GET(self) -> None:
        if not (at := self._place()):
            return
        namespace, kind, name, log = at
        if log:
            self._log(name or "")
        elif name:
            found = self.cluster.objects.get((namespace, kind, name))
            self._say(200, found) if found else self._refuse(404, f'{kind} "{name}" not found')
        elif "watch" in self.query:
            self._watch(namespace, kind)
        else:
            listed = [item for _, item in self._selected(namespace, kind)]
            self._say(200, {"metadata": {"resourceVersion": "1"}, "items": listed})

    def do_POST(self) -> None:
        content = self._content()
        if not (at := self._place()):
            return
        namespace, kind, *_ = at
        name = content["metadata"]["name"]
        if (namespace, kind, name) in self.cluster.objects:
            self._refuse(409, f'{kind} "{name}" already exists')
            return
        made = self.cluster.put(namespace, kind, content)
        if kind == "rayjobs":
            self.cluster.operate(namespace, made)
        self._say(201, made)

    def do_PUT(self) -> None:
        content = self._content()
        if at := self._place():
            self._say(200, self.cluster.put(at[0], at[1], content))

    def do_PATCH(self) -> None:
        content = self._content()
        if not (at := self._place()):
            return
        found = self.cluster.objects[at[0], at[1], at[2] or ""]
        with self.cluster.changed:
            for key, value in content.items():
                found[key].update(value)
        if content.get("spec", {}).get("suspend"):
            self.cluster.running[at[2] or ""].terminate()
        self._say(200, found)

    def do_DELETE(self) -> None:
        self._content()
        if not (at := self._place()):
            return
        key = (at[0], at[1], at[2] or "")
        if key not in self.cluster.objects:
            self._refuse(404, f'{at[1]} "{at[2]}" not found')
            return
        self.cluster.drop(key)
        process = self.cluster.running.get(key[2])
        if at[1] == "rayjobs" and process and process.poll() is None:
            process.terminate()
        self._say(200, {"kind": "Status", "status": "Success"})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _place(self) -> tuple[str, str, str | None, str | None] | None:
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        if self.headers.get("Authorization") != f"Bearer {self.cluster.token}":
            self._refuse(401, "Unauthorized")
            return None
        found = _OBJECT.fullmatch(address.path)
        if not found or found["kind"] not in self.cluster.kinds:
            self._refuse(404, "the server could not find the requested resource")
            return None
        return found["namespace"], found["kind"], found["name"], found["log"]

    def _selected(self, namespace: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
        labels = dict(each.split("=") for each in self.query.get("labelSelector", []))
        fields = dict(each.split("=") for each in self.query.get("fieldSelector", []))
        with self.cluster.changed:
            return [
                (name, json.loads(json.dumps(item)))
                for (at, of, name), item in self.cluster.objects.items()
                if (at, of) == (namespace, kind)
                and fields.get("metadata.name", name) == name
                and labels.items() <= item["metadata"].get("labels", {}).items()
            ]

    def _watch(self, namespace: str, kind: str) -> None:
        self._begin("application/json")
        until = time.monotonic() + float(self.query.get("timeoutSeconds", ["5"])[0])
        known: dict[str, dict[str, Any]] = {}
        while time.monotonic() < until:
            found = dict(self._selected(namespace, kind))
            events = [
                ("MODIFIED" if name in known else "ADDED", item)
                for name, item in found.items()
                if known.get(name) != item
            ]
            events += [("DELETED", item) for name, item in known.items() if name not in found]
            for word, item in events:
                line = json.dumps({"type": word, "object": item})
                if not self._part(f"{line}\n".encode()):
                    return
            known = found
            with self.cluster.changed:
                self.cluster.changed.wait(0.1)
        self._part(b"")

    def _log(self, pod: str) -> None:
        self._begin("text/plain")
        process = self.cluster.running.get(pod.rpartition("-")[0])
        for part in _grown(self.cluster.folder / f"{pod}.log", process, "follow" in self.query):
            if not self._part(part):
                return
        self._part(b"")

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _part(self, content: bytes) -> bool:
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.wfile.flush()
        except OSError:
            self.close_connection = True
            return False
        return True

    def _content(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return json.loads(raw) if raw else {}

    def _refuse(self, status: int, message: str) -> None:
        self._say(status, {"kind": "Status", "status": "Failure", "message": message})

    def _say(self, status: int, content: Any) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _grown(path: Path, process: "subprocess.Popen[bytes] | None", follow: bool) -> Iterator[bytes]:
    with path.open("rb") as log:
        while True:
            ended = process is None or process.poll() is not None
            if part := log.read():
                yield part
            elif ended or not follow:
                return
            else:
                time.sleep(0.05)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32


def serve(cluster: Cluster) -> tuple[ThreadingHTTPServer, Path]:
    """Start the server; return it, and the kubeconfig that leads to it."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = _Server(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server, cluster.kubeconfig(server.server_port)


def close(server: ThreadingHTTPServer, cluster: Cluster) -> None:
    """End the server and every process of its jobs."""
    for process in cluster.running.values():
        if process.poll() is None:
            process.kill()
    for thread in cluster.threads:
        thread.join(30)
    server.shutdown()
    server.server_close()
