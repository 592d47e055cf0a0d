"""A model hub on loopback with one repository: what huggingface_hub asks of the real one."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPO = "maker/tiny-csm"


@contextmanager
def serve(folder: Path, commit: str, *, lie_about: str = "", gated: bool = False):
    """Serves ``folder`` as ``REPO`` at ``commit``; yields the endpoint and the list of requests."""
    requests: list[str] = []

    def digest(file: str) -> str:
        return (
            "0" * 64
            if file == lie_about
            else hashlib.sha256((folder / file).read_bytes()).hexdigest()
        )

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send(self, code: int, body: bytes, **headers: str) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self):
            path = self.path.split("?")[0]
            requests.append(f"{self.command} {path}")
            if gated:
                self.send(403, b"", X_Error_Code="GatedRepo")
            elif path.startswith(f"/api/models/{REPO}/tree/"):
                tree = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0"}
                    for file in sorted(folder.iterdir())
                ]
                self.send(200, json.dumps(tree).encode(), Content_Type="application/json")
            elif path.startswith(f"/api/models/{REPO}"):
                revision = path.rpartition("/revision/")[2]
                if "/revision/" in path and revision not in ("main", commit):
                    self.send(404, b"", X_Error_Code="RevisionNotFound")
                    return
                files = [
                    {"rfilename": file.name, "size": file.stat().st_size}
                    | (
                        {"lfs": {"sha256": digest(file.name), "size": 1, "pointerSize": 1}}
                        if file.suffix == ".safetensors"
                        else {}
                    )
                    for file in sorted(folder.iterdir())
                ]
                body = {"id": REPO, "sha": commit, "siblings": files, "tags": [], "private": False}
                self.send(200, json.dumps(body).encode(), Content_Type="application/json")
            elif path.startswith(f"/{REPO}/resolve/{commit}/"):
                file = path.rpartition("/")[2]
                self.send(
                    200,
                    (folder / file).read_bytes(),
                    ETag=f'"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}"',
                    X_Repo_Commit=commit,
                )
            else:
                self.send(404, b"", X_Error_Code="RepoNotFound")

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
