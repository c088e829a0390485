"""As much of lightning.ai as ``litlogger`` asks for, served on this machine; keeps what it gets."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

USER = {"id": "user", "username": "owner"}
SPACE = {"id": "space", "name": "space", "displayName": "space", "ownerId": "user"}


class Platform:
    """One user with one teamspace.

    Attributes:
        address: Where it is served.
        media: What was created of pictures and texts, with the ``bytes`` that were uploaded.
        files: The bytes of all that was uploaded, by their paths.
        values: The values of each metric, as (step, value).
        unknown: Requests that it knows no answer to.
    """

    def __init__(self):
        self.media, self.files, self.values, self.unknown = [], {}, {}, []
        self._stream = None
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, reply = platform.answer(self.command, urlsplit(self.path).path, content)
                body = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("ETag", "etag")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the server's own names

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method, path, content):
        """Status and reply."""
        body = json.loads(content) if content[:1] == b"{" else {}
        for (expected, pattern), name in ROUTES.items():
            if method == expected and (found := re.fullmatch(pattern, path)):
                return getattr(self, name)(body, content, *found.groups())
        self.unknown.append((method, path, content[:200]))
        return 200, {}

    def nothing(self, body, content):
        return 200, {}

    def missing(self, body, content):
        return 404, {"message": "not found"}

    def users(self, body, content):
        return 200, {"users": [USER], **USER}

    def memberships(self, body, content):
        space = {"projectId": "space", "name": "space", "displayName": "space", "ownerId": "user"}
        return 200, {"memberships": [{**space, "ownerType": "USER"}]}

    def space(self, body, content):
        return 200, SPACE

    def stream(self, body, content):
        return (200, self._stream) if self._stream else self.missing(body, content)

    def new_stream(self, body, content):
        self._stream = {
            "id": "stream",
            "name": body["name"],
            "cloudspaceId": "",
            "clusterId": "disk",
        }
        return 200, self._stream

    def summary(self, body, content):
        return 200, {"summariesPerName": {}}

    def append(self, body, content):
        for metric in body["metrics"]:
            values = [(int(one["step"]), one["value"]) for one in metric["values"]]
            self.values.setdefault(metric["name"], []).extend(values)
        return 200, {}

    def new_media(self, body, content):
        path = f"media/{len(self.media)}"
        self.media.append({**body, "path": path})
        media = {"id": path, "clusterId": "disk", "storagePath": path}
        return 200, {"media": media, "alreadyExists": False}

    def blobs(self, body, content):
        (blob,) = body["blobs"]
        return 200, {"results": [{"urls": [{"url": f"{self.address}/storage/{blob['path']}"}]}]}

    def store(self, body, content, path):
        self.files[path] = content
        for media in self.media:
            if media["path"] == path:
                media["bytes"] = content
        return 200, {}


ROUTES = {
    ("POST", "/v1/sdk-command-history"): "nothing",
    ("GET", "/v1/orgs/"): "missing",
    ("GET", "/v1/memberships"): "memberships",
    ("GET", "/v1/auth/user"): "users",
    ("GET", "/v1/users/search"): "users",
    ("GET", "/v1/projects/space"): "space",
    ("GET", "/v1/metrics-streams"): "stream",
    ("POST", "/v1/projects/space/metrics-stream/create"): "new_stream",
    ("PUT", "/v1/projects/space/metrics-stream/stream"): "nothing",
    ("GET", "/v1/projects/space/logger-metrics-summary"): "summary",
    ("PUT", "/v1/projects/space/logger-metrics/stream"): "append",
    ("POST", "/v1/projects/space/metrics-streams/stream/media"): "new_media",
    ("PUT", "/v1/projects/space/metrics-streams/stream/media/.*"): "nothing",
    ("POST", "/v1/projects/space/metrics-streams/stream/logger-artifacts"): "nothing",
    ("POST", "/v1/projects/space/artifacts/blobs"): "blobs",
    ("PUT", "/storage/(.*)"): "store",
}
