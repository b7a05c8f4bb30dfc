"""Stand-ins for Elasticsearch, Kibana, Logstash and Filebeat: real TLS, sign-in and health, nothing else of theirs.

They hold the compose file to what it promises: who waits for whom, who may sign in as whom, which hop is encrypted.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANYWHERE = ""  # all addresses of the container
START_SECONDS = 3.0


def say(text):
    print(text, flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def user(self):
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return base64.b64decode(token).decode().partition(":")[::2] if scheme == "Basic" else ("", "")

    def do(self):
        self.answer(*self.server.handle_request_of(self))

    do_GET = do_PUT = do_POST = do  # noqa: N815 - http.server's names

    def log_message(self, *_):
        pass


def server_tls(folder, name, *, mutual=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    if mutual:
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def serve(port, handle, context=None):
    server = ThreadingHTTPServer((ANYWHERE, port), Handler)
    server.handle_request_of = handle
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    say(f"listening on {port}")
    server.serve_forever()


class Elasticsearch:
    def __init__(self):
        self.state_file = Path("data/state.json")
        password = Path(os.environ["ELASTIC_PASSWORD_FILE"]).read_text()
        first = {"users": {"elastic": password, "kibana_system": None}, "documents": {}, "puts": []}
        self.state = json.loads(self.state_file.read_text()) if self.state_file.exists() else first

    def handle(self, request):
        body = request.body()
        name, password = request.user()
        if not name or self.state["users"].get(name) != password:
            return 401, {"error": {"reason": f"unable to authenticate user [{name}]"}, "status": 401}
        status, answer = self.routed(request.command, request.path.partition("?")[0], body, name)
        self.state_file.write_text(json.dumps(self.state))
        return status, answer

    def routed(self, method, path, body, user):
        if path == "/_security/_authenticate":
            return 200, {"username": user}
        if path == "/_cluster/health":
            return 200, {"timed_out": False, "status": "yellow"}
        if path == "/_nodes/stats/fs" and user == "health_check":
            total = {"total_in_bytes": 100 << 30, "available_in_bytes": 4 << 30}
            return 200, {"nodes": {"x": {"name": "elasticsearch", "fs": {"total": total}}}}
        if match := re.fullmatch(r"/([^/]+)/_count", path):
            wanted = json.loads(body)["query"]["term"]["event.id"]
            found = [key for key in self.state["documents"] if key == f"{match[1]}/{wanted}"]
            return 200, {"count": len(found)}
        if match := re.fullmatch(r"/([^/]+)/_create/([^/]+)", path):
            key = f"{match[1]}/{match[2]}"
            if user != "logstash_writer" or key in self.state["documents"]:
                return (403 if user != "logstash_writer" else 409), {"error": {"reason": "refused"}}
            self.state["documents"][key] = json.loads(body)
            return 201, {"result": "created"}
        if user != "elastic":
            return 403, {"error": {"reason": f"action is unauthorized for user [{user}]"}}
        if match := re.fullmatch(r"/_security/user/([^/]+?)(/_password)?", path):
            self.state["users"][match[1]] = json.loads(body)["password"]
        self.state["puts"].append(f"{method} {path}")
        return 200, {"acknowledged": True}


def elasticsearch():
    time.sleep(START_SECONDS)
    serve(9200, Elasticsearch().handle, server_tls(Path("config/secrets"), "elasticsearch"))


def call(url, user, password, authority, method="GET", body=None):
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=authority)) as answer:
        return json.loads(answer.read())


class Kibana:
    def __init__(self):
        self.settings = {}
        for argument in sys.argv[2:]:
            for line in Path(argument.removeprefix("--config=")).read_text().splitlines():
                name, _, value = line.partition(": ")
                self.settings[name] = json.loads(value) if value.startswith('"') else value
        self.objects = {}

    def handle(self, request):
        body = request.body()
        if request.path == "/api/status":
            try:
                url, password = (
                    "https://elasticsearch:9200/_security/_authenticate",
                    self.settings["elasticsearch.password"],
                )
                call(url, "kibana_system", password, "/usr/share/kibana/secrets/ca.crt")
            except (urllib.error.URLError, OSError) as error:
                return 503, {"status": {"overall": {"level": "unavailable"}}, "why": str(error)}
            return 200, {"status": {"overall": {"level": "available"}}}
        if request.path.startswith("/api/saved_objects/_import"):
            lines = [line for line in body.decode().splitlines() if line.startswith("{")]
            self.objects |= {(each["type"], each["id"]): each for each in map(json.loads, lines)}
            return 200, {"success": True, "successCount": len(lines)}
        if request.command == "GET":
            known = request.path in self.objects
            return (200, self.objects[request.path]) if known else (404, {"message": "not found"})
        self.objects[request.path] = json.loads(body)
        say(f"{request.command} {request.path}")
        return 200, self.objects[request.path]


def kibana():
    time.sleep(START_SECONDS)
    serve(5601, Kibana().handle, server_tls(Path("secrets"), "kibana"))


def logstash():
    time.sleep(START_SECONDS)
    threading.Thread(
        target=serve, args=(9600, lambda _: (200, {"host": "x", "status": "green", "indicators": {}}))
    ).start()
    context = server_tls(Path("secrets"), "logstash", mutual=True)
    with socket.create_server((ANYWHERE, 5044)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=intake, args=(context, connection)).start()


def intake(context, connection):
    try:
        with context.wrap_socket(connection, server_side=True) as secured, secured.makefile("rb") as lines:
            for line in lines:
                store(json.loads(line))
                secured.sendall(b"ok\n")
    except (OSError, ssl.SSLError) as error:
        say(f"refused a connection: {error}")


def store(event):
    day = event["@timestamp"][:10].replace("-", ".")
    index = f"christmas-logs-{event['service']['name']}-{day}"
    url = f"{os.environ['ELASTICSEARCH_URL']}/{index}/_create/{event['event']['id']}"
    body = json.dumps(event).encode()
    try:
        call(url, "logstash_writer", os.environ["LOGSTASH_WRITER_PASSWORD"], "secrets/ca.crt", "PUT", body)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


def to_logstash():
    context = ssl.create_default_context(cafile="secrets/ca.crt")
    context.load_cert_chain("secrets/filebeat.crt", "secrets/filebeat.key")
    host, _, port = os.environ["LOGSTASH_HOSTS"].partition(":")
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=5), server_hostname=host)


def filebeat():
    if "test" in sys.argv:
        to_logstash().close()
        return
    sent = Path("data/sent")
    with to_logstash() as connection, connection.makefile("rb") as answers:
        while True:
            done = json.loads(sent.read_text()) if sent.exists() else {}
            for path in sorted(Path("/var/log/shipper").glob("*.ecs.log")):
                lines = path.read_bytes().splitlines()
                for line in lines[done.get(path.name, 0) :]:
                    connection.sendall(line + b"\n")
                    answers.readline()
                done[path.name] = len(lines)
            sent.write_text(json.dumps(done))
            time.sleep(0.2)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    {"elasticsearch": elasticsearch, "kibana": kibana, "logstash": logstash, "filebeat": filebeat}[sys.argv[1]]()
