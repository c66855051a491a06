"""A Hugging Face Hub on loopback, as far as fetching a data set or a model needs one."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(folder: Path):
    """Serve FOLDER/{models,datasets}/OWNER/NAME/... at every revision; gives the address."""

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, body: bytes, status=200, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": len(body), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def reply_json(self, value):
            self.reply(json.dumps(value).encode(), Content_Type="application/json")

        def entries(self, repository: Path):
            for path in sorted(repository.rglob("*")):
                name = path.relative_to(repository).as_posix()
                size = path.stat().st_size if path.is_file() else 0
                yield {"type": "file" if path.is_file() else "directory", "path": name, "oid": "0" * 40, "size": size}

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
            is_api = parts[0] == "api"
            parts = parts[1:] if is_api else parts
            kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
            repository, what = folder / kind / parts[0] / parts[1], parts[2:]
            if not repository.is_dir():
                return self.reply(b"{}", 404, X_Error_Code="RepoNotFound")
            if is_api and (not what or what[0] == "revision"):
                files = [{"rfilename": entry["path"]} for entry in self.entries(repository) if entry["type"] == "file"]
                return self.reply_json(
                    {"id": "/".join(parts[:2]), "sha": COMMIT, "private": False, "tags": [], "siblings": files}
                )
            if is_api and what[0] == "tree":
                under = "/".join(what[2:])
                found = [e for e in self.entries(repository) if e["path"].startswith(f"{under}/" if under else "")]
                if parse_qs(urlparse(self.path).query).get("recursive", ["false"])[0].lower() != "true":
                    depth = under.count("/") + 2 if under else 1
                    found = [e for e in found if e["path"].count("/") < depth]
                return self.reply_json(found)
            if is_api and what[0] == "paths-info":
                wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                return self.reply_json([entry for entry in self.entries(repository) if entry["path"] in wanted])
            file = repository.joinpath(*what[2:]) if what and what[0] == "resolve" else None
            if file is None or not file.is_file():
                return self.reply(b"{}", 404, X_Error_Code="EntryNotFound")
            content = file.read_bytes()
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            headers = {"ETag": etag, "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
            span = self.headers.get("Range")
            if span and self.command == "GET":
                first, _, last = span.removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last or len(content) - 1) + 1]
                return self.reply(
                    part, 206, Content_Range=f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}", **headers
                )
            return self.reply(content, **headers)

        do_GET = do_HEAD = do_POST = answer  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
